// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
)

func (a *App) compareVerb() verb {
	return verb{
		name: "compare", args: "A B", about: "say where two things differ: tiers, machines, images, snapshots",
		more: "Each of A and B is a tier, a machine (production/web-1; web-1 is of the tier chosen), an image (its recipe's name, or the begin of its key), or a file of snapshots (of several tiers FILE:TIER). " +
			"What a word means that could be several is said with tier:, machine:, image: or ./ before it. B is compared with A; ages, plans and waivers are `audit`'s. " +
			"The exit status is 0 where nothing differs, 2 where something does, 3 where not all could be read.",
		flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "section", Usage: "read and compare `NAME` only (packages, etc, sshd, ...), and others that are named so"},
			&cli.StringFlag{Name: "format", Usage: "write as `FORMAT`: " + strings.Join(formatNames(), ", ")},
		},
		lacks: []string{"as"},
		run:   runCompare,
	}
}

// compared is a comparison of two sides while it is made.
type compared struct {
	*auditSubject
	c      *call
	word   [2]string
	side   [2]side
	groups []collectors.Group // that are read; nil: all
	kind   string             // what machines of both sides are called where each is one thing; "": their own kinds
}

func runCompare(ctx context.Context, c *call) error {
	if err := c.maxArgs(2); err != nil {
		return err
	}
	if len(c.args) < 2 {
		return usagef("compare takes two things, such as: evenkeel compare staging production")
	}
	format := c.flag.String("format")
	switch {
	case format != "" && !slices.Contains(formatNames(), format):
		return usagef("--format: got %q; allowed are %s", format, strings.Join(formatNames(), ", "))
	case format != "" && format != "json" && c.json():
		return usagef("--json and --format %s exclude each other", format)
	case c.json():
		format = "json"
	case format == "":
		format = "text"
	}
	m := &compared{c: c, auditSubject: &auditSubject{policy: parity.Policy{
		At: time.Now().UTC(), Tool: tool(), Manifests: map[string]*images.Manifest{}, Texts: map[string]map[string]string{},
	}}}
	defer m.close()
	if names := words(c.flag.StringSlice("section")); names != nil {
		var err error
		if m.groups, m.policy.Sections, err = sections(names); err != nil {
			return err
		}
	}
	if err := m.resolve(ctx); err != nil {
		return err
	}
	if a, b := m.side[0], m.side[1]; a.what == b.what && a.label == b.label && a.key == b.key && a.file == b.file {
		return usagef("cannot compare %s with %s: that is the same %s", m.word[0], m.word[1], a.what)
	}
	d, tell := c.show()
	defer d.stop()
	m.tell = tell
	report, err := m.report(ctx)
	d.stop()
	if err != nil {
		return err
	}
	w := parity.WriteOptions{}
	if m.def != nil {
		w.Definition = filepath.Base(m.def.File)
	}
	switch a, b := m.side[0].what, m.side[1].what; {
	case a == "image" && b == "image":
		advise(report, "it is in the recipes, or in their locks: `evenkeel image lock --update` moves a lock to what the archives have today")
	case a != "tier" || b != "tier":
		advise(report, "rebuild what is not as it is meant to be, or bring the difference into its recipe")
	}
	if err := c.printReport(c.Stdout, report, format, w); err != nil {
		return err
	}
	return standing(report, nil)
}

// report reads both sides and compares the second with the first.
func (m *compared) report(ctx context.Context) (*parity.Report, error) {
	for i := range m.side {
		if err := m.open(ctx, &m.side[i]); err != nil {
			return nil, err
		}
	}
	a, b := &m.side[0], &m.side[1]
	switch {
	case a.what == "machine" && b.what == "machine" && a.tier.Plan.Tier == b.tier.Plan.Tier: // then what the place decides is compared too
		a.label, b.label = a.tier.Plan.Tier, a.tier.Plan.Tier
	case a.label == b.label:
		b.label += " (2)"
	}
	if a.one && b.one {
		m.kind = m.kindOf(a, b)
	}
	if m.def != nil {
		for _, s := range m.def.Parity.Severity {
			m.policy.Severities = append(m.policy.Severities, parity.SeverityRule{Match: s.Match, Severity: parity.Severity(s.Severity)})
		}
		for kind, k := range m.def.Machines {
			m.policy.Recipes = put(m.policy.Recipes, kind, k.Image)
		}
		m.policy.Commit = commitOf(ctx, m.def.Dir)
	}
	if a.what == "image" != (b.what == "image") {
		return m.withImage(ctx)
	}
	m.policy.Baseline = a.label
	if a.what == "image" {
		m.policy.Sections = m.ofImages()
	}
	given := map[string]map[string]string{}
	for i := range m.side {
		t := parity.TierPolicy{Name: m.side[i].label}
		if p := m.side[i].tier; p != nil && m.side[i].what == "tier" {
			t.External, given[t.Name] = p.Plan.External, parity.GivenKeys(p.Logins())
		}
		if i == 0 || t.Name != a.label {
			m.policy.Tiers = append(m.policy.Tiers, t)
		}
	}
	if len(given) == len(m.side) {
		m.policy.Expect(given)
	}
	all, err := parity.NewComparison(m.policy)
	if err != nil {
		return nil, err
	}
	for i := range m.side {
		s := &m.side[i]
		err := m.read(ctx, s, func(snapshot *parity.Snapshot) error {
			if !m.wanted(&m.side[1-i], snapshot) {
				return nil
			}
			other := parity.AsReference(snapshot, s.label)
			if m.kind != "" {
				other.Subject.Kind = m.kind
			}
			return all.Add(other)
		})
		if err != nil {
			return nil, err
		}
	}
	return all.Report()
}

// withImage compares machines with an image as if they were made from it: what they differ in is told as their drift.
func (m *compared) withImage(ctx context.Context) (*parity.Report, error) {
	image, other := &m.side[0], &m.side[1]
	if image.what != "image" {
		image, other = other, image
	}
	store, err := m.c.store(ctx)
	if err != nil {
		return nil, err
	}
	m.policy.Manifests[image.key] = image.manifest
	if m.policy.Texts[image.key], err = store.Texts(ctx, image.key); err != nil {
		return nil, err
	}
	m.policy.Sections, m.policy.Baseline = m.ofImages(), other.label
	m.policy.Tiers = []parity.TierPolicy{{Name: other.label}}
	all, err := parity.NewComparison(m.policy)
	if err != nil {
		return nil, err
	}
	met := 0
	err = m.read(ctx, other, func(snapshot *parity.Snapshot) error {
		if !m.wanted(image, snapshot) {
			return nil
		}
		met++
		made := parity.AsReference(snapshot, other.label)
		made.Subject.ImageKey = image.key
		return all.Add(made)
	})
	if err != nil {
		return nil, err
	}
	if met == 0 {
		return nil, fmt.Errorf("cannot compare %s with %s: it has no machine that is made from this recipe", m.word[0], m.word[1])
	}
	r, err := all.Report()
	if err != nil {
		return nil, err
	}
	r.Baseline = image.label
	r.Notes = append(r.Notes, fmt.Sprintf("%s is compared with %s in packages, files of /etc and release: more an image does not say of machines", other.label, image.label))
	for i := range r.Rows {
		if r.Rows[i].Kind == parity.Drift && r.Rows[i].Counts {
			r.Rows[i].Fix = "rebuild it from the image, or keep the change by saying it in the recipe"
		}
	}
	return r, nil
}

// ofImages are the sections that are compared with an image.
func (m *compared) ofImages() []string {
	return slices.DeleteFunc(parity.ManifestSections(), func(name string) bool { return m.policy.Sections != nil && !slices.Contains(m.policy.Sections, name) })
}

// wanted reports whether a machine of one side is to be held against the other side: beside an image only what is made from its recipe, beside one machine
// only its own kind.
func (m *compared) wanted(other *side, snapshot *parity.Snapshot) bool {
	if m.kind != "" || m.def == nil || snapshot.Subject.Kind == "" {
		return true
	}
	switch kind := snapshot.Subject.Kind; {
	case other.what == "image" && other.recipe != "":
		return m.def.Machines[kind].Image == other.recipe
	case other.what == "machine":
		return other.tier.machines[0].Kind == kind
	}
	return true
}

// kindOf is what both are called: their kind, where it is one.
func (m *compared) kindOf(a, b *side) string {
	var kinds []string
	for _, s := range []*side{a, b} {
		if s.what == "machine" {
			kinds = append(kinds, s.tier.machines[0].Kind)
		}
	}
	if len(kinds) > 0 && kinds[0] != "" && kinds[0] == kinds[len(kinds)-1] {
		return kinds[0]
	}
	if a.what == "image" && b.what == "image" {
		return "image"
	}
	return "machine"
}

func put[V any](m map[string]V, key string, value V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[key] = value
	return m
}
