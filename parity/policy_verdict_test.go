// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"errors"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/evenkeel/evenkeel/parity"
)

func TestWhatCountsIsChosenByKindAndSeverity(t *testing.T) {
	report := func(rows ...parity.Row) *parity.Report { return &parity.Report{Rows: rows} }
	drift := parity.Row{Kind: parity.Drift, Severity: parity.Config, Counts: true}
	stale := parity.Row{Kind: parity.Stale, Severity: parity.Security, Counts: true}
	waived := parity.Row{Kind: parity.Skew, Severity: parity.Security}
	for name, test := range map[string]struct {
		r    *parity.Report
		on   []string
		want bool
	}{
		"anything":                  {report(drift), nil, true},
		"nothing":                   {report(), nil, false},
		"what is waived":            {report(waived), []string{"info", "skew"}, false},
		"the kind":                  {report(drift), []string{"drift"}, true},
		"another kind":              {report(drift), []string{"skew"}, false},
		"the severity":              {report(drift), []string{"config"}, true},
		"a worse one":               {report(stale), []string{"config"}, true},
		"one that is not so bad":    {report(drift), []string{"packages"}, false},
		"one of several":            {report(drift, stale), []string{"skew", "packages"}, true},
		"none of several":           {report(drift), []string{"skew", "packages"}, false},
		"info stands for all":       {report(drift), []string{"info"}, true},
		"a word that means nothing": {report(drift), []string{"loud"}, false},
	} {
		if got := test.r.Differs(test.on); got != test.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
	if err := parity.CheckDiffers([]string{"drift", "loud"}); err == nil || !strings.Contains(err.Error(), `got "loud"; allowed are skew, drift, stale, inventory, security, packages, config, info`) {
		t.Errorf("got %v", err)
	}
	if err := parity.CheckDiffers([]string{"drift", "security"}); err != nil {
		t.Error(err)
	}
}

func TestATierThatShouldHaveBeenReadMakesAReportIncomplete(t *testing.T) {
	s := parity.Snapshot{
		Format: parity.SnapshotFormat, Taken: now, Subject: parity.Subject{Tier: "laptop", Name: "web-1", Kind: "web"},
		Sections: []parity.Section{{Name: "os", Lane: parity.Stable, Items: []parity.Item{{Key: "id", Value: "debian"}}}},
	}
	for _, required := range []bool{true, false} {
		p := parity.Policy{At: now, Tiers: []parity.TierPolicy{{Name: "laptop"}, {Name: "production", Unlisted: "no route", Required: required}}}
		r, err := parity.Compare([]parity.Snapshot{s}, p)
		if err != nil {
			t.Fatal(err)
		}
		if r.Complete() == required || strings.HasPrefix(r.Verdict(), "INCOMPLETE") != required || r.Differs(nil) {
			t.Errorf("required %t: complete %t, %q", required, r.Complete(), r.Verdict())
		}
	}
}

func TestTiersAreRequiredWhereNamedOrSaidSo(t *testing.T) {
	def := definition(t, `evenkeel: 1
name: shop
id: "7f3a9c"
image: web.yaml
machines: {web: {}}
tiers: {ci: {provider: fake}, production: {provider: of-somebody-else, audit: true}}
`)
	for _, test := range []struct {
		asked          []string
		ci, production bool
	}{{nil, false, true}, {[]string{"ci", "production"}, true, true}} {
		p, problems := parity.PolicyOf(def, test.asked, now)
		if problems.Err() != nil {
			t.Fatal(problems)
		}
		if p.Tiers[0].Required != test.ci || p.Tiers[1].Required != test.production {
			t.Errorf("asked for %q: got %t and %t", test.asked, p.Tiers[0].Required, p.Tiers[1].Required)
		}
	}
}

func TestAcceptedWaiversGoBehindThoseThatAreThere(t *testing.T) {
	added := []byte("# Accepted\nwaivers:\n    - id: aa-1\n      match: packages/x:*\n      reason: r\n      owner: o\n      until: \"2026-12-31\"\n")
	for name, test := range map[string]struct{ file, want string }{
		"nothing":       {"", string(added)},
		"an empty list": {"waivers: []\n", "waivers:\n  - id: aa-1\n"},
		"others":        {"# ours\nwaivers:\n  - id: old # keep\n    match: etc/*\n", "# ours\nwaivers:\n  - id: old # keep\n    match: etc/*\n  - id: aa-1\n"},
		"the same id":   {"waivers:\n- {id: aa-1, match: etc/*}\n", "id: aa-1.2\n"},
	} {
		got, err := parity.AddWaivers([]byte(test.file), added)
		if err != nil || !strings.Contains(string(got), test.want) {
			t.Errorf("%s: got %v\n%s", name, err, got)
		}
		again, err := parity.AddWaivers(got, added)
		var file struct {
			Waivers []struct{ ID string }
		}
		if err := errors.Join(err, yaml.Unmarshal(again, &file)); err != nil {
			t.Fatal(err)
		}
		ids := map[string]bool{}
		for _, w := range file.Waivers {
			ids[w.ID] = true
		}
		if len(ids) != len(file.Waivers) || len(ids) < 2 {
			t.Errorf("%s, twice: the ids are not each one's own:\n%s", name, again)
		}
	}
	for _, file := range []string{"- a\n", "waivers: {}\n", "other: []\n", "\tx", "waivers: 3\n"} {
		if got, err := parity.AddWaivers([]byte(file), added); err == nil {
			t.Errorf("%q became %q", file, got)
		}
	}
}
