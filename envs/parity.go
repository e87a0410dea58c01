// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

// Parity is how machines and tiers are compared.
type Parity struct {
	Baseline      string        `json:"baseline,omitempty"`       // the tier that others are compared with; "": the audit's choice
	RebuildAfter  time.Duration `json:"rebuild_after,omitempty"`  // how old a machine may get; 0: no limit
	PromoteWithin time.Duration `json:"promote_within,omitempty"` // how long one tier may run a newer image of a recipe than another; 0: not at all
	Severity      []Severity    `json:"severity,omitempty"`       // in the order of the file: the first that matches wins
	Waivers       []Waiver      `json:"waivers,omitempty"`
	WaiverLife    time.Duration `json:"waiver_life,omitempty"` // how far away the end of a waiver may be at most; DefaultWaiverLife where nothing is said
}

// DefaultWaiverLife is the longest life of a waiver where the definition says nothing: a year.
const DefaultWaiverLife = 366 * 24 * time.Hour

// Severity gives findings that match another severity.
type Severity struct {
	Match    string `json:"match"`    // SECTION/KEY with * for any text
	Severity string `json:"severity"` // security, packages, config or info
}

// Waiver makes a finding an allowed difference until a day.
type Waiver struct {
	ID         string    `json:"id"`
	Match      string    `json:"match"`              // SECTION/KEY with * for any text, \* for a star: "packages/nginx:*"
	Value      string    `json:"value,omitempty"`    // only while the differing value is this one
	Tier       string    `json:"tier,omitempty"`     // "": all
	Machines   string    `json:"machines,omitempty"` // a kind; "": all
	Reason     string    `json:"reason"`
	Owner      string    `json:"owner"`
	ApprovedBy string    `json:"approved_by,omitempty"`
	Ref        string    `json:"ref,omitempty"`
	Until      time.Time `json:"until"` // the waiver's last moment: the end of its last day, UTC

	File string `json:"file,omitempty"` // where it stands, relative to the project
	Line int    `json:"line,omitempty"`

	place problem.Problem // of until
}

// What may stand where.
var (
	parityKeys = strictyaml.Keys{Now: []string{"baseline", "rebuild_after", "promote_within", "severity", "waivers", "waiver_life"}}
	waiverKeys = strictyaml.Keys{Now: []string{"id", "match", "value", "tier", "machines", "reason", "owner", "approved_by", "ref", "until"}}
)

const (
	minAge     = time.Hour
	maxAge     = 10 * 366 * 24 * time.Hour
	maxWaivers = 2000
)

// RebuildAfter is how old a machine of a kind may get in a tier, 0 where there is no limit: what the tier says of the kind, else the tier, else the kind,
// else the definition.
func (d *Definition) RebuildAfter(tier, kind string) time.Duration {
	t := d.Tiers[tier]
	for _, limit := range []time.Duration{t.Machines[kind].RebuildAfter, t.RebuildAfter, d.Machines[kind].RebuildAfter} {
		if limit != 0 {
			return limit
		}
	}
	return d.Parity.RebuildAfter
}

// CheckWaivers are the problems with waivers that depend on the day: one that lasts longer than the definition allows. An expired one is none: what it
// covered is a finding again.
func (d *Definition) CheckWaivers(now time.Time) problem.List {
	var list problem.List
	for _, w := range d.Parity.Waivers {
		if wrong := d.CheckWaiverUntil(w.Until, now); wrong != "" {
			at := w.place
			at.Severity, at.Message, at.Hint = problem.Error, wrong, WaiverLifeHint
			list = append(list, at)
		}
	}
	return list
}

// WaiverLifeHint is what to do where CheckWaiverUntil says no.
const WaiverLifeHint = "choose a nearer day, or allow more with parity.waiver_life"

// CheckWaiverUntil says why a waiver may not last until a day, as of now; "" where it may.
func (d *Definition) CheckWaiverUntil(until, now time.Time) string {
	longest := d.Parity.WaiverLife
	if longest == 0 {
		longest = DefaultWaiverLife
	}
	if !until.After(now.Add(longest + 24*time.Hour)) {
		return ""
	}
	return fmt.Sprintf("got a waiver until %s; a waiver may last %s at most, which is until %s today", until.UTC().Format(time.DateOnly),
		strictyaml.FormatDuration(longest), now.Add(longest).UTC().Format(time.DateOnly))
}

// age is n as an age limit.
func age(n *strictyaml.Node) time.Duration { return n.Duration(minAge, maxAge) }

// parity reads `parity`; machines and tiers are read already.
func (l *loader) parity(n *strictyaml.Node) error {
	f := n.Fields(parityKeys)
	if f == nil {
		return nil
	}
	p := &l.def.Parity
	p.Baseline = l.tierName(f.Get("baseline"))
	p.RebuildAfter = age(f.Get("rebuild_after"))
	p.PromoteWithin = f.Get("promote_within").Duration(0, maxAge)
	p.WaiverLife = f.Get("waiver_life").Duration(24*time.Hour, maxAge)
	for _, e := range f.Get("severity").Entries() {
		match(e.At, e.Key)
		p.Severity = append(p.Severity, Severity{e.Key, e.Value.OneOf("security", "packages", "config", "info")})
	}
	waivers := f.Get("waivers")
	if waivers.Is() != "scalar" {
		l.waivers(waivers, filepath.Base(l.def.File))
		return nil
	}
	return l.waiverFile(waivers)
}

// waiverFile reads the file that n names: a map with the key waivers.
func (l *loader) waiverFile(n *strictyaml.Node) error {
	name := n.Line()
	if name == "" {
		return nil
	}
	if !filepath.IsLocal(name) || path.Clean(name) != name {
		n.Errorf("got %q; the file of waivers lies inside the project, named relative to env.yaml, such as waivers.yaml", clip(name))
		return nil
	}
	info, err := l.root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		n.Errorf("the file %s does not exist", clip(name)).Hint = "make one that holds the line: waivers: []"
		return nil
	case err != nil:
		n.Errorf("the file %s cannot be used: %v", clip(name), leaf(err))
		return nil
	case !info.Mode().IsRegular():
		n.Errorf("the file %s is no regular file", clip(name))
		return nil
	}
	doc, err := strictyaml.ReadFile(filepath.Join(l.shown, name))
	if err != nil {
		return err
	}
	l.waivers(doc.Root().Map("waivers").Need("waivers"), name)
	l.inside = append(l.inside, doc.Problems()...)
	return nil
}

func (l *loader) waivers(n *strictyaml.Node, file string) {
	items := n.List()
	if len(items) > maxWaivers {
		n.Errorf("got %d waivers; allowed are %d", len(items), maxWaivers)
		return
	}
	ids := map[string]int{}
	for _, item := range items {
		f := item.Fields(waiverKeys)
		if f == nil {
			continue
		}
		id, until := f.Need("id"), f.Need("until")
		w := Waiver{
			ID: id.Line(), Match: match(f.Need("match"), f.Get("match").Line()), Value: f.Get("value").Str(), Tier: l.tierName(f.Get("tier")),
			Machines: f.Get("machines").Line(), Reason: f.Need("reason").Line(), Owner: f.Need("owner").Line(),
			ApprovedBy: f.Get("approved_by").Line(), Ref: f.Get("ref").Line(), Until: day(until), File: file, Line: item.Place().Line, place: until.Place(),
		}
		if first := ids[w.ID]; w.ID != "" && first != 0 {
			id.Errorf("got %q, the id of the waiver at line %d", clip(w.ID), first)
		}
		if w.Machines != "" && !l.has(w.Machines) {
			f.Get("machines").Errorf("there are no machines %q; there are %s", clip(w.Machines), names(l.def.Machines))
		}
		ids[w.ID] = w.Line
		l.def.Parity.Waivers = append(l.def.Parity.Waivers, w)
	}
}

// match is text, which stands at n, as a pattern of findings.
func match(n *strictyaml.Node, text string) string {
	section, _, found := strings.Cut(text, "/")
	switch {
	case text == "":
	case !found, strings.Contains(section, "*"), section == "":
		n.Errorf("got %q; wanted is SECTION/KEY, in which * of the key stands for any text, such as packages/nginx:* or etc//etc/motd", clip(text)).Hint =
			"a report says the section and the key of each finding"
	case len(text) > maxPath:
		n.Errorf("got a text of %d bytes; allowed are %d", len(text), maxPath)
	}
	return text
}

// day is n as a day; its end is what counts, in UTC.
func day(n *strictyaml.Node) time.Time {
	text := n.Line()
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		n.Errorf("got %q; wanted is a day such as 2027-03-31", clip(text))
		return time.Time{}
	}
	return t.Add(24*time.Hour - time.Second)
}

// tierName is n as the name of a tier.
func (l *loader) tierName(n *strictyaml.Node) string {
	name := n.Line()
	if _, ok := l.tiers[name]; name != "" && !ok {
		p := n.Errorf("there is no tier %q; there are %s", clip(name), names(l.tiers))
		if near := problem.Nearest(name, slices.Sorted(maps.Keys(l.tiers))); near != "" {
			p.Hint = fmt.Sprintf("did you mean %s?", near)
		}
		return ""
	}
	return name
}
