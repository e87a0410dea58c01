// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// parseINI reads Ansible's oldest form (ansible.builtin.ini): hosts with variables, [group], [group:children], [group:vars].
func parseINI(file string, data []byte) *inventory {
	v := newInventory(file)
	if !utf8.Valid(data) {
		v.refuse(0, 0, "it is no UTF-8 text")
		return v
	}
	in, part := groupUngrouped, "hosts"
	v.group(in, 0).declared = true
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		number++
		column := len(line) - len(strings.TrimLeft(line, " \t")) + 1
		text := strings.TrimSpace(line)
		switch {
		case text == "" || text[0] == '#' || text[0] == ';':
		case text[0] == '[' && isSection(text):
			in, part = v.section(text, number)
		case text[0] == '[' && !strings.Contains(text, ":"):
			v.refuse(number, column, "got %q; a section is [group], [group:children] or [group:vars]", clip(text))
			in = ""
		case in == "": // of a section that was refused
		case part == "hosts":
			v.iniHost(text, in, number, column)
		case part == "children":
			name := strings.Fields(text)[0]
			if !isGroup(name) {
				v.refuse(number, column, "got the group %q; allowed are letters, digits and ._-", clip(name))
				continue
			}
			g := v.group(in, number)
			g.children = append(g.children, name)
			v.group(name, number)
		default:
			name, value, ok := strings.Cut(text, "=")
			if !ok {
				v.refuse(number, column, "got %q; allowed is NAME=VALUE", clip(text))
				continue
			}
			if name = strings.TrimSpace(name); wanted(name) {
				v.group(in, number).vars[name] = literal(value)
			}
		}
	}
	return v
}

// isSection: [name] or [name:part], and no range or IPv6 address at the beginning of a host's name.
func isSection(text string) bool {
	inner, ok := strings.CutPrefix(text, "[")
	inner, rest, closed := strings.Cut(inner, "]")
	if rest = strings.TrimSpace(rest); !ok || !closed || rest != "" && rest[0] != '#' && rest[0] != ';' {
		return false
	}
	name, part, _ := strings.Cut(inner, ":")
	return isGroup(name) && (part == "" && !strings.HasSuffix(inner, ":") || part != "" && strings.Trim(part, "abcdefghijklmnopqrstuvwxyz") == "" && len(part) > 1)
}

func (v *inventory) section(text string, line int) (in, part string) {
	inner, _, _ := strings.Cut(text[1:], "]")
	in, part, _ = strings.Cut(inner, ":")
	switch part {
	case "":
		part = "hosts"
	case "children", "vars":
	default:
		v.refuse(line, 1, "got the section %q; allowed are [group], [group:children] and [group:vars]", clip(text))
		return "", part
	}
	g := v.group(in, line)
	if part != "vars" {
		g.declared = true
	}
	if g.line == 0 {
		g.line = line
	}
	return in, part
}

func (v *inventory) iniHost(text, in string, line, column int) {
	words, err := splitWords(text)
	if err != nil {
		v.refuse(line, column, "%v", err)
		return
	}
	if len(words) == 0 {
		return
	}
	vars := map[string]string{}
	for _, w := range words[1:] {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			v.refuse(line, column, "got %q behind the host; allowed is NAME=VALUE", clip(w))
			return
		}
		if wanted(name) {
			vars[name] = value
		}
	}
	v.add(words[0], in, vars, line, column)
}

// literal is a value of [group:vars]: Python's literals as far as a text, a number and what follows # are concerned.
func literal(text string) string {
	text = strings.TrimSpace(text)
	if len(text) >= 2 && (text[0] == '"' || text[0] == '\'') {
		if end := strings.IndexByte(text[1:], text[0]); end >= 0 {
			rest := strings.TrimSpace(text[end+2:])
			if rest == "" || rest[0] == '#' {
				return text[1 : end+1]
			}
		}
		return text
	}
	if number, _, ok := strings.Cut(text, "#"); ok && isDigits(strings.TrimSpace(number)) {
		return strings.TrimSpace(number)
	}
	return text
}

// splitWords is what a POSIX shell makes of a line without expansions (Python's shlex.split with comments).
func splitWords(text string) ([]string, error) {
	var words []string
	var b strings.Builder
	quote, inWord := rune(0), false
	escaped := false
	for _, r := range text {
		switch {
		case escaped:
			if quote == '"' && r != '"' && r != '\\' {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				b.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == '#':
			if inWord {
				words = append(words, b.String())
			}
			return words, nil
		case r == ' ' || r == '\t' || r == '\r' || r == '\n':
			if inWord {
				words = append(words, b.String())
				b.Reset()
				inWord = false
			}
		default:
			b.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("a quotation mark is not closed, or nothing follows a backslash")
	}
	if inWord {
		words = append(words, b.String())
	}
	return words, nil
}
