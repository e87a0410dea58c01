// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/parity/facts"
)

const (
	reportMachines = 800
	reportTime     = 10.0 // s
	reportHTML     = 4.0  // MB
	reportLines    = 2.0  // of its text for each finding: machines are folded, not listed
)

// reports: an audit of the snapshots of machines of three distributions, as somebody has them who begins, and every report of it.
func (b *bench) reports(ctx context.Context) error {
	snapshots, err := threeSystems(ctx, reportMachines)
	if err != nil {
		return err
	}
	s, err := b.site("reports", map[string]string{"snapshots.jsonl": snapshots})
	if err != nil {
		return err
	}
	var took []float64
	for range b.rounds {
		r, err := s.audit(ctx, reportMachines, "--from", "snapshots.jsonl", "--baseline", "production")
		if err != nil {
			return err
		}
		took = append(took, r.time.Seconds())
	}
	page, text, counted, err := s.written()
	if err != nil {
		return err
	}
	b.budget(fmt.Sprintf("audit of %d machines of three distributions, from %.0f MB of snapshots, all reports", reportMachines, float64(len(snapshots))/1e6), "s", took, reportTime)
	b.budget("its HTML", "MB", []float64{float64(len(page)) / 1e6}, reportHTML)
	b.budget(fmt.Sprintf("its text of %d findings, each", counted), "lines", []float64{float64(bytes.Count(text, []byte("\n"))) / float64(counted)}, reportLines)
	return nil
}

// written is what the last audit wrote for people, and of how many findings.
func (s *site) written() (page, text []byte, counted int, err error) {
	out := filepath.Join(s.dir, "out")
	page, err1 := os.ReadFile(filepath.Join(out, "audit.html"))
	text, err2 := os.ReadFile(filepath.Join(out, "audit.txt"))
	data, err3 := os.ReadFile(filepath.Join(out, "audit.json"))
	report := new(parity.Report)
	if err := errors.Join(err1, err2, err3, json.Unmarshal(data, report)); err != nil {
		return nil, nil, 0, err
	}
	if report.Findings() == 0 {
		return nil, nil, 0, errors.New("the audit found nothing")
	}
	return page, text, report.Findings(), nil
}

// system is one of the distributions.
type system struct {
	id, version, arch, revision string
}

// threeSystems are n snapshots in three tiers: of Debian as this computer is, and of two that have as much of everything, under names and in values of their own. In staging some
// packages are newer, in dev more, and one machine in eight was changed by hand.
func threeSystems(ctx context.Context, n int) (string, error) {
	base, err := recordHere(ctx)
	if err != nil {
		return "", err
	}
	random := rand.New(rand.NewPCG(7, 11))
	systems := []system{{"debian", "12", "amd64", ""}, {"rocky", "9.4", "x86_64", "-3.el9"}, {"alpine", "3.20", "x86_64", "-r2"}}
	made := map[string][]parity.Section{}
	numbers := map[string]int{}
	var b strings.Builder
	for i := range n {
		tier := []string{"production", "production", "production", "staging", "dev"}[i%5]
		changed := 0
		if random.IntN(8) == 0 {
			changed = 1 + random.IntN(9)
		}
		state := fmt.Sprint(tier, i%3, changed)
		if made[state] == nil {
			made[state] = stateOf(base, systems[i%3], tier, changed)
		}
		numbers[tier+systems[i%3].id]++
		sum := sha256.Sum256([]byte("collector"))
		snapshot := &parity.Snapshot{
			Format: parity.SnapshotFormat, Subject: parity.Subject{Tier: tier, Name: fmt.Sprintf("%s-%d", systems[i%3].id, numbers[tier+systems[i%3].id])}, Collector: hex.EncodeToString(sum[:]),
			Taken: time.Now().UTC().Truncate(time.Second), KeyID: "bench", Sections: made[state],
		}
		if i%97 == 96 {
			snapshot.Sections = slices.Clone(snapshot.Sections)
			snapshot.Sections[0] = parity.Section{Name: snapshot.Sections[0].Name, Lane: parity.Stable, Unknown: "sudo does not permit it here", Digest: parity.DigestSection(nil)}
		}
		line, err := parity.MarshalSnapshot(snapshot)
		if err != nil {
			return "", err
		}
		b.Write(append(line, '\n'))
	}
	return b.String(), nil
}

// recordHere reads this computer as a machine is read.
func recordHere(ctx context.Context) ([]parity.Section, error) {
	groups := slices.DeleteFunc(collectors.All(), func(g collectors.Group) bool {
		return g.Lane != parity.Stable || strings.HasSuffix(g.Name, parity.OwnSuffix) || g.Name == "ca"
	})
	line, input := facts.Program(groups)
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Stdin = bytes.NewReader(input)
	text, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	said, err := facts.Answer(text)
	if err != nil {
		return nil, err
	}
	mask, err := facts.NewMask([]byte("not a secret of anybody"))
	if err != nil {
		return nil, err
	}
	var sections []parity.Section
	for _, g := range groups {
		if s := facts.Section(g, said[g.Name].Raw, mask); said[g.Name].Unknown == "" && s.Unknown == "" {
			sections = append(sections, s)
		}
	}
	if len(sections) < len(groups)/2 {
		return nil, errors.New("this computer says too little of itself")
	}
	return sections, nil
}

// stateOf is what a machine of a system says, in a tier, after so many changes by hand.
func stateOf(base []parity.Section, s system, tier string, changed int) []parity.Section {
	var all []parity.Section
	for _, section := range base {
		section.Items = slices.Clone(section.Items)
		for i := range section.Items {
			s.translate(section.Name, &section.Items[i], i)
		}
		switch section.Name {
		case "packages":
			for i := range map[string]int{"staging": 14, "dev": 60}[tier] + changed {
				at := (i*7 + changed*31) % len(section.Items)
				section.Items[at].Value += ".1"
			}
		case "sysctl":
			for i := range changed {
				section.Items[(changed*11+i)%len(section.Items)].Value = "1234"
			}
		}
		slices.SortFunc(section.Items, func(a, b parity.Item) int { return strings.Compare(a.Key, b.Key) })
		section.Digest = parity.DigestSection(section.Items)
		all = append(all, section)
	}
	return all
}

// translate makes a fact of Debian one of another system: packages have its names and versions, a third of the rest other values.
func (s system) translate(section string, item *parity.Item, at int) {
	switch {
	case section == "os" && item.Key == "id":
		item.Value = s.id
	case section == "os" && item.Key == "version_id":
		item.Value = s.version
	case s.revision == "":
	case section == "packages":
		name, _, _ := strings.Cut(item.Key, ":")
		if at%3 == 0 {
			name += "-libs"
		}
		version, _, _ := strings.Cut(item.Value, "-")
		item.Key, item.Value = name+":"+s.arch, version+s.revision
	case at%3 == 0:
		item.Value, item.Body = item.Value+" "+s.id, ""
	}
}
