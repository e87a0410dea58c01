// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"maps"
	"testing"

	"github.com/evenkeel/evenkeel/parity"
)

const (
	keyOfAnn = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGIogjc4JeIvjFK5+PRgVI9Df6xlWOVnymqSsQI78bQM ann@work"
	keyOfBob = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2y1cW0L4w3y3mYB0b1m1g8w7r6t5y4u3i2o1p0a9s8 bob@work"
)

func TestKeysThatATierGivesAreExpectedThereAndNowhereElse(t *testing.T) {
	laptop := parity.GivenKeys(map[string][]string{"deploy": {keyOfAnn, keyOfBob, "no key"}})
	production := parity.GivenKeys(map[string][]string{"deploy": {keyOfAnn}})
	if len(laptop) != 2 || len(production) != 1 {
		t.Fatalf("got %v and %v", laptop, production)
	}
	p := parity.Policy{Tiers: []parity.TierPolicy{{Name: "production"}, {Name: "laptop"}, {Name: "staging"}}}
	p.Expect(map[string]map[string]string{"production": production, "laptop": laptop})
	bob := ""
	for key := range laptop {
		if production[key] == "" {
			bob = key
		}
	}
	if want := map[string]string{bob: ""}; !maps.Equal(p.Tiers[0].Expected, want) {
		t.Errorf("production: got %v, want %v", p.Tiers[0].Expected, want)
	}
	if want := map[string]string{bob: "ssh-ed25519 bob@work"}; !maps.Equal(p.Tiers[1].Expected, want) {
		t.Errorf("laptop: got %v, want %v", p.Tiers[1].Expected, want)
	}
	if p.Tiers[2].Expected != nil {
		t.Errorf("a tier of which nothing is known expects %v", p.Tiers[2].Expected)
	}
}

func TestExpectedKeysAreNoFindingAndMissingOnesAre(t *testing.T) {
	given := map[string]map[string]string{"production": {"keys/deploy A": "ssh-ed25519 a"}, "laptop": {"keys/deploy A": "ssh-ed25519 a", "keys/deploy B": "ssh-ed25519 b"}}
	snapshot := func(tier string, items ...parity.Item) parity.Snapshot {
		return parity.Snapshot{
			Format: parity.SnapshotFormat, Taken: now, Subject: parity.Subject{Tier: tier, Name: "web-1", Kind: "web"},
			Sections: []parity.Section{{Name: "keys", Lane: parity.Stable, Items: items}},
		}
	}
	a, b := parity.Item{Key: "deploy A", Value: "ssh-ed25519 a"}, parity.Item{Key: "deploy B", Value: "ssh-ed25519 b"}
	for name, test := range map[string]struct {
		laptop, production []parity.Item
		want               int
	}{
		"as given":                   {[]parity.Item{a, b}, []parity.Item{a}, 0},
		"the laptop's is missing":    {[]parity.Item{a}, []parity.Item{a}, 1},
		"the laptop's in production": {[]parity.Item{a, b}, []parity.Item{a, b}, 1},
		"another that nobody gave":   {[]parity.Item{a, b, {Key: "deploy C", Value: "ssh-ed25519 c"}}, []parity.Item{a}, 1},
		"one that both have is gone": {[]parity.Item{b}, []parity.Item{a}, 1},
	} {
		p := parity.Policy{At: now, Baseline: "production", Tiers: []parity.TierPolicy{{Name: "production"}, {Name: "laptop"}}}
		p.Expect(given)
		r, err := parity.Compare([]parity.Snapshot{snapshot("laptop", test.laptop...), snapshot("production", test.production...)}, p)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Findings(); got != test.want {
			t.Errorf("%s: got %d findings, want %d: %+v", name, got, test.want, r.Rows)
		}
	}
}
