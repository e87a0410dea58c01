// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/providers"
)

// readFiles gives each snapshot of the files, and of the files in those that are folders, to take.
func (c *call) readFiles(files []string, take func(file string, s *parity.Snapshot) error) error {
	for _, file := range files {
		list := []string{c.path(file)}
		info, err := os.Stat(list[0])
		if err != nil {
			return fmt.Errorf("cannot read snapshots: %w", err)
		}
		if info.IsDir() {
			if list, err = snapshotFiles(list[0]); err != nil {
				return err
			}
		}
		for _, one := range list {
			if err := readFile(one, c.shown(one), take); err != nil {
				return err
			}
		}
	}
	return nil
}

// snapshotFiles are those of a folder that may hold snapshots, by name.
func snapshotFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read snapshots: %w", err)
	}
	var list []string
	for _, e := range entries {
		name := e.Name()
		if ext := filepath.Ext(name); !e.IsDir() && !strings.HasPrefix(name, ".") && (ext == ".jsonl" || ext == ".json" && name != reportName && name != envelopeName) {
			list = append(list, filepath.Join(dir, name))
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("cannot read snapshots: %s holds no .json or .jsonl file", dir)
	}
	return list, nil
}

func readFile(file, shown string, take func(string, *parity.Snapshot) error) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("cannot read snapshots: %w", err)
	}
	defer func() { _ = f.Close() }()
	met := 0
	if err := parity.ReadSnapshots(f, shown, func(s *parity.Snapshot) error {
		met++
		return take(shown, s)
	}); err != nil {
		return err
	}
	if met == 0 {
		return fmt.Errorf("cannot read snapshots: %s holds none", shown)
	}
	return nil
}

// fromFiles reads an audit's snapshots from files: of the tiers that were asked for, where any were.
func (c *call) fromFiles(s *auditSubject, o auditOptions, take func(*parity.Snapshot) error) error {
	seen := map[string]bool{s.reference: true}
	in := map[string]string{} // where each machine was read
	err := c.readFiles(c.flag.StringSlice("from"), func(file string, snapshot *parity.Snapshot) error {
		tier := snapshot.Subject.Tier
		if o.tiers != nil && !slices.Contains(o.tiers, tier) {
			return nil
		}
		seen[tier] = true
		id := tier + "/" + snapshot.Subject.Name + "/" + snapshot.Subject.Env
		if first, twice := in[id]; twice {
			return fmt.Errorf("cannot audit: %s/%s is in %s and in %s; an audit has one snapshot of each machine", tier, snapshot.Subject.Name, first, file)
		}
		in[id] = file
		return take(snapshot)
	})
	if err != nil {
		return err
	}
	if len(in) == 0 {
		return fmt.Errorf("cannot audit: no snapshot is of the tiers %s", listed(o.tiers))
	}
	unlisted(&s.policy, seen, "no snapshot of it was given")
	c.expectPlanned(s)
	return nil
}

// expectPlanned says what the definition gives by tier, as far as it says so without the places: which of its tiers have this user's own key is not known.
func (c *call) expectPlanned(s *auditSubject) {
	if s.def == nil {
		return
	}
	given := map[string]map[string]string{}
	for _, t := range s.policy.Tiers {
		if plan, _ := envs.MakePlan(s.def, envs.Options{Tier: t.Name, Providers: []string{s.def.Tiers[t.Name].Provider}}); plan != nil {
			given[t.Name] = parity.GivenKeys(providers.Logins(plan, plan.Access.Keys))
		}
	}
	s.policy.Expect(given)
}

// against makes the one tier that a file has the reference, under a name that no tier has.
func (c *call) against(s *auditSubject, file string) error {
	tier := ""
	var newest time.Time
	err := c.readFiles([]string{file}, func(_ string, snapshot *parity.Snapshot) error {
		if tier != "" && tier != snapshot.Subject.Tier {
			return fmt.Errorf("cannot compare with %s: it holds snapshots of the tiers %s and %s, wanted is one", file, tier, snapshot.Subject.Tier)
		}
		tier = snapshot.Subject.Tier
		if snapshot.Taken.After(newest) {
			newest = snapshot.Taken
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.reference = asOf(tier, newest)
	s.policy.Baseline = s.reference
	if s.def != nil {
		s.policy.Tiers = append([]parity.TierPolicy{{Name: s.reference}}, s.policy.Tiers...)
	}
	return nil
}

// readAgainst reads the reference that against chose.
func (c *call) readAgainst(s *auditSubject, take func(*parity.Snapshot) error) error {
	return c.readFiles([]string{c.flag.String("against")}, func(_ string, snapshot *parity.Snapshot) error {
		return take(parity.AsReference(snapshot, s.reference))
	})
}

// asOf is a tier's name at a day.
func asOf(tier string, at time.Time) string { return tier + "@" + at.UTC().Format(time.DateOnly) }
