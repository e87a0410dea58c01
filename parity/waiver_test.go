// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/parity"
)

func waiver(match string, until time.Time) envs.Waiver {
	return envs.Waiver{ID: "w1", Match: match, Reason: "hotfix", Owner: "ops", Until: until}
}

func waived(t *testing.T, w ...envs.Waiver) *parity.Report {
	t.Helper()
	b := plainBox()
	return compare(t, parity.Policy{Baseline: "production", Waivers: w}, snap("production", "web-1", b),
		snap("staging", "web-1", b.with("packages", "nginx:amd64", "1.22.1-10")), snap("ci", "web-1", b.with("packages", "nginx:amd64", "1.22.1-11")))
}

func TestAWaiverCoversUntilItsDay(t *testing.T) {
	far := now.AddDate(0, 3, 0)
	tier, pin, kind := waiver("packages/nginx:*", far), waiver("packages/nginx:*", far), waiver("packages/nginx:*", far)
	tier.Tier, pin.Value, kind.Machines = "ci", "1.22.1-10", "db"
	for name, c := range map[string]struct {
		w     envs.Waiver
		want  string
		note  string
		state string
	}{
		"covers":          {waiver("packages/nginx:*", far), "skew packages/nginx:amd64 (no finding): ci-webA=waived(1.22.1-11)> staging-webA=waived(1.22.1-10)>", "", "used"},
		"one tier":        {tier, "skew packages/nginx:amd64: ci-webA=waived(1.22.1-11)> staging-webA=different(1.22.1-10)>", "", "used"},
		"pinned":          {pin, "skew packages/nginx:amd64: ci-webA=different(1.22.1-11)> staging-webA=waived(1.22.1-10)>", "", "used"},
		"another kind":    {kind, "skew packages/nginx:amd64: ci-webA=different(1.22.1-11)> staging-webA=different(1.22.1-10)>", "covers nothing any more", "unused"},
		"ends soon":       {waiver("packages/nginx:*", now.AddDate(0, 0, 13)), "skew packages/nginx:amd64 (no finding): ci-webA=waived(1.22.1-11)> staging-webA=waived(1.22.1-10)>", "ends on 2026-12-04", "used"},
		"its last second": {waiver("packages/nginx:*", now), "skew packages/nginx:amd64 (no finding): ci-webA=waived(1.22.1-11)> staging-webA=waived(1.22.1-10)>", "ends on 2026-11-21", "used"},
		"expired":         {waiver("packages/nginx:*", now.Add(-time.Second)), "skew packages/nginx:amd64: ci-webA=different(1.22.1-11)> staging-webA=different(1.22.1-10)>", "ended on 2026-11-21: what it covered is a finding again", "expired"},
		"a tier that was not looked at": {envs.Waiver{ID: "w1", Match: "packages/vim:*", Tier: "elsewhere", Reason: "r", Owner: "o", Until: far},
			"skew packages/nginx:amd64: ci-webA=different(1.22.1-11)> staging-webA=different(1.22.1-10)>", "", "unknown"},
		"covers nothing": {waiver("packages/vim:*", far), "skew packages/nginx:amd64: ci-webA=different(1.22.1-11)> staging-webA=different(1.22.1-10)>", "covers nothing any more: remove it", "unused"},
	} {
		t.Run(name, func(t *testing.T) {
			r := waived(t, c.w)
			wantRows(t, r, c.want)
			notes := strings.Join(r.Notes, "\n")
			if c.note == "" && notes != "" || !strings.Contains(notes, c.note) {
				t.Errorf("got notes %q; want %q", notes, c.note)
			}
			if len(r.Waivers) != 1 || r.Waivers[0].State != c.state {
				t.Errorf("got waivers %+v; want %s", r.Waivers, c.state)
			}
		})
	}
}

// What was not read may still need its waiver: nobody is told to remove it.
func TestAWaiverOfWhatWasNotReadIsNotUnused(t *testing.T) {
	b, far := plainBox(), now.AddDate(0, 3, 0)
	sections := parity.Policy{Sections: []string{"sysctl"}}
	for name, c := range map[string]struct {
		p       parity.Policy
		staging parity.Snapshot
		want    string
	}{
		"read":                     {parity.Policy{}, snap("staging", "web-1", b), "unused"},
		"other sections were read": {sections, snap("staging", "web-1", b), "unknown"},
		"the fact is unknown":      {parity.Policy{}, snap("staging", "web-1", b.with("packages", "nginx:amd64", "unknown:no rights")), "unknown"},
		"another fact is unknown":  {parity.Policy{}, snap("staging", "web-1", b.with("packages", "bash:amd64", "unknown:no rights")), "unused"},
		"the section is unknown":   {parity.Policy{}, unread(snap("staging", "web-1", b), "packages"), "unknown"},
		"the section was not read": {parity.Policy{}, leftOut(snap("staging", "web-1", b), "packages"), "unknown"},
	} {
		c.p.Baseline, c.p.Waivers = "production", []envs.Waiver{waiver("packages/nginx:*", far)}
		r := compare(t, c.p, snap("production", "web-1", b), c.staging)
		if got := r.Waivers[0].State; got != c.want || strings.Contains(strings.Join(r.Notes, "\n"), "remove it") != (c.want == "unused") {
			t.Errorf("%s: got %s and notes %q; want %s", name, got, r.Notes, c.want)
		}
	}
}

func unread(s parity.Snapshot, section string, lane ...parity.Lane) parity.Snapshot {
	for i := range s.Sections {
		if s.Sections[i].Name == section {
			s.Sections[i] = parity.Section{Name: section, Lane: append(lane, parity.Stable)[0], Unknown: "no rights", Digest: digestOf(nil)}
		}
	}
	return s
}

func leftOut(s parity.Snapshot, section string) parity.Snapshot {
	s.Sections = slices.DeleteFunc(s.Sections, func(s parity.Section) bool { return s.Name == section })
	return s
}

// Keys and values are the machines' words: what they are accepted with is neither wider than they are nor a file that does not load.
func TestAcceptedFindingsAreNoWiderThanTheyAreWhateverTheirWords(t *testing.T) {
	long := strings.Repeat("x", 2000)
	keys := []string{"%ops *", `back\slash`, `back\*star`, "trailing ", "esc\x1b[31m", "two\nlines", long, "yes"}
	b := plainBox()
	odd := b
	for i, key := range keys {
		odd = odd.with("sysctl", key, []string{"", "1", "on", "a\x1b", "a\nb ", "~", long, "0x10"}[i])
	}
	production, staging := snap("production", "web-1", b), snap("staging", "web-1", odd)
	p := parity.Policy{Baseline: "production"}
	r := compare(t, p, production, staging)
	file, err := parity.Accept(r, parity.Acceptance{Owner: "ops", Reason: "r", Until: now.AddDate(0, 1, 0), Tiers: []string{"staging"}, Kinds: []string{"web"}})
	if err != nil {
		t.Fatal(err)
	}
	p.Waivers = load(t, string(file))
	if r = compare(t, p, production, staging); r.Findings() != 0 || len(r.Rows) != len(keys) {
		t.Errorf("got %v\nwith %s", said(r), file)
	}
	for _, other := range []box{odd.with("sysctl", "%ops ALL", ""), odd.with("sysctl", "%ops *", "2"), odd.with("sysctl", "esc\x1b[31m", "b\x1b"), odd.with("sysctl", `back\_star`, "on")} {
		if r = compare(t, p, production, snap("staging", "web-1", other)); r.Findings() != 1 {
			t.Errorf("another key or value is waived too: %v", said(r))
		}
	}
	none, err := parity.Accept(compare(t, parity.Policy{Baseline: "production"}, production, staging), parity.Acceptance{Owner: "o", Reason: "r", Until: now.AddDate(0, 1, 0), Tiers: []string{"ci"}})
	if err != nil || len(load(t, string(none))) != 0 {
		t.Errorf("a tier that the definition has not: got %s, %v", none, err)
	}
	kindless, err := parity.Accept(compare(t, parity.Policy{Baseline: "production"}, production, staging), parity.Acceptance{Owner: "o", Reason: "r", Until: now.AddDate(0, 1, 0), Kinds: []string{"db"}})
	if err != nil || load(t, string(kindless))[0].Machines != "" {
		t.Errorf("a kind that the definition has not: got %s, %v", kindless, err)
	}
}

// A value that is cut for the report is still told from every other one: a waiver of a long list of rules is not one of another list as long.
func TestAWaiverOfALongValueIsOfThatValueAlone(t *testing.T) {
	rules := func(last string) string { return strings.Repeat("ALL=(root) NOPASSWD: /usr/bin/true; ", 30) + last }
	b := plainBox().with("sudoers", "root", "ALL=(ALL) ALL")
	p := parity.Policy{Baseline: "production"}
	r := compare(t, p, snap("production", "web-1", b), snap("staging", "web-1", b.with("sudoers", "deploy", rules("/bin/ls"))))
	file, err := parity.Accept(r, parity.Acceptance{Owner: "ops", Reason: "r", Until: now.AddDate(0, 1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	p.Waivers = load(t, string(file))
	for last, want := range map[string]int{"/bin/ls": 0, "/bin/sh": 1} {
		if r := compare(t, p, snap("production", "web-1", b), snap("staging", "web-1", b.with("sudoers", "deploy", rules(last)))); r.Findings() != want {
			t.Errorf("%s: got %v, want %d findings", last, said(r), want)
		}
	}
}

// Whatever waivers there are: they hide no row, change nothing but states, and expired ones change nothing at all.
func TestWaiversOnlyEverWaive(t *testing.T) {
	for seed := range uint64(80) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		all := fleet(rnd)
		p := parity.Policy{At: now, Baseline: "production"}
		plain := compare(t, p, all...)
		for range 1 + rnd.IntN(4) {
			w := waiver([]string{"packages/*", "etc/key1", "sysctl/*2", "units/key*", "nothing/*"}[rnd.IntN(5)], now.AddDate(0, 0, rnd.IntN(60)-20))
			w.Tier = []string{"", "ci", "staging"}[rnd.IntN(3)]
			p.Waivers = append(p.Waivers, w)
		}
		r := compare(t, p, all...)
		before, after := map[string]parity.Row{}, map[string]parity.Row{}
		for _, row := range plain.Rows {
			before[row.Fingerprint] = row
		}
		for _, row := range r.Rows {
			after[row.Fingerprint] = row
		}
		if len(before) != len(after) || len(before) != len(plain.Rows) {
			t.Fatalf("seed %d: %d rows became %d", seed, len(before), len(after))
		}
		for id, row := range after {
			was := before[id]
			for i, cell := range row.Cells {
				if cell.State == parity.Waived && was.Cells[i].State != parity.Different && was.Cells[i].State != parity.Absent ||
					cell.State != parity.Waived && cell.State != was.Cells[i].State {
					t.Fatalf("seed %d: %s became %s", seed, was.Cells[i].State, cell.State)
				}
			}
			if row.Counts && !was.Counts {
				t.Fatalf("seed %d: a waiver made a finding", seed)
			}
		}
		for i := range p.Waivers {
			p.Waivers[i].Until = now.Add(-time.Hour)
		}
		if got := said(compare(t, p, all...)); !slices.Equal(got, said(plain)) {
			t.Fatalf("seed %d: expired waivers changed the report", seed)
		}
	}
}

// What is accepted today is a file that loads, covers today's findings, and nothing else.
func TestAcceptedFindingsAreWaivedAndPinned(t *testing.T) {
	b := plainBox()
	list := []parity.Snapshot{
		snap("production", "web-1", b), snap("staging", "web-1", b.with("packages", "nginx:amd64", "1.22.1-10").without("packages", "bash:amd64")),
		snap("ci", "web-1", b.with("packages", "nginx:amd64", "1.22.1-11")),
	}
	p := parity.Policy{Baseline: "production", Tiers: []parity.TierPolicy{
		{Name: "production", Planned: map[string]string{"web-1": "web", "web-2": "web"}, RebuildAfter: map[string]time.Duration{"": time.Minute}}, {Name: "staging"}, {Name: "ci"},
	}}
	r := compare(t, p, list...)
	file, err := parity.Accept(r, parity.Acceptance{Owner: "ops: team", Reason: "before the freeze", Until: now.AddDate(0, 1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	p.Waivers = load(t, string(file))
	r = compare(t, p, list...)
	for _, row := range r.Rows {
		if row.Counts || row.Waiver == "" {
			t.Errorf("still a finding: %+v", row)
		}
	}
	if len(r.Rows) != 5 {
		t.Errorf("got %v", said(r))
	}
	list[2] = snap("ci", "web-1", b.with("packages", "nginx:amd64", "1.22.1-12"))
	if got := said(compare(t, p, list...)); !slices.ContainsFunc(got, func(row string) bool { return strings.Contains(row, "ci-webA=different(1.22.1-12)") }) {
		t.Errorf("another value is waived too: %v", got)
	}
	for _, a := range []parity.Acceptance{{Reason: "x", Until: now.AddDate(0, 1, 0)}, {Owner: "x", Until: now.AddDate(0, 1, 0)}, {Owner: "x", Reason: "y", Until: now}} {
		if _, err := parity.Accept(r, a); err == nil {
			t.Errorf("%+v was accepted", a)
		}
	}
}

// load reads waivers as a project does.
func load(t *testing.T, waivers string) []envs.Waiver {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"env.yaml": "evenkeel: 1\nname: shop\nid: \"7f3a9c\"\nimage: web.yaml\nmachines: {web: {}}\ntiers: {production: {provider: fake}, staging: {provider: fake}, ci: {provider: fake}}\n" +
			"parity: {baseline: production, rebuild_after: 30d, waivers: waivers.yaml}\n",
		"web.yaml": "from: debian:12\n", "waivers.yaml": waivers,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	def, problems, err := envs.Load(filepath.Join(dir, "env.yaml"))
	if err != nil || def == nil {
		t.Fatalf("%v\n%v\n%s", err, problems, waivers)
	}
	return def.Parity.Waivers
}
