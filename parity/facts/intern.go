// SPDX-License-Identifier: Apache-2.0

package facts

import (
	"container/list"
	"sync"

	"github.com/evenkeel/evenkeel/parity"
)

// interned are the sections of a Collect by what was printed, so that machines in equal state share them. It is bounded: what no other machine shared goes first, and of that
// what was met longest ago; of what machines have for themselves only the latest is kept at all.
type interned struct {
	mu     sync.Mutex
	byID   map[SectionID]*list.Element
	shared *list.List // of *internedSection: met more than once; the front is the latest
	single *list.List // met once, and offered
	own    *list.List // met once, and not offered
	weight int
}

type internedSection struct {
	id      SectionID
	section parity.Section
	weight  int
	offer   bool
	shared  bool
}

const (
	maxInterned = 64 << 20 // about 64 MB of sections in memory
	maxOwn      = 1000     // sections
)

func newInterned() *interned {
	return &interned{byID: map[SectionID]*list.Element{}, shared: list.New(), single: list.New(), own: list.New()}
}

// met is where a section stands that was met once.
func (n *interned) met(s *internedSection) *list.List {
	if s.offer {
		return n.single
	}
	return n.own
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
		n.met(s).Remove(e)
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
	n.byID[id] = n.met(s).PushFront(s)
	n.weight += s.weight
	if n.own.Len() > maxOwn {
		n.drop(n.own)
	}
	for n.weight > maxInterned && len(n.byID) > 1 {
		switch {
		case n.own.Len() > 1:
			n.drop(n.own)
		case n.single.Len() > 1 || n.shared.Len() == 0:
			n.drop(n.single)
		default:
			n.drop(n.shared)
		}
	}
	return section
}

// drop forgets what was met longest ago.
func (n *interned) drop(from *list.List) {
	last := from.Remove(from.Back()).(*internedSection)
	delete(n.byID, last.id)
	n.weight -= last.weight
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
