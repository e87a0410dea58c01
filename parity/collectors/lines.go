// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"iter"
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// show is sh that groups share:
//
//	show WORD FILE  prints the lines of a file, each behind WORD and a space; nothing where it cannot be read. No process is started.
const show = `show() {
	[ -f "$2" ] && [ -r "$2" ] || return 0
	while IFS= read -r line || [ -n "$line" ]; do printf '%s %s\n' "$1" "$line"; done <"$2"
}
`

// say is sh that groups share:
//
//	say TEXT  prints a text and a line's end, however long it is: ksh's printf may be a program, whose arguments are bounded.
const say = `say() { if [ -n "${KSH_VERSION-}" ]; then print -r -- "$1"; else printf '%s\n' "$1"; fi; }
`

// tagged are the lines of the form "WORD REST", in their order. A line of one word has no rest.
func tagged(raw []byte) iter.Seq2[string, string] {
	return func(yield func(word, rest string) bool) {
		for line := range strings.Lines(string(raw)) {
			word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			if word != "" && !yield(word, rest) {
				return
			}
		}
	}
}

// itemSet are items with unique keys.
type itemSet struct {
	list []parity.Item
	at   map[string]int
}

// add takes an item whose key is new; of another, and of one without a key, it says false.
func (s *itemSet) add(item parity.Item) bool {
	if _, known := s.at[item.Key]; known || item.Key == "" {
		return false
	}
	if s.at == nil {
		s.at = map[string]int{}
	}
	s.at[item.Key] = len(s.list)
	s.list = append(s.list, item)
	return true
}

// maxJoined is the longest value that join makes, in bytes: a million values of one key would take it hours.
const maxJoined = 64 << 10

// join is add, where a further value of a key is added to its first behind ", ". A fact with more of them than can be is unknown.
func (s *itemSet) join(key, value string) {
	if i, known := s.at[key]; known {
		if item := &s.list[i]; len(item.Value)+len(value) < maxJoined {
			item.Value += ", " + value
		} else {
			item.Unknown = "it has too many values"
		}
		return
	}
	s.add(parity.Item{Key: key, Value: value})
}

// put is add of a value that says something.
func (s *itemSet) put(key, value string) {
	if value != "" {
		s.add(parity.Item{Key: key, Value: value})
	}
}
