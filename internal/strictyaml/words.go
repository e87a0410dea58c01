// SPDX-License-Identifier: Apache-2.0

package strictyaml

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
)

// want records that n is of another type than wanted, with the remedy where there is one.
func (n *Node) want(wanted string) {
	s := resolve(n.yaml)
	p := n.Errorf("got %s; wanted is %s", describe(s), wanted)
	if s.Kind != yaml.ScalarNode {
		return
	}
	switch {
	case wanted == "a text" && s.Value != "" && plain(s):
		p.Hint = "quote it: " + strconv.Quote(clip(s.Value))
	case !plain(s) && (decimal.MatchString(s.Value) || s.Value == "true" || s.Value == "false"):
		p.Hint = "remove the quotes"
	case wanted == "true or false" && s.Value != "":
		switch strings.ToLower(s.Value) {
		case "yes", "on", "y", "true":
			p.Hint = "write true"
		case "no", "off", "n", "false":
			p.Hint = "write false"
		}
	}
}

// describe names a value as a person would: the number 80, the text "80", a list.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	if plain(n) {
		switch n.ShortTag() {
		case "!!null":
			return "nothing"
		case "!!int", "!!float":
			return "the number " + clip(n.Value)
		case "!!bool":
			return clip(n.Value)
		}
	}
	return "the text " + quote(n.Value)
}

func plain(n *yaml.Node) bool {
	return n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
}

const maxShown = 60

// clip cuts and escapes text for a message, quote quotes it as well.
func clip(text string) string {
	quoted := quote(text)
	return quoted[1 : len(quoted)-1]
}

func quote(text string) string {
	if utf8.RuneCountInString(text) > maxShown {
		text = string([]rune(text)[:maxShown]) + "..."
	}
	return strconv.Quote(text)
}

var simpleKey = lazyregexp.New(`^[A-Za-z0-9_/-]+$`)

func join(path, key string) string {
	if len(key) > maxShown || !simpleKey.MatchString(key) {
		key = quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// or lists words for a sentence: a, b or c.
func or(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

var sizeForm = lazyregexp.New(`^([0-9]+) ?(B|KiB|MiB|GiB|TiB)$`)

var units = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// ParseSize reads what FormatSize writes: a whole number with B, KiB, MiB, GiB or TiB.
func ParseSize(text string) (int64, error) {
	m := sizeForm.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("cannot read size %s: wanted is a whole number with B, KiB, MiB, GiB or TiB", quote(text))
	}
	number, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return math.MaxInt64, nil // more digits than fit: beyond any range that a caller allows
	}
	for _, u := range units {
		if u.name == m[2] {
			if number > math.MaxInt64/u.bytes {
				return math.MaxInt64, nil
			}
			return number * u.bytes, nil
		}
	}
	return 0, fmt.Errorf("cannot read size %s: unknown unit", quote(text))
}

// FormatSize writes bytes in the largest unit that divides them: 512MiB.
func FormatSize(bytes int64) string {
	for _, u := range units {
		if bytes != 0 && bytes%u.bytes == 0 {
			return strconv.FormatInt(bytes/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(bytes, 10) + "B"
}

func sizeHint(text string) string {
	number := strings.TrimRight(text, "kKmMgGtTiIbB ")
	if number == "" || strings.Trim(number, "0123456789") != "" {
		return ""
	}
	switch strings.ToUpper(strings.TrimSpace(text[len(number):])) {
	case "":
		return fmt.Sprintf("say the unit: %sMiB", number)
	case "K", "KB", "KIB":
		return fmt.Sprintf("write %sKiB", number)
	case "M", "MB", "MIB":
		return fmt.Sprintf("write %sMiB", number)
	case "G", "GB", "GIB":
		return fmt.Sprintf("write %sGiB", number)
	case "T", "TB", "TIB":
		return fmt.Sprintf("write %sTiB", number)
	}
	return ""
}

var durationForm = lazyregexp.New(`^(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?$`)

// ParseDuration reads what FormatDuration writes: whole numbers with d, h, m, s in this order. A day is 24 hours.
func ParseDuration(text string) (time.Duration, error) {
	m := durationForm.FindStringSubmatch(text)
	if m == nil || text == "" {
		return 0, fmt.Errorf("cannot read time span %s: wanted are whole numbers with d, h, m or s", quote(text))
	}
	var span time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		number, err := strconv.ParseInt("0"+m[i+1], 10, 64)
		if err != nil || number > int64((math.MaxInt64-span)/unit) {
			return math.MaxInt64, nil // beyond any range that a caller allows
		}
		span += time.Duration(number) * unit
	}
	return span, nil
}

// FormatDuration writes a span in whole seconds: 30d, 1h30m, 90s is 1m30s.
func FormatDuration(span time.Duration) string {
	var b strings.Builder
	for _, u := range []struct {
		name string
		span time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if span >= u.span {
			fmt.Fprintf(&b, "%d%s", span/u.span, u.name)
			span %= u.span
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}
