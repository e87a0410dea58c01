// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// maxPile is the most facts of one group: what a machine with more of them says cannot be compared anyway.
const maxPile = 100_000

// pile gathers the facts of a list whose entries a machine may well have twice, as users of one name: none of them gets lost.
type pile struct {
	items []parity.Item
	at    map[string]int
	times map[string]int      // how often a key came
	more  map[string][]string // further values of a key
	over  bool
}

// add takes a fact; where the key is there already, its own gets a number. The item may be changed until the next call.
func (p *pile) add(key, value string) *parity.Item {
	if p.at == nil {
		p.at, p.times, p.more = map[string]int{}, map[string]int{}, map[string][]string{}
	}
	key = cmp.Or(key, "(no name)")
	if len(p.items) >= maxPile {
		p.over = true
		return &parity.Item{}
	}
	unique := key
	for {
		if _, known := p.at[unique]; !known {
			break
		}
		p.times[key]++
		unique = fmt.Sprintf("%s (%d)", key, p.times[key]+1)
	}
	p.at[unique] = len(p.items)
	p.items = append(p.items, parity.Item{Key: unique, Value: value})
	return &p.items[len(p.items)-1]
}

// join takes a fact whose further values stand behind its first, in the order in which they come.
func (p *pile) join(key, value string) {
	key = cmp.Or(key, "(no name)")
	if _, known := p.at[key]; known {
		p.more[key] = append(p.more[key], value)
		return
	}
	p.add(key, value)
}

// done are the facts, with further values behind sep.
func (p *pile) done(sep string) ([]parity.Item, error) {
	if p.over {
		return nil, fmt.Errorf("cannot read more than %d of them", maxPile)
	}
	for key, values := range p.more {
		item := &p.items[p.at[key]]
		item.Value += sep + strings.Join(values, sep)
	}
	return p.items, nil
}

// squeezed is a text with each run of white space as one space, and none around.
func squeezed(text string) string { return strings.Join(strings.Fields(text), " ") }
