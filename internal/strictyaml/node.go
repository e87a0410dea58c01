// SPDX-License-Identifier: Apache-2.0

package strictyaml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/evenkeel/evenkeel/internal/problem"
)

// Node is one value of a document, with its position and path. Its accessors record a problem where the value is of another type or out
// of range, and then return the zero value. Of a nil Node (an absent key) they return the zero value and record nothing.
type Node struct {
	doc  *Doc
	yaml *yaml.Node
	path string
}

// Entry is one key and its value.
type Entry struct {
	Key   string
	At    *Node // the key itself, for problems about it
	Value *Node
}

// Fields is a map whose keys are known.
type Fields struct {
	node    *Node
	entries map[string]Entry
}

// Keys are those that a map may have. Later ones are part of the schema but not supported yet: they are refused in these words.
type Keys struct {
	Now   []string
	Later []string
	Hint  string // said of unknown keys, instead of the list of the known ones
}

// Path is where the node stands: machines.web.allow[0].port, "" for the root.
func (n *Node) Path() string {
	if n == nil {
		return ""
	}
	return n.path
}

// Place is where n stands, as a problem that has no message yet and is not recorded: for what is found out only later.
func (n *Node) Place() problem.Problem {
	if n == nil {
		return problem.Problem{Severity: problem.Error}
	}
	return n.doc.place(n.yaml.Line, n.yaml.Column, n.path)
}

// Errorf records a problem at n and returns it, so that a hint can be set: n.Errorf("...").Hint = "...".
func (n *Node) Errorf(format string, args ...any) *problem.Problem {
	if n == nil {
		return &problem.Problem{}
	}
	return n.doc.errorAt(n.yaml.Line, n.yaml.Column, n.path, fmt.Sprintf(format, args...))
}

// Notef records at n what is worth saying and stops nothing.
func (n *Node) Notef(format string, args ...any) *problem.Problem {
	p := n.Errorf(format, args...)
	p.Severity = problem.Note
	return p
}

// Map is n as a map of these keys; others are problems, each with the nearest known key.
func (n *Node) Map(known ...string) *Fields { return n.Fields(Keys{Now: known}) }

// Fields is n as a map of these keys.
func (n *Node) Fields(keys Keys) *Fields {
	entries, ok := n.mapping()
	if !ok {
		return nil
	}
	f := &Fields{node: n, entries: map[string]Entry{}}
	for _, e := range entries {
		switch {
		case slices.Contains(keys.Now, e.Key):
			f.entries[e.Key] = e
		case slices.Contains(keys.Later, e.Key):
			e.At.Errorf("not supported yet").Hint = "remove it; a later version will know it"
		default:
			p := e.At.Errorf("unknown key %s", quote(e.Key))
			p.Hint = cmp.Or(keys.Hint, "known keys are "+strings.Join(keys.Now, ", "))
			if near := problem.Nearest(e.Key, append(slices.Clone(keys.Now), keys.Later...)); near != "" {
				p.Hint = fmt.Sprintf("did you mean %s? %s", near, p.Hint)
			}
		}
	}
	return f
}

// Get is the value of key, nil where it is absent.
func (f *Fields) Get(key string) *Node {
	if f == nil {
		return nil
	}
	return f.entries[key].Value
}

// Need is the value of key; its absence is a problem.
func (f *Fields) Need(key string) *Node {
	if f == nil {
		return nil
	}
	value := f.entries[key].Value
	if value == nil {
		f.node.Errorf("the key %s is missing", quote(key))
	}
	return value
}

// At is where key itself stands, nil where it is absent.
func (f *Fields) At(key string) *Node {
	if f == nil {
		return nil
	}
	return f.entries[key].At
}

// Node is the map as a whole.
func (f *Fields) Node() *Node {
	if f == nil {
		return nil
	}
	return f.node
}

// Entries is n as a map with free keys, in the order of the file. The keys' own form is the caller's to check.
func (n *Node) Entries() []Entry {
	entries, _ := n.mapping()
	return entries
}

func (n *Node) mapping() ([]Entry, bool) {
	if n == nil {
		return nil, false
	}
	m := resolve(n.yaml)
	if m.Kind != yaml.MappingNode {
		n.want("a map (key: value)")
		return nil, false
	}
	var entries []Entry
	seen := map[string]bool{}
	for i := 0; i+1 < len(m.Content); i += 2 {
		key := resolve(m.Content[i])
		if seen[key.Value] || key.Tag == "!!merge" {
			continue // told by the checker
		}
		seen[key.Value] = true
		path := join(n.path, key.Value)
		entries = append(entries, Entry{
			Key:   key.Value,
			At:    &Node{doc: n.doc, yaml: m.Content[i], path: path},
			Value: &Node{doc: n.doc, yaml: m.Content[i+1], path: path},
		})
	}
	return entries, true
}

// List is n as a list.
func (n *Node) List() []*Node {
	if n == nil {
		return nil
	}
	l := resolve(n.yaml)
	if l.Kind != yaml.SequenceNode {
		n.want("a list ([a, b], or lines that begin with -)")
		return nil
	}
	items := make([]*Node, len(l.Content))
	for i, item := range l.Content {
		items[i] = &Node{doc: n.doc, yaml: item, path: fmt.Sprintf("%s[%d]", n.path, i)}
	}
	return items
}

// Lines is n as a list of Line.
func (n *Node) Lines() []string {
	var lines []string
	for _, item := range n.List() {
		if line := item.Line(); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// StrMap is n as a map of texts.
func (n *Node) StrMap() map[string]string {
	var m map[string]string
	for _, e := range n.Entries() {
		if m == nil {
			m = map[string]string{}
		}
		m[e.Key] = e.Value.Str()
	}
	return m
}

func (n *Node) count() int {
	if n == nil {
		return 0
	}
	return len(n.doc.problems) + n.doc.more
}
