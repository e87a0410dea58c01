// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/parity"
)

func definition(t *testing.T, text string) *envs.Definition {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"env.yaml": text, "web.yaml": "from: debian:12\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	def, problems, err := envs.Load(filepath.Join(dir, "env.yaml"))
	if err != nil || def == nil {
		t.Fatalf("%v\n%v", err, problems)
	}
	return def
}

func TestAPolicyIsWhatTheDefinitionSays(t *testing.T) {
	def := definition(t, `evenkeel: 1
name: shop
id: "7f3a9c"
image: web.yaml
machines: {web: {count: 2, rebuild_after: 60d}, db: {}, mail: {}}
tiers:
  ci: {provider: fake, machines: {mail: {external: "mail.acme.example:25"}, web: {rebuild_after: 1d}}}
  production: {provider: fake, rebuild_after: 20d, audit: true}
parity:
  baseline: production
  rebuild_after: 30d
  promote_within: 7d
  severity: {"etc//etc/motd": info, "sysctl/*": security}
  waivers: [{id: a, match: "packages/*", reason: r, owner: o, until: 2026-12-31}]
`)
	p, problems := parity.PolicyOf(def, nil, now)
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	if p.Project != "7f3a9c" || p.Baseline != "production" || p.PromoteWithin != 7*24*time.Hour || len(p.Tiers) != 2 || len(p.Severities) != 2 || p.Recipes["web"] != "web.yaml" {
		t.Errorf("got %+v", p)
	}
	// What differs in one tier is said there; of what differs in several there is no one place.
	b := plainBox()
	other := b.with("sysctl", "vm.swappiness", "1")
	for _, c := range []struct {
		file string
		line int
		list []parity.Snapshot
	}{{"env.yaml", 7, []parity.Snapshot{snap("production", "web-1", b), snap("ci", "web-1", other)}}, {"env.yaml", 8, []parity.Snapshot{snap("production", "web-1", b), snap("production", "web-2", b), snap("production", "web-3", other)}},
		{"", 0, []parity.Snapshot{snap("production", "web-1", b), snap("production", "web-2", b), snap("production", "web-3", other), snap("ci", "web-1", other)}}} {
		for _, row := range compare(t, p, c.list...).Rows {
			if row.Section == "sysctl" && (row.File != c.file || row.Line != c.line) {
				t.Errorf("%s is at %s:%d, want %s:%d", row.Key, row.File, row.Line, c.file, c.line)
			}
		}
	}
	day := 24 * time.Hour
	ci, production := p.Tiers[0], p.Tiers[1]
	if ci.RebuildAfter["web"] != day || ci.RebuildAfter["db"] != 30*day || production.RebuildAfter["web"] != 20*day || production.RebuildAfter["db"] != 20*day {
		t.Errorf("got limits %v and %v", ci.RebuildAfter, production.RebuildAfter)
	}
	if ci.External["mail"] != "mail.acme.example:25" || len(ci.Planned) != 3 || ci.Planned["web-2"] != "web" || !def.Tiers["production"].Audit {
		t.Errorf("got %+v", ci)
	}
	if w := p.Waivers[0]; !w.Until.Equal(time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)) || w.File != "env.yaml" || w.Line != 14 {
		t.Errorf("got waiver %+v", w)
	}
}

func TestAWaiverMayNotOutliveItsLongestLife(t *testing.T) {
	const head = "evenkeel: 1\nname: shop\nid: \"7f3a9c\"\nimage: web.yaml\nmachines: {web: {}}\ntiers: {ci: {provider: fake}}\n"
	const waivers = "parity: {%waivers: [{id: a, match: \"packages/*\", reason: r, owner: o, until: %}]}\n"
	for _, c := range []struct {
		life, until string
		ok          bool
	}{
		{"", "2027-11-22", true}, {"", "2027-11-24", false}, {"waiver_life: 90d, ", "2027-02-19", true}, {"waiver_life: 90d, ", "2027-02-21", false}, {"", "2020-01-01", true},
	} {
		text := strings.Replace(strings.Replace(waivers, "%", c.life, 1), "%", c.until, 1)
		_, problems := parity.PolicyOf(definition(t, head+text), nil, now)
		if (problems.Err() == nil) != c.ok {
			t.Errorf("%+v: got %v", c, problems)
		}
		if !c.ok && (problems[0].Line != 7 || !strings.Contains(problems[0].Message, "may last")) {
			t.Errorf("%+v: got %+v", c, problems[0])
		}
	}
}

func TestImagesAreComparedWithEachOther(t *testing.T) {
	p := driftPolicy()
	one := p.Manifests["k"]
	one.Release = "debian:12"
	two := *one
	two.Packages = append(two.Packages[:0:0], two.Packages...)
	two.Packages[0].Version = "1.22.1-10"
	r := compare(t, parity.Policy{Baseline: "a", Sections: parity.ManifestSections()},
		parity.FromManifest(one, parity.Subject{Tier: "a", Name: "web", Kind: "image"}), parity.FromManifest(&two, parity.Subject{Tier: "b", Name: "web", Kind: "image"}))
	wantRows(t, r, "skew packages/nginx:amd64: b-imageA=different(1.22.1-10)>")
}

func TestOverdueTellsOneMachine(t *testing.T) {
	s := made("web-1", month, plainBox())
	for at, want := range map[time.Time]bool{now: false, now.Add(time.Second): true} {
		if got, _, source, unknown := parity.Overdue(&s, month, at); got != want || source != "the place's record" || unknown != "" {
			t.Errorf("at %s: got %v by %s, unknown %q", at, got, source, unknown)
		}
	}
	s.Subject.Created = time.Time{}
	if got, _, _, unknown := parity.Overdue(&s, month, now); got || unknown == "" {
		t.Errorf("an unknown age: got %v, %q", got, unknown)
	}
	if got, _, _, unknown := parity.Overdue(&s, 0, now); got || unknown != "" {
		t.Errorf("no limit: got %v, %q", got, unknown)
	}
}

// Whatever machines say of themselves, Compare ends with a report whose rows fit its columns.
func FuzzCompare(f *testing.F) {
	seed, err := json.Marshal([]parity.Snapshot{snap("a", "web-1", asMade()), snap("b", "web-1", asMade().with("packages", "x:amd64", "1"))})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`[{"format":1,"subject":{"tier":"a","name":"x"},"sections":[{"name":"os","items":[{"key":"b","value":"1"},{"key":"a"},{"key":"b"}]},{"name":"os"}]},{"format":1,"subject":{"tier":"a","name":"y"}}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var list []parity.Snapshot
		if json.Unmarshal(data, &list) != nil {
			return
		}
		p := limited()
		p.At, p.Manifests = now, driftPolicy().Manifests
		p.Tiers, p.Baseline = nil, ""
		r, err := parity.Compare(list, p)
		if err != nil {
			return
		}
		for _, row := range r.Rows {
			if len(row.Cells) != len(r.Columns) || row.Fingerprint == "" || row.Fix == "" || row.Severity == "" {
				t.Fatalf("a row without what a row has: %+v", row)
			}
			for _, c := range row.Cells {
				if len(c.Value) > 600 {
					t.Fatalf("a value of %d bytes", len(c.Value))
				}
			}
		}
	})
}
