// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/store"
)

// variants are the sections of 40 kinds of machines of ordinary size: 1,200 packages, 900 files, 1,400 sysctls, 300 units.
func variants() [][]parity.Section {
	list := func(variant int, name string, n int, key, value string) parity.Section {
		s := parity.Section{Name: name, Lane: parity.Stable}
		for i := range n {
			v := fmt.Sprintf(value, i)
			if i == variant {
				v += "+" + fmt.Sprint(variant) // what makes the variant
			}
			s.Items = append(s.Items, parity.Item{Key: fmt.Sprintf(key, i), Value: v})
		}
		s.Digest = digestOf(s.Items)
		return s
	}
	var all [][]parity.Section
	for i := range 40 {
		all = append(all, []parity.Section{
			list(i, "etc", 900, "/etc/file%04d", "0644 root:root sha256:%064d"), section("os", parity.Stable, "id", "debian"),
			list(i, "packages", 1200, "package%04d:amd64", "1.%d-1"), list(i, "sysctl", 1400, "net.key%04d", "%d"), list(i, "units", 300, "unit%03d.service", "enabled active%d"),
		})
	}
	return all
}

// machines yields n of 3 tiers in 40 variants, 1 in 100 with a package of its own, each with ages of its own.
func machines(variants [][]parity.Section, n int, yield func(*parity.Snapshot) error) error {
	tiers := []string{"production", "staging", "ci"}
	for i := range n {
		sections := append(slices.Clone(variants[i%40]), section("boot", parity.Volatile, "uptime", fmt.Sprint(i)))
		if i%100 == 7 {
			p := &sections[2]
			p.Items = append(slices.Clone(p.Items), parity.Item{Key: "zzz:amd64", Value: fmt.Sprint(i)})
			p.Digest = digestOf(p.Items)
		}
		if err := yield(snapshot(tiers[i%3], fmt.Sprintf("web-%d", i), sections...)); err != nil {
			return err
		}
	}
	return nil
}

func policy() parity.Policy {
	return parity.Policy{At: now, Project: project, Baseline: "production",
		Tiers: []parity.TierPolicy{{Name: "production", RebuildAfter: map[string]time.Duration{"": 48 * time.Hour}}, {Name: "staging"}, {Name: "ci"}}}
}

// compared is the report of what is in the store.
func compared(b *testing.B, s *store.Store, audit int64) *parity.Report {
	c, err := parity.NewComparison(policy())
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Snapshots(b.Context(), audit, c.Add); err != nil {
		b.Fatal(err)
	}
	r, err := c.Report()
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// The law: comparison and all reports of 10,000 machines from the store in at most 5 s.
func BenchmarkFromStore(b *testing.B) {
	all := variants()
	for _, n := range []int{100, 1000, 10000} {
		dir := b.TempDir()
		s, err := store.Open(b.Context(), dir)
		if err != nil {
			b.Fatal(err)
		}
		record := func() int64 {
			r, err := s.Begin(b.Context(), project, now)
			if err != nil {
				b.Fatal(err)
			}
			defer r.Discard()
			if err := machines(all, n, func(s *parity.Snapshot) error { return r.Add(b.Context(), s) }); err != nil {
				b.Fatal(err)
			}
			a, err := r.Finish(b.Context(), &parity.Report{})
			if err != nil {
				b.Fatal(err)
			}
			return a.ID
		}
		audit := record()
		if info, err := os.Stat(filepath.Join(dir, store.File+"-wal")); err != nil || info.Size() == 0 {
			b.Fatal(err)
		}
		measure := func(what string, f func(b *testing.B)) {
			b.Run(fmt.Sprintf("%s/machines=%d", what, n), func(b *testing.B) {
				for b.Loop() {
					f(b)
				}
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				b.ReportMetric(float64(m.Sys)/1e6, "MB-sys")
			})
		}
		measure("keep", func(*testing.B) { record() })
		measure("snapshots", func(b *testing.B) {
			if err := s.Snapshots(b.Context(), audit, func(*parity.Snapshot) error { return nil }); err != nil {
				b.Fatal(err)
			}
		})
		measure("compare", func(b *testing.B) {
			if r := compared(b, s, audit); len(r.Rows) == 0 {
				b.Fatal("nothing was found")
			}
		})
		measure("report", func(b *testing.B) {
			r := compared(b, s, audit)
			for _, f := range parity.Formats() {
				if err := parity.Write(discard{}, r, f.Name, parity.WriteOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		measure("history", func(b *testing.B) {
			if h, err := s.History(b.Context(), project, "packages", "package0001:amd64", time.Time{}); err != nil || len(h) != n {
				b.Fatal(len(h), err)
			}
		})
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
