// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"slices"
	"strings"
)

// Masked is s with each text that its machine said put through mask; s itself stays as it is, and is returned where mask changes nothing. Sections are sorted and have their
// digests anew; of items whose keys become one the first stays.
func (s *Snapshot) Masked(mask func(string) string) *Snapshot {
	var masked *Snapshot
	copied := func() *Snapshot {
		if masked == nil {
			c := *s
			c.Sections = slices.Clone(s.Sections)
			masked = &c
		}
		return masked
	}
	if text := mask(s.Unreachable); text != s.Unreachable {
		copied().Unreachable = text
	}
	for i, section := range s.Sections {
		if text := mask(section.Unknown); text != section.Unknown {
			copied().Sections[i].Unknown = text
		}
		var items []Item
		for j, item := range section.Items {
			for _, text := range []*string{&item.Key, &item.Value, &item.Body, &item.Unknown} {
				*text = mask(*text)
			}
			if item != section.Items[j] {
				if items == nil {
					items = slices.Clone(section.Items)
				}
				items[j] = item
			}
		}
		if items == nil {
			continue
		}
		slices.SortStableFunc(items, func(a, b Item) int { return strings.Compare(a.Key, b.Key) })
		items = slices.CompactFunc(items, func(a, b Item) bool { return a.Key == b.Key })
		copied().Sections[i].Items, copied().Sections[i].Digest = items, DigestSection(items)
	}
	if masked == nil {
		return s
	}
	return masked
}
