// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

const localHint = LocalName + " may change provider, publish and the machines' cpus and memory of local tiers, and nothing else"

// What env.local.yaml may say.
var (
	localKeys         = strictyaml.Keys{Now: []string{"evenkeel", "tiers"}, Hint: localHint}
	localTierKeys     = strictyaml.Keys{Now: []string{"provider", "machines", "publish"}, Hint: localHint}
	localOverrideKeys = strictyaml.Keys{Now: []string{"cpus", "memory"}, Hint: localHint}
)

// tier is one while it is read.
type tier struct {
	Tier
	at   *strictyaml.Node // its name in env.yaml
	pins []pin
}

// What a ttl may be: the least is longer than a bring-up takes, the most is what nobody would call a copy for once.
const (
	minTTL = time.Minute
	maxTTL = 90 * 24 * time.Hour
)

// pin is one line of publish.
type pin struct {
	machine    string
	port, host int
	at, value  *strictyaml.Node
}

var providerForm = lazyregexp.New(`^[a-z][a-z0-9-]*$`)

func (l *loader) readTiers(n *strictyaml.Node) {
	l.tiers = map[string]*tier{}
	if n != nil {
		l.def.places["tiers"] = n.Place()
	}
	entries := n.Entries()
	if n.Is() == "map" && len(entries) == 0 {
		n.Errorf("there is no tier; a definition has at least one")
	}
	for _, e := range entries {
		keyLabel(e)
		if id := l.def.Name + "." + e.Key; len(id) > maxID {
			e.At.Errorf("the environment's ID would be %s, %d characters; allowed are %d", clip(id), len(id), maxID).Hint = "shorten the tier's or the project's name"
		}
		f := e.Value.Fields(tierKeys)
		t := &tier{at: e.At}
		t.Provider = l.provider(f.Need("provider"))
		if config := f.Get("config"); config != nil {
			if config.Is() == "map" {
				t.Config = config.JSON()
			} else {
				config.Entries() // records what it is instead
			}
		}
		t.Settings = l.settings(f.Get("settings"))
		t.Secrets = l.secrets(f.Get("secrets"))
		if n := f.Get("access"); n != nil {
			access := l.access(n)
			t.Access = &access
		}
		t.Protected = f.Get("protected").Bool()
		t.TTL = f.Get("ttl").Duration(minTTL, maxTTL)
		if t.TTL > 0 && t.Protected {
			f.At("ttl").Errorf("a protected tier has no ttl: what expires is removed without its name")
		}
		t.RebuildAfter = age(f.Get("rebuild_after"))
		t.Audit = f.Get("audit").Bool()
		t.Machines = map[string]Override{}
		l.overrides(t, f.Get("machines"), overrideKeys)
		l.pins(t, f.Get("publish"))
		l.tiers[e.Key] = t
	}
}

func (l *loader) provider(n *strictyaml.Node) string {
	name := n.Line()
	if name != "" && (len(name) > 32 || !providerForm.MatchString(name)) {
		n.Errorf("got %q; a provider's name has at most 32 of a-z, 0-9 and -", clip(name))
		return ""
	}
	if n != nil {
		l.def.places[n.Path()] = n.Place()
	}
	return name
}

// overrides lays what n says of each kind over t.
func (l *loader) overrides(t *tier, n *strictyaml.Node, keys strictyaml.Keys) {
	for _, e := range n.Entries() {
		if !l.has(e.Key) {
			l.unknownKind(e)
			continue
		}
		t.Machines[e.Key] = l.override(e, t.Machines[e.Key], keys)
	}
}

// override is what e says of its kind, over what was said before.
func (l *loader) override(e strictyaml.Entry, was Override, keys strictyaml.Keys) Override {
	f := e.Value.Fields(keys)
	disks := l.def.Machines[e.Key].Data
	was.Count = cmp.Or(f.Get("count").Int(1, maxCount), was.Count)
	was.CPUs = cmp.Or(f.Get("cpus").Int(1, maxCPUs), was.CPUs)
	was.Memory = cmp.Or(f.Get("memory").Size(minMemory, maxMemory), was.Memory)
	was.Disk = cmp.Or(f.Get("disk").Size(minDisk, maxDisk), was.Disk)
	if n := f.Get("settings"); n != nil {
		was.Settings = l.settings(n)
	}
	if n := f.Get("secrets"); n != nil {
		was.Secrets = l.secrets(n)
	}
	if n := f.Get("data"); n != nil {
		was.Data = sizes(n, disks)
	}
	if n := f.Get("rebuild"); n != nil {
		r := rebuild(n, disks)
		was.Rebuild = &r
	}
	was.RebuildAfter = cmp.Or(age(f.Get("rebuild_after")), was.RebuildAfter)
	if n := f.Get("external"); n != nil {
		was.External = l.external(n)
	}
	if was.External != "" {
		for _, key := range keys.Now {
			if key != "external" {
				f.At(key).Errorf("%s is external in this tier (%s), so there is no machine that could have this", e.Key, was.External)
			}
		}
	}
	return was
}

func (l *loader) unknownKind(e strictyaml.Entry) {
	p := e.At.Errorf("there are no machines %q; there are %s", clip(e.Key), names(l.def.Machines))
	if kind := numbered.ReplaceAllString(e.Key, ""); kind != e.Key && l.has(kind) {
		p.Hint = fmt.Sprintf("what is said here holds for all machines of a kind: write %s", kind)
	} else if near := problem.Nearest(e.Key, slices.Sorted(maps.Keys(l.def.Machines))); near != "" {
		p.Hint = fmt.Sprintf("did you mean %s?", near)
	}
}

// pins lays the pins of n over those of t: one for the same port of the same machine takes the other's place.
func (l *loader) pins(t *tier, n *strictyaml.Node) {
	for _, machine := range n.Entries() {
		for _, e := range machine.Value.Entries() {
			p := pin{machine: machine.Key, port: e.At.Int(1, 65535), host: e.Value.Int(1024, 65535), at: e.At, value: e.Value}
			if p.port == 0 || p.host == 0 {
				continue
			}
			t.pins = slices.DeleteFunc(t.pins, func(q pin) bool { return q.machine == p.machine && q.port == p.port })
			t.pins = append(t.pins, p)
		}
	}
}

// local reads env.local.yaml, where there is one, over the tiers.
func (l *loader) local() (*strictyaml.Doc, error) {
	file := filepath.Join(l.shown, LocalName)
	doc, err := strictyaml.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if doc.Empty() { // all of it is commented out for today
		return nil, nil
	}
	l.def.Local = filepath.Join(l.def.Dir, LocalName)
	top := doc.Root().Fields(localKeys)
	top.Get("evenkeel").Int(schemaVersion, schemaVersion)
	for _, e := range top.Get("tiers").Entries() {
		t, ok := l.tiers[e.Key]
		if !ok {
			p := e.At.Errorf("there is no tier %q; there are %s", clip(e.Key), names(l.tiers))
			if near := problem.Nearest(e.Key, slices.Sorted(maps.Keys(l.tiers))); near != "" {
				p.Hint = fmt.Sprintf("did you mean %s?", near)
			}
			continue
		}
		if remote(t.Provider) {
			e.At.Errorf("%s is not a local tier (its provider is %s); %s changes local tiers only", e.Key, t.Provider, LocalName)
			continue
		}
		f := e.Value.Fields(localTierKeys)
		if n := f.Get("provider"); n != nil {
			was := t.Provider
			t.Provider = cmp.Or(l.provider(n), was)
			if t.Provider != was {
				t.Config = nil // it is that provider's own block
			}
			if remote(t.Provider) {
				n.Errorf("%s is no local provider", t.Provider)
			}
		}
		l.overrides(t, f.Get("machines"), localOverrideKeys)
		l.pins(t, f.Get("publish"))
		t.Local = true
	}
	return doc, nil
}

// finishTiers checks what needs a tier as a whole, and `default`.
func (l *loader) finishTiers(chosen *strictyaml.Node) {
	l.def.Tiers = map[string]Tier{}
	for _, name := range slices.Sorted(maps.Keys(l.tiers)) {
		t := l.tiers[name]
		l.count(t)
		l.checkPins(t)
		if len(t.Machines) == 0 {
			t.Machines = nil
		}
		t.Line = t.at.Place().Line
		l.def.Tiers[name] = t.Tier
	}
	l.def.Default = chosen.Line()
	if _, ok := l.tiers[l.def.Default]; l.def.Default != "" && !ok {
		p := chosen.Errorf("got %q; there are the tiers %s", clip(l.def.Default), names(l.tiers))
		if near := problem.Nearest(l.def.Default, slices.Sorted(maps.Keys(l.tiers))); near != "" {
			p.Hint = fmt.Sprintf("did you mean %s?", near)
		}
	}
}

const (
	maxMachines = 1000   // of one environment; names, rules and certificates are made for each
	maxExisting = 20_000 // where nothing is made for them
)

func (l *loader) count(t *tier) {
	total := 0
	for name, kind := range l.def.Machines {
		if over := t.Machines[name]; over.External == "" {
			total += cmp.Or(over.Count, kind.Count, 1)
		}
	}
	allowed := maxMachines
	if t.Provider == existing {
		allowed = maxExisting
	}
	switch {
	case total > allowed:
		t.at.Errorf("the tier comes to %d machines; allowed are %d", total, allowed)
	case total == 0 && len(l.def.Machines) > 0:
		t.at.Errorf("every kind of machines is external in this tier; an environment has at least one machine")
	}
}

func (l *loader) checkPins(t *tier) {
	taken := map[int]pin{}
	for _, p := range t.pins {
		if remote(t.Provider) {
			p.at.Errorf("publish pins loopback ports of local tiers; this tier's provider is %s, whose machines have addresses", t.Provider)
			return
		}
		if !l.published(t, p) {
			continue
		}
		if q, ok := taken[p.host]; ok {
			p.value.Errorf("got port %d, which is pinned for %s port %d already", p.host, q.machine, q.port)
			continue
		}
		taken[p.host] = p
		if t.Publish == nil {
			t.Publish = map[string]map[int]int{}
		}
		if t.Publish[p.machine] == nil {
			t.Publish[p.machine] = map[int]int{}
		}
		t.Publish[p.machine][p.port] = p.host
	}
}

// published reports whether the pin's machine exists in the tier and the port is allowed from anywhere.
func (l *loader) published(t *tier, p pin) bool {
	kindName, number := splitName(p.machine)
	kind, ok := l.def.Machines[kindName]
	if at := t.Machines[kindName].External; at != "" {
		p.at.Errorf("%s is external in this tier (%s), so there is no machine whose port could be published", kindName, at)
		return false
	}
	if count := cmp.Or(t.Machines[kindName].Count, kind.Count); !ok || number < 1 || number > count {
		hint := "machines are " + names(l.def.Machines) + " with - and a number, such as web-1"
		if ok {
			hint = fmt.Sprintf("in this tier there is %s-1", kindName)
			if count > 1 {
				hint = fmt.Sprintf("in this tier there are %s-1 to %s-%d", kindName, kindName, count)
			}
		} else if kind, ok := l.def.Machines[p.machine]; ok && kind.Count > 0 {
			hint = fmt.Sprintf("a pin is for one machine: %s-1", p.machine)
		}
		p.at.Errorf("there is no machine %q", clip(p.machine)).Hint = hint
		return false
	}
	for _, r := range kind.Allow {
		if r.From == Anywhere && r.PortLow <= p.port && p.port <= r.PortHigh {
			return true
		}
	}
	p.at.Errorf("port %d of %s is not allowed from anywhere, so there is nothing to publish", p.port, p.machine).Hint =
		fmt.Sprintf("say under machines.%s: allow: [{from: anywhere, port: %d}]", kindName, p.port)
	return false
}
