// SPDX-License-Identifier: Apache-2.0

package facts

import (
	"container/list"
	"sync"

	"github.com/evenkeel/evenkeel/parity"
)

// interned are the sections of one Collect by what was printed, so that machines in equal state share them. It is bounded: what no other machine shared goes first, and of that
// what was met longest ago.
type interned struct {
	mu     sync.Mutex
	byID   map[SectionID]*list.Element
	shared *list.List // of *internedSection: met more than once; the front is the latest
	single *list.List // met once
	weight int
}

type internedSection struct {
	id      SectionID
	section parity.Section
	weight  int
	offer   bool
	shared  bool
}

// maxInterned is about 64 MB of sections in memory.
const maxInterned = 64 << 20

func newInterned() *interned {
	return &interned{byID: map[SectionID]*list.Element{}, shared: list.New(), single: list.New()}
}

func (n *interned) get(id SectionID) (parity.Section, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.find(id)
}

func (n *interned) find(id SectionID) (parity.Section, bool) {
	e := n.byID[id]
	if e == nil {
		return parity.Section{}, false
	}
	s := e.Value.(*internedSection)
	if s.shared {
		n.shared.MoveToFront(e)
	} else {
		n.single.Remove(e)
		s.shared = true
		n.byID[id] = n.shared.PushFront(s)
	}
	return s.section, true
}

// add remembers a section, unless another goroutine was first: then that one's is returned. offer says whether machines are told that it is known.
func (n *interned) add(id SectionID, section parity.Section, offer bool) parity.Section {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s, ok := n.find(id); ok {
		return s
	}
	s := &internedSection{id: id, section: section, weight: weigh(section), offer: offer}
	n.byID[id] = n.single.PushFront(s)
	n.weight += s.weight
	for n.weight > maxInterned && len(n.byID) > 1 {
		from := n.single
		if from.Len() <= 1 && n.shared.Len() > 0 {
			from = n.shared
		}
		last := from.Remove(from.Back()).(*internedSection)
		delete(n.byID, last.id)
		n.weight -= last.weight
	}
	return section
}

// weigh is about what a section takes in memory.
func weigh(s parity.Section) int {
	total := 300
	for i := range s.Items {
		item := &s.Items[i]
		total += 112 + len(item.Key) + len(item.Value) + len(item.Body)
	}
	return total
}

// offer are at most most digests: what machines shared now, then what was kept, then the rest.
func (n *interned) offer(kept []string, most int) []string {
	out := make([]string, 0, most)
	seen := make(map[string]bool, most)
	add := func(digest string) {
		if len(out) < most && !seen[digest] {
			seen[digest] = true
			out = append(out, digest)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range []*list.List{n.shared, nil, n.single} {
		if l == nil {
			for _, digest := range kept {
				add(digest)
			}
			continue
		}
		for e := l.Front(); e != nil && len(out) < most; e = e.Next() {
			if s := e.Value.(*internedSection); s.offer {
				add(s.id.Raw)
			}
		}
	}
	return out
}
