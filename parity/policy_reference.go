// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"cmp"
	"slices"
	"strings"
)

// AsReference is a snapshot as something that others are compared with, under the name of a tier: it may be of the same machines at another time, so it is nobody's
// twin, and what it was made from is no matter. s stays as it is and shares its items.
func AsReference(s *Snapshot, tier string) *Snapshot {
	r := *s
	r.Subject.Tier, r.Subject.ImageKey, r.Subject.ImageDigest = tier, "", ""
	r.Sections = slices.Clone(s.Sections)
	identities := slices.DeleteFunc(LaneRules(), func(rule LaneRule) bool { return rule.Lane != Identity })
	for i := range r.Sections {
		section := &r.Sections[i]
		own := func(item Item) bool {
			if item.Lane != "" || section.Lane == Identity {
				return cmp.Or(item.Lane, section.Lane) == Identity
			}
			subject := strings.TrimSuffix(section.Name, OwnSuffix) + "/" + item.Key
			return slices.ContainsFunc(identities, func(rule LaneRule) bool { return matchesAny(rule.Match, subject) }) && LaneOf(section.Name, item.Key) == Identity
		}
		if slices.ContainsFunc(section.Items, own) {
			section.Items = slices.DeleteFunc(slices.Clone(section.Items), own)
			section.Digest = "" // it was over all of them
		}
	}
	return &r
}
