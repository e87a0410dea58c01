// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/parity"
)

// bigBase are the sections of a machine of ordinary size: 1,200 packages, 900 files, 1,400 sysctls, 300 others.
func bigBase(variant int) []parity.Section {
	list := func(name string, n int, key, value string) parity.Section {
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
	return []parity.Section{
		list("etc", 900, "/etc/file%04d", "0644 root:root sha256:%064d"),
		{Name: "os", Lane: parity.Stable, Digest: "os", Items: []parity.Item{{Key: "id", Value: "debian"}}},
		list("packages", 1200, "package%04d:amd64", "1.%d-1"),
		list("sysctl", 1400, "net.key%04d", "%d"),
		list("units", 300, "unit%03d.service", "enabled active%d"),
	}
}

// bigFleet yields n machines of 3 tiers in 40 variants, 1 in 100 drifted by a package of its own. Sections are shared as the client shares them, but for the section
// of every machine's own ages; own makes also etc each machine's own, as where it holds an identity.
func bigFleet(variants [][]parity.Section, n int, own bool, yield func(*parity.Snapshot)) {
	tiers := []string{"production", "staging", "ci"}
	for i := range n {
		sections := slices.Clone(variants[i%40])
		sections = append(sections, parity.Section{Name: "boot", Lane: parity.Volatile, Digest: fmt.Sprint(i), Items: []parity.Item{{Key: "uptime", Value: fmt.Sprint(i)}}})
		if own {
			sections[0].Items = append([]parity.Item{{Key: "/etc/.id", Value: fmt.Sprint(i), Lane: parity.Identity}}, sections[0].Items...)
			sections[0].Digest = fmt.Sprintf("etc%d", i)
		}
		if i%100 == 7 {
			sections[2].Items = append(slices.Clone(sections[2].Items), parity.Item{Key: "zzz:amd64", Value: fmt.Sprintf("%d", i)})
			sections[2].Digest = fmt.Sprintf("drift%d", i)
		}
		yield(&parity.Snapshot{
			Format: 1, Collector: "c", Taken: now, KeyID: "k", Sections: sections,
			Subject: parity.Subject{Tier: tiers[i%3], Name: fmt.Sprintf("web-%d", i), Kind: "web", Created: now.Add(-time.Duration(i) * time.Minute)},
		})
	}
}

// The law: 10,000 machines, 3 tiers, 40 variants, 1 % drifted in at most 5 s and 300 MB.
func BenchmarkCompare(b *testing.B) {
	variants := make([][]parity.Section, 40)
	for i := range variants {
		variants[i] = bigBase(i)
	}
	for _, own := range []bool{false, true} {
		for _, n := range []int{100, 1000, 10000} {
			b.Run(fmt.Sprintf("machines=%d/own-etc=%v", n, own), func(b *testing.B) {
				for b.Loop() {
					c, err := parity.NewComparison(parity.Policy{
						At: now, Baseline: "production", Tiers: []parity.TierPolicy{{Name: "production", RebuildAfter: map[string]time.Duration{"": 48 * time.Hour}}, {Name: "staging"}, {Name: "ci"}},
					})
					if err != nil {
						b.Fatal(err)
					}
					bigFleet(variants, n, own, func(s *parity.Snapshot) {
						if err := c.Add(s); err != nil {
							b.Fatal(err)
						}
					})
					r, err := c.Report()
					if err != nil || len(r.Rows) == 0 {
						b.Fatal(err)
					}
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					b.ReportMetric(float64(m.Sys)/1e6, "MB-sys")
					b.ReportMetric(float64(len(r.Rows)), "rows")
					b.ReportMetric(float64(len(r.Columns)), "columns")
				}
			})
		}
	}
}
