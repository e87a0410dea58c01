// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"
)

type digest = [sha256.Size]byte

// What Compare reads of keys and values, beside what stands in stale_ages.go; all else is text that is equal or not:
//
//	etc       key: the path; value: "MODE OWNER:GROUP sha256:HEX" of a file, "MODE OWNER:GROUP -> TARGET" of a symlink, "MODE OWNER:GROUP" of a folder;
//	          body: the text, where a lens or a diff is wanted of it
//	packages  key: name:arch; value: versions joined by ", ", each with its state behind a space where that is not plainly installed ("1.2-3 half-configured")
//	any       a masked value, alone or inside of a text, begins with "hmac:"; an item's Lane, else LaneRules, else its section's lane decides what it is good for

// view is one section as it is compared: the facts by which machines may be told apart, and nothing else. Equal views are one value, so that what thousands
// of machines share is there once.
type view struct {
	name     string
	unknown  string // why the section could not be read
	facts    []fact // sorted by key
	unknowns int
	id       digest
}

// fact is one item of a view.
type fact struct {
	key, value, body string
	meaning          string // what body comes to by its lens; "" where there is none
	since            string
	unknown          string
	keyID            string // of masked values
	place            bool
}

func (v *view) empty() bool { return v.unknown == "" && len(v.facts) == 0 }

func (v *view) find(key string) *fact {
	i, found := slices.BinarySearchFunc(v.facts, key, func(f fact, key string) int { return strings.Compare(f.key, key) })
	if !found {
		return v.hidden(key)
	}
	return &v.facts[i]
}

// hidden is a file in a folder that could not be looked into, which is neither there nor absent; nil where there is no such folder.
func (v *view) hidden(key string) *fact {
	if v.unknowns == 0 || v.name != "etc" {
		return nil
	}
	for dir := path.Dir(key); len(dir) > 1; dir = path.Dir(dir) {
		i, found := slices.BinarySearchFunc(v.facts, dir, func(f fact, key string) int { return strings.Compare(f.key, key) })
		if found && v.facts[i].unknown != "" && !strings.Contains(v.facts[i].value, digestWord) {
			return &fact{key: key, unknown: v.facts[i].unknown}
		}
	}
	return nil
}

// same reports whether two known facts say the same, by meaning where the form is known.
func (f *fact) same(g *fact) bool {
	if f.value == g.value && f.body == g.body {
		return true
	}
	if f.meaning == "" || g.meaning == "" {
		return f.value == g.value && (f.body == "" || g.body == "") // the digest in the value says it
	}
	return f.meaning == g.meaning && withoutDigest(f.value) == withoutDigest(g.value)
}

// withoutDigest is a file's value without the digest of its content: mode and owner.
func withoutDigest(value string) string {
	before, after, found := strings.Cut(value, digestWord)
	if !found {
		return value
	}
	_, after, _ = strings.Cut(after, " ")
	return before + after
}

// views makes views and remembers them.
type views struct {
	bySection map[sectionID]seen
	byContent map[digest]*view
	lanes     map[string]map[string]Lane // by section and key
	meanings  map[[2]string]string       // by lens and body
	asked     map[string]map[string]bool // by the names of sections, joined
	buf       []byte
	facts     []fact // room for those of one section
}

// sectionID is what a view depends on, where the section's digest stands for its items.
type sectionID struct {
	name, digest, keyID, unknown string
	hostKernel                   bool
}

func newViews() views {
	return views{bySection: map[sectionID]seen{}, byContent: map[digest]*view{}, lanes: map[string]map[string]Lane{}, meanings: map[[2]string]string{}, asked: map[string]map[string]bool{}}
}

// names are the sections of a snapshot, empty ones too; machines share them.
func (vs *views) names(s *Snapshot) map[string]bool {
	b := vs.buf[:0]
	for i := range s.Sections {
		b = append(append(b, s.Sections[i].Name...), 0)
	}
	vs.buf = b
	if known := vs.asked[string(b)]; known != nil {
		return known
	}
	set := map[string]bool{}
	for i := range s.Sections {
		set[s.Sections[i].Name] = true
	}
	vs.asked[string(b)] = set
	return set
}

// seen is what a section comes to: its view, and its items of the identity lane.
type seen struct {
	*view
	identities []*Item
}

// of is what a section of s comes to.
func (vs *views) of(section *Section, s *Snapshot) seen {
	id := sectionID{section.Name, section.Digest, s.KeyID, section.Unknown, s.Subject.HostKernel}
	if known, ok := vs.bySection[id]; ok && section.Digest != "" {
		return known
	}
	made := vs.make(section, s)
	if known := vs.byContent[made.id]; known != nil {
		made.view = known
	} else {
		made.facts = slices.Clip(slices.Clone(made.facts))
		vs.byContent[made.id] = made.view
	}
	// What is a machine's own will not be met again, and of what is only recorded there is little to make.
	if section.Digest != "" && len(made.identities) == 0 && section.Lane != Volatile && !strings.HasSuffix(section.Name, OwnSuffix) {
		vs.bySection[id] = made
	}
	return made
}

func (vs *views) make(section *Section, s *Snapshot) seen {
	v := &view{name: section.Name}
	if section.Unknown != "" && section.Lane != Volatile { // what is not compared leaves no gap; what ages are read from says so itself
		v.unknown, v.unknowns = section.Unknown, 1
	}
	lanes := vs.lanes[section.Name]
	if lanes == nil {
		lanes = map[string]Lane{}
		vs.lanes[section.Name] = lanes
	}
	facts := vs.facts[:0]
	var identities []*Item
	for i := range section.Items {
		item := &section.Items[i]
		lane := laneIn(lanes, section, item)
		if lane == Identity && item.Unknown == "" && item.Value != "" {
			identities = append(identities, item)
		}
		if lane != Stable && lane != Place || s.Subject.HostKernel && ofKernel(section.Name, item.Key) {
			continue
		}
		if lane == Stable && s.Subject.HostKernel && ofEngine(section.Name) {
			lane = Place
		}
		if lane == Stable && item.Body == "" && strings.TrimSuffix(section.Name, OwnSuffix) == "etc" && appended(item.Key) {
			lane = Place // Settle adds to it: without its text nothing can be said between tiers
		}
		f := fact{key: item.Key, value: item.Value, body: item.Body, since: item.Since, unknown: item.Unknown, place: lane == Place}
		if isMasked(item.Value) || isMasked(item.Body) {
			f.keyID = s.KeyID
		}
		if f.body != "" {
			f.meaning = vs.meaning(item.Key, f.body)
		}
		if f.unknown != "" {
			v.unknowns++
		}
		facts = append(facts, f)
	}
	if !slices.IsSortedFunc(facts, byKey) {
		slices.SortStableFunc(facts, byKey)
	}
	vs.facts, v.facts = facts, facts
	v.id = vs.digest(v)
	return seen{v, identities}
}

func byKey(a, b fact) int { return strings.Compare(a.key, b.key) }

// digest is over what tells machines apart; when a fact came to be so does not, nor why it is unknown.
func (vs *views) digest(v *view) digest {
	b := vs.buf[:0]
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	text(v.name)
	text(word(v.unknown != "", "unknown"))
	for i := range v.facts {
		f := &v.facts[i]
		text(f.key)
		switch {
		case f.unknown != "":
			text("?")
		case f.meaning != "":
			text("meaning")
			text(withoutDigest(f.value))
			text(f.meaning)
		default:
			text("value")
			text(f.value)
		}
		text(f.keyID)
		text(word(f.place, "place"))
	}
	vs.buf = b
	return sha256.Sum256(b)
}

func word(said bool, text string) string {
	if said {
		return text
	}
	return ""
}

// laneIn is what an item is good for: by its own word, else by the table, else as its section; lanes remembers the table's word.
func laneIn(lanes map[string]Lane, section *Section, item *Item) Lane {
	if item.Lane != "" {
		return item.Lane
	}
	lane, known := lanes[item.Key]
	if !known {
		lane = LaneOf(section.Name, item.Key)
		lanes[item.Key] = lane
	}
	return cmp.Or(lane, section.Lane, Stable)
}

func (vs *views) meaning(path, body string) string {
	lens := lensOf(path)
	if lens.read == nil {
		return ""
	}
	id := [2]string{lens.name, body}
	m, known := vs.meanings[id]
	if !known {
		m = meaningOf(lens, body)
		vs.meanings[id] = m
	}
	return m
}

// meaningOf is what a text comes to, in few bytes; "" where the lens cannot read it.
func meaningOf(l lens, body string) string {
	pairs, ok := l.meaning(body)
	if !ok {
		return ""
	}
	h := sha256.New()
	for _, p := range pairs {
		fmt.Fprintf(h, "%d %s%d %s", len(p.key), p.key, len(p.value), p.value)
	}
	return l.name + ":" + string(h.Sum(nil))
}
