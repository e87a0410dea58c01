// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

const (
	mib = 1 << 20
	gib = 1 << 30
	tib = 1 << 40
)

// What one machine, kind and environment may be. The bounds only keep out what must be a mistake.
const (
	maxCount     = 10_000 // of machines that exist already; how many are made is bounded by maxMachines
	maxCPUs      = 512
	minMemory    = 64 * mib
	maxMemory    = 16 * tib
	minDisk      = gib
	maxDisk      = 64 * tib
	maxRules     = 64
	maxKindName  = 32
	maxPublished = 64 // ports of one kind that are allowed from anywhere: each is a loopback port of each machine on local tiers
)

const (
	defaultMemory = 512 * mib
	defaultDisk   = 4 * gib
	defaultWithin = 90 * time.Second
)

// kinds reads `machines`; image is the recipe of kinds that name none.
func (l *loader) kinds(n, image *strictyaml.Node) {
	l.def.Machines = map[string]Kind{}
	shared := l.recipe(image)
	entries := n.Entries()
	if n.Is() == "map" && len(entries) == 0 {
		n.Errorf("there is no machine; an environment has at least one")
	}
	for _, e := range entries {
		kindName(e)
		l.def.Machines[e.Key] = Kind{} // rules name kinds that stand below them
	}
	for _, e := range entries {
		l.def.Machines[e.Key] = l.kind(e, image, shared)
	}
}

// imageless refuses kinds without a recipe, unless all tiers are of machines that exist already: nothing is made from one there.
func (l *loader) imageless() {
	made := len(l.tiers) == 0
	for _, t := range l.tiers {
		made = made || !ReadOnly(t.Provider)
	}
	if !made {
		return
	}
	for _, e := range l.noImage {
		e.At.Errorf("%s has no image", clip(e.Key)).Hint = "name a recipe: image: images/web.yaml, here or at the top for all machines"
	}
}

func kindName(e strictyaml.Entry) {
	name := keyLabel(e)
	switch {
	case name == "":
	case numbered.MatchString(name):
		e.At.Errorf("got %q; a name must not end in - and a number, because machines are numbered: web with count 2 is web-1 and web-2", name).Hint =
			fmt.Sprintf("name it %s and say count", numbered.ReplaceAllString(name, ""))
	case len(name) > maxKindName:
		e.At.Errorf("got a name of %d characters; allowed are %d", len(name), maxKindName)
	case name == Anywhere || name == "localhost":
		e.At.Errorf("the name %s has a meaning already", name)
	}
}

// kind reads one entry; image is the definition's own recipe and shared its name.
func (l *loader) kind(e strictyaml.Entry, image *strictyaml.Node, shared string) Kind {
	f := e.Value.Fields(kindKeys)
	if f == nil {
		return Kind{}
	}
	recipe := shared
	if own := f.Get("image"); own != nil {
		image, recipe = own, l.recipe(own)
	}
	if image == nil {
		l.noImage = append(l.noImage, e)
	}
	l.def.places[recipePath(e.Key)] = image.Place()
	disks := l.data(f.Get("data"))
	return Kind{
		Count:     cmp.Or(f.Get("count").Int(1, maxCount), 1),
		Image:     recipe,
		CPUs:      cmp.Or(f.Get("cpus").Int(1, maxCPUs), 1),
		Memory:    cmp.Or(f.Get("memory").Size(minMemory, maxMemory), defaultMemory),
		Disk:      cmp.Or(f.Get("disk").Size(minDisk, maxDisk), defaultDisk),
		Allow:     l.rules(f.Get("allow")),
		Health:    health(f.Get("health")),
		Stateless: f.Get("stateless").Bool(),
		Settings:  l.settings(f.Get("settings")),
		Secrets:   l.secrets(f.Get("secrets")),
		Data:      disks,
		Code:      l.code(f.Get("code"), disks),
		Rebuild:   rebuild(f.Get("rebuild"), disks),

		RebuildAfter: age(f.Get("rebuild_after")),
	}
}

func (l *loader) rules(n *strictyaml.Node) []Rule {
	items := n.List()
	if len(items) > maxRules {
		n.Errorf("got %d rules; allowed are %d for each kind", len(items), maxRules)
		return nil
	}
	var rules []Rule
	published := map[Publish]bool{}
	for _, item := range items {
		f := item.Fields(ruleKeys)
		from := f.Need("from")
		r := Rule{From: l.from(from), Proto: cmp.Or(f.Get("proto").OneOf("tcp", "udp"), "tcp")}
		port := f.Need("port")
		r.PortLow, r.PortHigh = ports(port)
		if r.From == Anywhere && r.PortHigh-r.PortLow >= maxPublished {
			port.Errorf("got a range of %d ports; from anywhere allowed are %d, because each is published by itself", r.PortHigh-r.PortLow+1, maxPublished).Hint =
				"name the ports that are needed, or the networks that need them (from: 10.0.0.0/8)"
			continue
		}
		if r.PortLow > 0 {
			for _, p := range publish([]Rule{r}, nil) {
				published[p] = true
			}
		}
		rules = append(rules, r)
	}
	if len(published) > maxPublished {
		n.Errorf("the rules let anywhere in at %d ports; allowed are %d, because each is published by itself", len(published), maxPublished)
	}
	return rules
}

// from is who may come in: anywhere, a kind, a network.
func (l *loader) from(n *strictyaml.Node) string {
	text := n.Line()
	switch {
	case text == "" || text == Anywhere:
		return text
	case strings.ContainsAny(text, "/:") || isAddress(text):
		return network(n, text)
	}
	if _, ok := l.def.Machines[text]; ok {
		return text
	}
	p := n.Errorf("got %q; allowed is anywhere, a network such as 10.0.0.0/8, or one of the machines %s", clip(text), names(l.def.Machines))
	if kind := numbered.ReplaceAllString(text, ""); kind != text && l.has(kind) {
		p.Hint = fmt.Sprintf("a rule holds for all machines of a kind: write %s", kind)
	} else if near := problem.Nearest(text, append(slices.Sorted(maps.Keys(l.def.Machines)), Anywhere)); near != "" {
		p.Hint = fmt.Sprintf("did you mean %s?", near)
	}
	return ""
}

func (l *loader) has(kind string) bool {
	_, ok := l.def.Machines[kind]
	return ok
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

func network(n *strictyaml.Node, text string) string {
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		p := n.Errorf("got %q; a network is an address, / and the number of leading bits, such as 10.0.0.0/8 or fd00::/8", clip(text))
		if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
			p.Hint = fmt.Sprintf("for this one address write %s/%d", a, a.BitLen())
		}
		return ""
	case prefix.Addr().Is4In6():
		n.Errorf("got %q, an IPv4 network in the clothes of IPv6; write it as IPv4", text)
		return ""
	case prefix.Bits() == 0:
		n.Errorf("got %q, which is every address", text).Hint = "write anywhere"
		return ""
	case prefix.Masked() != prefix:
		n.Errorf("got %q, which has bits set behind the first %d", text, prefix.Bits()).Hint = "write " + prefix.Masked().String()
		return ""
	}
	return prefix.String()
}

var rangeForm = lazyregexp.New(`^([0-9]+)-([0-9]+)$`)

// ports is n as a port, or as a range in the form "8000-8010".
func ports(n *strictyaml.Node) (low, high int) {
	raw, _ := n.Raw()
	m := rangeForm.FindStringSubmatch(raw)
	if m == nil {
		if text, quoted := n.Raw(); n != nil && n.Is() == "scalar" && !quoted && strings.Contains(text, "-") && !strings.HasPrefix(text, "-") {
			n.Errorf("got %q; allowed is a port from 1 to 65535 or a range such as 8000-8010", clip(text))
			return 0, 0
		}
		low = n.Int(1, 65535)
		return low, low
	}
	low, _ = strconv.Atoi(m[1])
	high, _ = strconv.Atoi(m[2])
	if low < 1 || high > 65535 || low > high {
		n.Errorf("got %q; a range is two ports from 1 to 65535, the lower one first", clip(raw))
		return 0, 0
	}
	return low, high
}

var (
	httpForm = lazyregexp.New(`^:([0-9]+)(/[!-~]*)?$`)
	tcpForm  = lazyregexp.New(`^:([0-9]+)$`)
)

func health(n *strictyaml.Node) *Health {
	f := n.Fields(healthKeys)
	if f == nil {
		return nil
	}
	h := &Health{Within: cmp.Or(f.Get("within").Duration(time.Second, time.Hour), defaultWithin)}
	asked := 0
	for _, key := range []string{"http", "tcp", "exec"} {
		if f.Get(key) != nil {
			asked++
		}
	}
	if asked != 1 {
		n.Errorf("got %d of http, tcp and exec; wanted is one", asked)
	}
	h.HTTP = endpoint(f.Get("http"), httpForm, `a port and a path, such as ":80/"`)
	if h.HTTP != "" && !strings.Contains(h.HTTP, "/") {
		h.HTTP += "/"
	}
	h.TCP = endpoint(f.Get("tcp"), tcpForm, `a port, such as ":5432"`)
	h.Exec = f.Get("exec").Line()
	return h
}

func endpoint(n *strictyaml.Node, form *lazyregexp.Regexp, wanted string) string {
	if raw, _ := n.Raw(); n.Is() == "scalar" && raw != "" && strings.Trim(raw, "0123456789") == "" {
		n.Errorf("got %s; wanted is %s", clip(raw), wanted).Hint = "write " + strconv.Quote(":"+clip(raw))
		return ""
	}
	text := n.Line()
	if text == "" {
		return ""
	}
	m := form.FindStringSubmatch(text)
	if m == nil {
		n.Errorf("got %q; wanted is %s", clip(text), wanted)
		return ""
	}
	if port, _ := strconv.Atoi(m[1]); port < 1 || port > 65535 {
		n.Errorf("got port %s; allowed is 1 to 65535", clip(m[1]))
		return ""
	}
	return text
}

// recipePath is where the definition remembers the place that names a kind's recipe.
func recipePath(kind string) string { return "machines." + kind + ".image" }
