// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/providers"
)

// side is one of the two things. Each reads what it is.
type side struct {
	label string // its column's tier
	what  string // tier, machine, image, file
	one   bool   // it is one thing, not many
	// Of an image.
	key      string
	manifest *images.Manifest
	recipe   string // its path in the definition; "" where it has none
	// Of tiers and machines.
	tier    *tierPlace
	machine string
	// Of files.
	file   string
	within string // a tier; "": all
}

// open lists a side's machines, or reads what its image holds.
func (m *compared) open(ctx context.Context, s *side) error {
	switch s.what {
	case "image":
		store, err := m.c.store(ctx)
		if err != nil {
			return err
		}
		if s.manifest, err = store.Manifest(ctx, s.key); errors.Is(err, os.ErrNotExist) {
			e := usagef("cannot compare with %s: it is not in this computer's store", s.label)
			e.hint = "`evenkeel image build` makes it"
			return e
		}
		return err
	case "file":
		return m.look(s)
	case "tier", "machine":
		name, _, _ := strings.Cut(s.label, "/")
		s.tier = &tierPlace{}
		m.tiers = append(m.tiers, s.tier)
		if err := m.c.listTier(ctx, m.auditSubject, s.tier, name); err != nil {
			return err
		}
		if s.what == "machine" {
			return s.pick()
		}
		if len(s.tier.machines) == 0 {
			return fmt.Errorf("cannot compare with the tier %s: it has no machine; `evenkeel up --tier %s` makes them", name, name)
		}
	}
	return nil
}

// look reads which tiers a file is of; one of several has to be named.
func (m *compared) look(s *side) error {
	tiers, n := map[string]bool{}, 0
	err := m.c.readFiles([]string{s.file}, func(_ string, snapshot *parity.Snapshot) error {
		if tiers[snapshot.Subject.Tier] = true; s.within == "" || snapshot.Subject.Tier == s.within {
			n++
		}
		return nil
	})
	switch name := m.c.shown(s.file); {
	case err != nil:
		return err
	case n == 0:
		return usagef("cannot compare with %s: it holds no snapshot of tier %s; it has %s", name, s.within, listed(sorted(tiers)))
	case s.within == "" && len(tiers) > 1:
		e := usagef("cannot compare with %s: it holds snapshots of the tiers %s", name, listed(sorted(tiers)))
		e.hint = fmt.Sprintf("name one of them: %s:%s", name, sorted(tiers)[0])
		return e
	}
	s.one = n == 1
	return nil
}

// pick leaves of a tier the one machine that was named.
func (s *side) pick() error {
	var names []string
	for _, m := range s.tier.machines {
		if m.Role() == s.machine {
			s.tier.machines = []providers.Status{m}
			return nil
		}
		names = append(names, m.Role())
	}
	return usagef("cannot compare with the machine %s: it is not there; the tier has %s", s.label, listed(names))
}

// read gives what a side is to take.
func (m *compared) read(ctx context.Context, s *side, take func(*parity.Snapshot) error) error {
	switch s.what {
	case "image":
		store, err := m.c.store(ctx)
		if err != nil {
			return err
		}
		texts, err := store.Texts(ctx, s.key)
		if err != nil {
			return err
		}
		made := parity.FromManifest(s.manifest, parity.Subject{Tier: s.label, Name: m.kindName(s), Kind: m.kindName(s)})
		for i := range made.Sections {
			for j := range made.Sections[i].Items {
				if item := &made.Sections[i].Items[j]; made.Sections[i].Name == "etc" {
					item.Body = texts[item.Key]
				}
			}
		}
		return take(&made)
	case "file":
		return m.c.readFiles([]string{s.file}, func(_ string, snapshot *parity.Snapshot) error {
			if s.within != "" && snapshot.Subject.Tier != s.within {
				return nil
			}
			return take(snapshot)
		})
	}
	return m.c.collect(ctx, s.tier.place, s.tier.machines, collectOptions{groups: m.groups}, take)
}

// kindName is what an image's stand-in is called: a kind that is made from it, where there is one.
func (m *compared) kindName(s *side) string {
	if m.def != nil && s.recipe != "" {
		for _, kind := range sorted(m.def.Machines) {
			if m.def.Machines[kind].Image == s.recipe {
				return kind
			}
		}
	}
	return "image"
}
