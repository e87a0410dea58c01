// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"fmt"
	"slices"
	"strings"
)

// readINI reads sections of key = value. Which of two equal keys counts depends on the program, so order stays within a section.
func readINI(text string) ([]pair, bool) {
	return sectionsOf(plainLines(text, "#;"))
}

// readUnit reads systemd.syntax(7): lines that go on, lists that an empty value clears, comments in between.
func readUnit(text string) ([]pair, bool) {
	var lines []string
	open := false
	for _, line := range linesOf(text) {
		trimmed := strings.Trim(line, blank)
		if trimmed != "" && (trimmed[0] == '#' || trimmed[0] == ';') || trimmed == "" && !open {
			continue
		}
		cont := strings.HasSuffix(line, `\`)
		part := strings.TrimSuffix(line, `\`)
		if open {
			lines[len(lines)-1] += " " + strings.Trim(part, blank)
		} else {
			lines = append(lines, strings.Trim(part, blank))
		}
		open = cont
	}
	if open {
		return nil, false
	}
	return sectionsOf(lines)
}

// sectionsOf reads sections of key = value; each is for itself, also where its name stands again. Keys are sorted, values of one key keep their order.
func sectionsOf(lines []string) ([]pair, bool) {
	section := ""
	count := map[string]int{}
	var pairs []pair
	for _, line := range lines {
		if strings.HasPrefix(line, "[") {
			if !strings.HasSuffix(line, "]") {
				return nil, false
			}
			section = line[1 : len(line)-1]
			if count[section]++; count[section] > 1 {
				section = fmt.Sprintf("%s]#%d", section, count[section])
			}
			pairs = append(pairs, pair{"[" + section + "]", ""})
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if key = strings.Trim(key, blank); !found || key == "" {
			return nil, false
		}
		pairs = append(pairs, pair{"[" + section + "] " + key, strings.Trim(value, blank)})
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	return pairs, true
}

// readAptList reads lines of sources.list(5).
func readAptList(text string) ([]pair, bool) {
	var pairs []pair
	for _, line := range plainLines(text, "#") {
		line, _, _ = strings.Cut(line, " #")
		kind, rest, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
		rest = strings.TrimLeft(rest, " ")
		var options []string
		if strings.HasPrefix(rest, "[") {
			inside, after, found := strings.Cut(rest[1:], "]")
			if !found {
				return nil, false
			}
			for _, o := range words(inside) {
				name, value, _ := strings.Cut(o, "=")
				options = append(options, strings.ToLower(strings.TrimRight(name, "+-"))+name[len(strings.TrimRight(name, "+-")):]+"="+value)
			}
			rest = after
		}
		f := words(rest)
		if kind != "deb" && kind != "deb-src" || len(f) < 2 {
			return nil, false
		}
		pairs = append(pairs, source(kind, f[0], f[1], f[2:], options)...)
	}
	return pairs, true
}

// source is one archive in its one form: a pair for each component.
func source(kind, uri, suite string, components, options []string) []pair {
	slices.Sort(options)
	key := kind + " " + strings.TrimRight(uri, "/") + " " + suite
	if len(components) == 0 {
		return []pair{{key, strings.Join(options, " ")}}
	}
	var pairs []pair
	for _, c := range components {
		pairs = append(pairs, pair{key + " " + c, strings.Join(options, " ")})
	}
	return pairs
}

// maxSources bounds what a few fields of a stanza multiply to.
const maxSources = 4096

// readAptSources reads stanzas of the same in deb822's form.
func readAptSources(text string) ([]pair, bool) {
	var pairs []pair
	for _, stanza := range stanzas(text) {
		if stanza == nil {
			return nil, false
		}
		if v := strings.ToLower(stanza["enabled"]); v == "no" || v == "false" || v == "0" || v == "off" {
			continue
		}
		var options []string
		for name, value := range stanza {
			if !slices.Contains([]string{"types", "uris", "suites", "components", "enabled"}, name) {
				options = append(options, name+"="+strings.Join(words(value), ","))
			}
		}
		kinds, uris, suites, components := words(stanza["types"]), words(stanza["uris"]), words(stanza["suites"]), words(stanza["components"])
		if len(kinds) == 0 || len(uris) == 0 || len(suites) == 0 || len(kinds)*len(uris)*len(suites)*max(len(components), 1) > maxSources {
			return nil, false
		}
		for _, kind := range kinds {
			for _, uri := range uris {
				for _, suite := range suites {
					pairs = append(pairs, source(kind, uri, suite, components, options)...)
				}
			}
		}
		if len(pairs) > maxSources {
			return nil, false
		}
	}
	return pairs, true
}

// stanzas are fields by their lower-case names; a nil one stands for what is no stanza. A key that stands in the file keeps its lines.
func stanzas(text string) []map[string]string {
	var all []map[string]string
	var now map[string]string
	last := ""
	for _, line := range linesOf(text) {
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.Trim(line, blank) == "":
			now = nil
		case strings.ContainsAny(line[:1], blank):
			if now == nil {
				return append(all, nil)
			}
			now[last] += " " + strings.Trim(line, blank)
		default:
			name, value, found := strings.Cut(line, ":")
			if !found {
				return append(all, nil)
			}
			if now == nil {
				now = map[string]string{}
				all = append(all, now)
			}
			last = strings.ToLower(strings.Trim(name, blank))
			if _, twice := now[last]; twice {
				return append(all, nil)
			}
			now[last] = strings.Trim(value, blank)
		}
	}
	return all
}

// readTOML reads statements of tables: their order does not matter, that of [[arrays]] does. Values stay as they are written, without the space between tokens.
func readTOML(text string) ([]pair, bool) {
	statements, ok := tomlStatements(text)
	if !ok {
		return nil, false
	}
	table := ""
	arrays := map[string]int{}
	var pairs []pair
	for _, s := range statements {
		switch {
		case strings.HasPrefix(s, "[["):
			if !strings.HasSuffix(s, "]]") {
				return nil, false
			}
			name := s[2 : len(s)-2]
			arrays[name]++
			table = fmt.Sprintf("%s#%d", name, arrays[name])
			pairs = append(pairs, pair{table, "[[]]"})
		case strings.HasPrefix(s, "["):
			if !strings.HasSuffix(s, "]") {
				return nil, false
			}
			// A table below an array is of its last element.
			table = fmt.Sprintf("%s@%d", s[1:len(s)-1], len(arrays)+total(arrays))
			pairs = append(pairs, pair{table, "[]"})
		default:
			key, value, found := strings.Cut(s, "=")
			if !found || key == "" || value == "" || strings.ContainsAny(key, `"'`) {
				return nil, false
			}
			pairs = append(pairs, pair{table + " " + key, value})
		}
	}
	return pairs, true
}

func total(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// tomlStatements cuts a text at the ends of lines outside of strings and brackets, and takes comments and space away.
func tomlStatements(text string) ([]string, bool) {
	var out []string
	var b strings.Builder
	depth := 0
	flush := func() {
		if s := b.String(); s != "" {
			out = append(out, s)
		}
		b.Reset()
	}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	for i := 0; i < len(text); {
		switch ch := text[i]; ch {
		case '"', '\'':
			end := tomlString(text[i:])
			if end < 0 {
				return nil, false
			}
			b.WriteString(text[i : i+end])
			i += end
			continue
		case '#':
			for i < len(text) && text[i] != '\n' {
				i++
			}
			continue
		case '\n':
			if depth == 0 {
				flush()
			}
		case ' ', '\t':
		case '[', '{':
			if b.Len() > 0 && b.String() != "[" { // not a table's own
				depth++
			}
			b.WriteByte(ch)
		case ']', '}':
			if depth > 0 {
				depth--
			}
			b.WriteByte(ch)
		default:
			b.WriteByte(ch)
		}
		i++
	}
	if depth > 0 {
		return nil, false
	}
	flush()
	return out, true
}

// tomlString is the length of the string that s begins with, -1 where it does not end.
func tomlString(s string) int {
	quote := s[:1]
	if strings.HasPrefix(s, strings.Repeat(quote, 3)) {
		for i := 3; i < len(s); i++ {
			if quote == `"` && s[i] == '\\' {
				i++
			} else if strings.HasPrefix(s[i:], strings.Repeat(quote, 3)) {
				i += 3
				for range 2 { // up to two quotes may stand before the end
					if i < len(s) && s[i] == quote[0] {
						i++
					}
				}
				return i
			}
		}
		return -1
	}
	for i := 1; i < len(s) && s[i] != '\n'; i++ {
		if quote == `"` && s[i] == '\\' {
			i++
		} else if s[i] == quote[0] {
			return i + 1
		}
	}
	return -1
}
