// SPDX-License-Identifier: Apache-2.0

package strictyaml

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

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
			p.Hint = "known keys are " + strings.Join(keys.Now, ", ")
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

// Is reports whether n is a map, a list or a scalar: one of "map", "list", "scalar", "" for nil.
func (n *Node) Is() string {
	if n == nil {
		return ""
	}
	switch resolve(n.yaml).Kind {
	case yaml.MappingNode:
		return "map"
	case yaml.SequenceNode:
		return "list"
	}
	return "scalar"
}

// Raw is a scalar as it is written, without its quotes; quoted says that it had some. Of a map or a list it is "".
func (n *Node) Raw() (value string, quoted bool) {
	if n == nil {
		return "", false
	}
	s := resolve(n.yaml)
	if s.Kind != yaml.ScalarNode {
		return "", false
	}
	return s.Value, !plain(s)
}

// words that YAML 1.1 takes for booleans and 1.2 for texts: readers differ, so they must be written plainly.
var ambiguous = []string{"yes", "no", "on", "off"}

// Str is n as a text. What YAML takes for something else (numbers, true, yes, null) must be quoted. Control characters other than newline
// and tab are refused.
func (n *Node) Str() string {
	if n == nil {
		return ""
	}
	s := resolve(n.yaml)
	if s.Kind != yaml.ScalarNode {
		n.want("a text")
		return ""
	}
	if plain(s) {
		if slices.Contains(ambiguous, strings.ToLower(s.Value)) {
			n.Errorf("got %s, which some YAML readers take for a text and some for true or false; wanted is a text", s.Value).Hint = "quote it: " + strconv.Quote(s.Value)
			return ""
		}
		if tag := s.ShortTag(); tag != "!!str" && tag != "!!timestamp" {
			n.want("a text")
			return ""
		}
	}
	if i := strings.IndexFunc(s.Value, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }); i >= 0 {
		r := []rune(s.Value[i:])[0]
		n.Errorf("the text holds the control character U+%04X; allowed are newline and tab", r)
		return ""
	}
	return s.Value
}

// Line is n as a text of one line that is not empty and has no space around it.
func (n *Node) Line() string {
	before := n.count()
	text := n.Str()
	switch {
	case n.count() > before || n == nil:
	case text == "":
		n.Errorf("got an empty text; something must stand here")
	case strings.Contains(text, "\n"):
		n.Errorf("got a text of several lines; wanted is one line")
		return ""
	case strings.TrimSpace(text) != text:
		n.Errorf("got %s; wanted is a text without space around it", quote(text))
		return ""
	}
	return text
}

// OneOf is n as one of these words.
func (n *Node) OneOf(words ...string) string {
	before := n.count()
	text := n.Str()
	if n == nil || n.count() > before || slices.Contains(words, text) {
		return text
	}
	p := n.Errorf("got %s; allowed is %s", quote(text), or(words))
	if near := problem.Nearest(text, words); near != "" {
		p.Hint = fmt.Sprintf("did you mean %s?", near)
	}
	return ""
}

// Bool is n as true or false.
func (n *Node) Bool() bool {
	if n == nil {
		return false
	}
	s := resolve(n.yaml)
	if s.Kind == yaml.ScalarNode && plain(s) && (s.Value == "true" || s.Value == "false") {
		return s.Value == "true"
	}
	n.want("true or false")
	return false
}

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// Int is n as a whole number from lo to hi.
func (n *Node) Int(lo, hi int) int {
	if n == nil {
		return 0
	}
	s := resolve(n.yaml)
	allowed := fmt.Sprintf("a whole number from %d to %d", lo, hi)
	if s.Kind != yaml.ScalarNode || !plain(s) || s.ShortTag() != "!!int" && !decimal.MatchString(s.Value) {
		n.want(allowed)
		return 0
	}
	if !decimal.MatchString(s.Value) {
		n.Errorf("got %s; wanted is %s in plain decimal digits", clip(s.Value), allowed)
		return 0
	}
	i, err := strconv.Atoi(s.Value)
	if err != nil || i < lo || i > hi {
		n.Errorf("got %s; allowed is %s", clip(s.Value), allowed)
		return 0
	}
	return i
}

// Size is n as bytes: a whole number and one of B, KiB, MiB, GiB, TiB ("512MiB"), from lo to hi.
func (n *Node) Size(lo, hi int64) int64 {
	text, ok := n.figure("a size such as 512MiB or 4GiB")
	if !ok {
		return 0
	}
	size, err := ParseSize(text)
	if err != nil {
		n.Errorf("got %s; allowed is a whole number with B, KiB, MiB, GiB or TiB, such as 512MiB", quote(text)).Hint = sizeHint(text)
		return 0
	}
	if size < lo || size > hi {
		n.Errorf("got %s; allowed is %s to %s", clip(text), FormatSize(lo), FormatSize(hi))
		return 0
	}
	return size
}

// Duration is n as a time span: numbers with d, h, m, s ("90s", "1h30m", "30d"), from lo to hi.
func (n *Node) Duration(lo, hi time.Duration) time.Duration {
	text, ok := n.figure("a time span such as 90s, 2h or 30d")
	if !ok {
		return 0
	}
	span, err := ParseDuration(text)
	if err != nil {
		n.Errorf("got %s; allowed are whole numbers with d, h, m or s, such as 90s, 1h30m or 30d", quote(text))
		return 0
	}
	if span < lo || span > hi {
		n.Errorf("got %s; allowed is %s to %s", clip(text), FormatDuration(lo), FormatDuration(hi))
		return 0
	}
	return span
}

// figure is a scalar that begins with digits, quoted or not.
func (n *Node) figure(wanted string) (string, bool) {
	if n == nil {
		return "", false
	}
	s := resolve(n.yaml)
	if s.Kind != yaml.ScalarNode || s.ShortTag() == "!!null" || s.ShortTag() == "!!bool" {
		n.want(wanted)
		return "", false
	}
	return s.Value, true
}

// JSON is n as canonical JSON (keys sorted), for blocks that another decodes. Keys must be texts, and what Str calls ambiguous is refused here too.
func (n *Node) JSON() json.RawMessage {
	if n == nil {
		return nil
	}
	before := n.count()
	value := n.value()
	if n.count() > before {
		return nil
	}
	out, err := json.Marshal(value)
	if err != nil {
		n.Errorf("this cannot be passed on: %v", err)
		return nil
	}
	return out
}

func (n *Node) value() any {
	s := resolve(n.yaml)
	switch {
	case s.Kind == yaml.MappingNode:
		m := map[string]any{}
		for _, e := range n.Entries() {
			m[e.At.Str()] = e.Value.value()
		}
		return m
	case s.Kind == yaml.SequenceNode:
		l := []any{}
		for _, item := range n.List() {
			l = append(l, item.value())
		}
		return l
	case !plain(s):
		return n.Str()
	}
	switch s.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return n.Bool()
	case "!!int", "!!float":
		if !json.Valid([]byte(s.Value)) {
			n.Errorf("got the number %s; wanted is a plain decimal number", clip(s.Value)).Hint = "quote it to make it a text: " + strconv.Quote(clip(s.Value))
			return nil
		}
		return json.Number(s.Value)
	}
	return n.Str()
}

func (n *Node) count() int {
	if n == nil {
		return 0
	}
	return len(n.doc.problems) + n.doc.more
}
