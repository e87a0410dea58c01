// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"maps"
	"slices"
	"strings"
)

// GivenKeys are the facts of section keys that lines of authorized_keys come to, by the login that has them.
func GivenKeys(logins map[string][]string) map[string]string {
	given := map[string]string{}
	for user, lines := range logins {
		for _, line := range lines {
			item, ok := AuthorizedKey(user, line)
			if !ok {
				continue
			}
			key := "keys/" + item.Key
			if had := given[key]; had != "" && !slices.Contains(strings.Split(had, ", "), item.Value) {
				item.Value = had + ", " + item.Value
			}
			given[key] = item.Value
		}
	}
	return given
}

// Expect tells p what the definition gives facts by tier (SECTION/KEY -> value): those that it does not give all of these tiers alike. Where it gives a tier
// nothing that it gives others, the fact should not be there.
func (p *Policy) Expect(given map[string]map[string]string) {
	differs := map[string]bool{}
	for _, of := range given {
		for key, value := range of {
			for _, other := range given {
				if got, has := other[key]; !has || got != value {
					differs[key] = true
				}
			}
		}
	}
	for i := range p.Tiers {
		of, known := given[p.Tiers[i].Name]
		if !known || len(differs) == 0 {
			continue
		}
		p.Tiers[i].Expected = map[string]string{}
		for key := range maps.Keys(differs) {
			p.Tiers[i].Expected[key] = of[key]
		}
	}
}
