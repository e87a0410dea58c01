// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/parity"
)

// threeSystems is n machines of three distributions in three tiers, some of them changed: the same for the same n.
func threeSystems(n int) []parity.Snapshot {
	random := rand.New(rand.NewPCG(7, 11))
	systems := []struct{ kind, id, version, release string }{{"web", "debian", "12", "-1+deb12u"}, {"db", "rocky", "9.4", "-3.el9_"}, {"edge", "alpine", "3.20", "-r"}}
	plain := map[string]box{}
	for _, s := range systems {
		b := box{"os": {"id": s.id, "version_id": s.version}, "packages": {}, "sysctl": {}, "sshd": {}, "units": {}}
		for i := range 450 {
			name := fmt.Sprintf("lib%s-%03d", s.kind, i)
			if s.id == "debian" {
				name += ":amd64"
			}
			b["packages"][name] = fmt.Sprintf("%d.%d.%d%s1", 1+i%7, i%13, i%5, s.release)
		}
		for i := range 300 {
			b["sysctl"][fmt.Sprintf("net.core.setting_%03d", i)] = fmt.Sprint(i * 16)
		}
		for i := range 80 {
			b["sshd"][fmt.Sprintf("option%02d", i)] = "no"
			b["units"][fmt.Sprintf("service-%02d.service", i)] = "enabled active"
		}
		plain[s.kind] = b
	}
	changed := map[string]box{}
	var all []parity.Snapshot
	numbers := map[string]int{}
	for i := range n {
		tier := []string{"production", "production", "production", "staging", "dev"}[i%5]
		s := systems[i%3]
		b := plain[s.kind]
		variant := 0
		if random.IntN(100) < 12 {
			variant = 1 + random.IntN(9)
		}
		if tier != "production" || variant > 0 {
			key := fmt.Sprint(tier, s.kind, variant)
			if changed[key] == nil {
				changed[key] = changeSystem(b, s.release, tier, variant)
			}
			b = changed[key]
		}
		numbers[tier+s.kind]++
		m := snap(tier, fmt.Sprintf("%s-%d", s.kind, numbers[tier+s.kind]), b)
		if i%97 == 96 {
			m.Sections, m.Unreachable = nil, "no answer within 10 s"
		}
		all = append(all, m)
	}
	return all
}

func changeSystem(b box, release, tier string, variant int) box {
	keys := func(section string) []string {
		var all []string
		for k := range b[section] {
			all = append(all, k)
		}
		return inOrder(all)
	}
	out := b
	packages := keys("packages")
	for i := range map[string]int{"production": 0, "staging": 14, "dev": 60}[tier] {
		k := packages[i*7%len(packages)]
		out = out.with("packages", k, strings.TrimSuffix(b["packages"][k], release+"1")+release+"2")
	}
	if tier == "dev" {
		out = out.with("sshd", "option07", "yes").with("packages", "strace", "6.1"+release+"1")
	}
	for i := range variant {
		k := packages[(variant*31+i*17)%len(packages)]
		out = out.with("packages", k, "0.9.9"+release+"7").with("sysctl", fmt.Sprintf("net.core.setting_%03d", variant*11+i), "1")
	}
	if variant == 9 {
		out = out.with("sshd", "option13", "yes").with("units", "service-05.service", "masked inactive")
	}
	return out
}

func inOrder(all []string) []string {
	for i := range all { // keys of a map: any order
		for j := i; j > 0 && all[j] < all[j-1]; j-- {
			all[j], all[j-1] = all[j-1], all[j]
		}
	}
	return all
}

func threeSystemsReport(t testing.TB, n int) *parity.Report {
	t.Helper()
	r, err := parity.Compare(threeSystems(n), parity.Policy{At: now, Baseline: "production", Project: "7f3a9c", Tool: "evenkeel test"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Of 800 machines of three distributions a person reads a page or a few; how long they take to make is the bench's (make bench).
func TestReportsOf800MachinesAreReadable(t *testing.T) {
	snapshots := threeSystems(800)
	start := time.Now()
	r, err := parity.Compare(snapshots, parity.Policy{At: now, Baseline: "production", Project: "7f3a9c", Tool: "evenkeel test"})
	if err != nil {
		t.Fatal(err)
	}
	compared := time.Since(start)
	sizes := map[string]int{}
	for _, f := range parity.Formats() {
		text := written(t, r, f.Name, parity.WriteOptions{})
		sizes[f.Name] = len(text)
		if dir := os.Getenv("EVENKEEL_REPORTS"); dir != "" { // to be looked at
			if err := os.WriteFile(filepath.Join(dir, f.File), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	took := time.Since(start)
	t.Logf("%d columns, %d rows; compared in %v, all in %v; bytes: %v", len(r.Columns), len(r.Rows), compared, took, sizes)
	if limit := 4 << 20; sizes["html"] > limit {
		t.Errorf("the HTML has %d bytes, want at most %d", sizes["html"], limit)
	}
	short := written(t, r, "text", parity.WriteOptions{Rows: 20})
	if n := strings.Count(short, "\n"); n > 300 {
		t.Errorf("the text of the 20 worst rows has %d lines", n)
	}
	if !strings.Contains(short, "more rows") {
		t.Error("the text does not say how many rows it leaves out")
	}
	for line := range strings.Lines(short) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 100 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

func BenchmarkReportsOf800Machines(b *testing.B) {
	r := threeSystemsReport(b, 800)
	for _, f := range parity.Formats() {
		b.Run(f.Name, func(b *testing.B) {
			for b.Loop() {
				if err := parity.Write(io.Discard, r, f.Name, parity.WriteOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
