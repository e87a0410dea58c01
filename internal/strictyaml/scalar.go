// SPDX-License-Identifier: Apache-2.0

package strictyaml

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/internal/problem"
)

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
	if n == nil {
		return ""
	}
	s := resolve(n.yaml)
	if s.Kind != yaml.ScalarNode || s.Value == "" {
		n.want(or(words))
		return ""
	}
	text := s.Value // whatever YAML takes it for: `order: yes` is answered with what is allowed, not with quotes
	if slices.Contains(words, text) {
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

var decimal = lazyregexp.New(`^-?(0|[1-9][0-9]*)$`)

// Int is n as a whole number from lo to hi.
func (n *Node) Int(lo, hi int) int {
	if n == nil {
		return 0
	}
	s := resolve(n.yaml)
	allowed := fmt.Sprintf("a whole number from %d to %d", lo, hi)
	if lo == hi {
		allowed = fmt.Sprintf("the number %d", lo)
	}
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
