// SPDX-License-Identifier: Apache-2.0

package facts

import (
	"slices"
	"strings"
)

// masked is text without a memory.
func (m *Mask) masked(s string, byForm bool) string {
	for i := range forms {
		if slices.ContainsFunc(forms[i].hints, func(hint string) bool { return strings.Contains(s, hint) }) {
			s = m.byForm(&forms[i], s)
		}
	}
	if byForm || s == "" {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	r := maskReader{m: m, block: -1}
	for line := range strings.Lines(s) {
		end := ""
		if body, ok := strings.CutSuffix(line, "\n"); ok {
			line, end = body, "\n"
		}
		if body, ok := strings.CutSuffix(line, "\r"); ok {
			line, end = body, "\r"+end
		}
		b.WriteString(r.line(line))
		b.WriteString(end)
	}
	return b.String()
}

// maskReader reads a text line by line: KEY=VALUE, key: value, "key": "value", <key>value</key>, key value, --key value, and what goes on over several lines.
type maskReader struct {
	m       *Mask
	quote   string // a secret in these quotes goes on ...
	quoted  int    // ... for so many lines at most
	block   int    // the indentation of a secret's name whose value is the lines below it that are further in; -1: none
	literal bool   // ... and those lines are text, in which nothing is a name
	goesOn  bool   // a secret's line ended in a backslash
	pending int    // lines in which `value:` holds what a `name:` before it called secret
}

func (r *maskReader) line(line string) string {
	indent := len(line) - len(strings.TrimLeft(line, " \t"))
	switch {
	case r.quote != "":
		// What stands behind the closing quote may be within another's: all of the line goes. And what looks like a quote may be none: names count.
		quote, quoted := r.quote, r.quoted-1
		r.quote = ""
		r.settings(line)
		if quoted > 0 && closing(line, quote) < 0 {
			r.quote, r.quoted = quote, quoted
		}
		return line[:indent] + r.m.of(line[indent:])
	case r.goesOn:
		r.settings(line)
		r.goesOn = strings.HasSuffix(line, `\`)
		return line[:indent] + r.m.of(line[indent:])
	case r.block >= 0 && strings.Trim(line, " \t") == "":
		return line
	case r.block >= 0 && indent > r.block:
		return r.nested(line, indent)
	}
	r.block = -1
	if r.pending > 0 {
		r.pending--
	}
	if r.pending == 0 && !hinted(line) {
		return line
	}
	return r.settings(line)
}

// nested masks a line below a secret's name: its value where it has a name of its own, else all of it.
func (r *maskReader) nested(line string, indent int) string {
	if r.literal {
		return line[:indent] + r.m.of(line[indent:])
	}
	at := indent
	if strings.HasPrefix(line[at:], "- ") {
		at += 2
	}
	if i := strings.Index(line[at:], ": "); i > 0 && !strings.ContainsAny(line[at:at+i], " \"'") {
		at += i + 2
	} else if strings.HasSuffix(line, ":") {
		return line
	}
	if isPlain(line[at:]) {
		return line
	}
	return line[:at] + r.m.of(line[at:])
}

// hinted reports whether a name in a line may be secret: letters of it make one of the words that secret names have. It looks at each byte once.
func hinted(line string) bool {
	var last uint64 // the last 8 letters, one a byte
	for i := range len(line) {
		c := line[i] | 0x20
		if c < 'a' || c > 'z' {
			continue
		}
		last = last<<8 | uint64(c)
		switch c {
		case 's':
			if last&0xffffffff == 'p'<<24|'a'<<16|'s'<<8|'s' {
				return true
			}
		case 'w', 'd':
			if last&0xffff == 'p'<<8|'w' || last&0xffffff == 'p'<<16|'w'<<8|'d' {
				return true
			}
		case 't':
			if last&0xffffff == 'r'<<16|'e'<<8|'t' { // secret
				return true
			}
		case 'n':
			if last&0xffffff == 'k'<<16|'e'<<8|'n' || last&0xffffff == 'p'<<16|'i'<<8|'n' { // token
				return true
			}
		case 'y':
			if last&0xffffff == 'k'<<16|'e'<<8|'y' {
				return true
			}
		case 'h':
			if last&0xffffffff == 'a'<<24|'u'<<16|'t'<<8|'h' {
				return true
			}
		case 'k':
			if last&0xffffff == 'p'<<16|'s'<<8|'k' {
				return true
			}
		case 'l':
			if last&0xffffff == 'i'<<16|'a'<<8|'l' { // credential
				return true
			}
		}
	}
	return false
}

// settings masks the values of a line's secret names.
func (r *maskReader) settings(line string) string {
	var b strings.Builder
	done := 0 // of line, written
	quotes := openQuotes{line: line}
	for i := 0; i < len(line); i++ {
		c := line[i]
		if c != '=' && c != ':' && c != '>' && c != ' ' && c != '\t' || i < done {
			continue
		}
		name, start := nameBefore(line[:i], c, line[i:])
		if name == "" {
			continue
		}
		if !isSecretName(name) && (r.pending == 0 || !holdsValue(name)) {
			if c != ' ' && c != '\t' && c != '>' && callsNames(name) && i >= done && callsSecret(line, i, c, start, &quotes) {
				r.pending = 3
			}
			continue
		}
		from, to, quote := valueAfter(line, i, c, start, &quotes)
		if from < done || to < from {
			continue
		}
		value := line[from:to]
		if empty := strings.Trim(value, " \t") == ""; c == ':' && (empty || quote == "" && isBlockHeader(value)) {
			r.literal = !empty
			r.block = len(line) - len(strings.TrimLeft(line, " \t"))
			if strings.HasPrefix(line[r.block:], "- ") {
				r.block += 2 - 1 // the name stands two further in
			}
			continue
		}
		if isPlain(value) {
			continue
		}
		b.WriteString(line[done:from])
		b.WriteString(r.m.of(value))
		done = to
		if quote != "" && to == len(line) && closing(line[from:], quote) < 0 {
			r.quote, r.quoted = quote, 100 // a key of 4096 bits takes 52
		}
		if quote == "" && strings.HasSuffix(value, `\`) {
			r.goesOn = true
		}
	}
	b.WriteString(line[done:])
	return b.String()
}

// callsNames and holdsValue are the halves of {name: DB_PASSWORD, value: ...}.
func callsNames(name string) bool {
	switch strings.ToLower(name) {
	case "name", "key", "id", "variable", "env":
		return true
	}
	return false
}

// callsSecret reports whether the value behind an operator at i is a secret's name. It looks no further than such a name could reach: a long line may have many.
func callsSecret(line string, i int, operator byte, start int, quotes *openQuotes) bool {
	line = line[:min(len(line), i+2*maxName)]
	from, to, _ := valueAfter(line, i, operator, start, quotes)
	return from <= to && isSecretName(strings.Trim(line[from:to], `"',; `))
}

func holdsValue(name string) bool {
	switch strings.ToLower(name) {
	case "value", "val", "default", "content", "data":
		return true
	}
	return false
}

// nameBefore is the name that an operator's left side ends in, and where it begins. A blank is an operator only behind the first word of a line and behind an option (--password).
func nameBefore(left string, operator byte, after string) (name string, start int) {
	end := len(left)
	if operator != ' ' && operator != '\t' {
		end = len(strings.TrimRight(left, " \t"))
		if operator == '=' { // := += ?=
			end = len(strings.TrimRight(left[:end], ":+?"))
		}
		end = len(strings.TrimRight(left[:end], " \t"))
	}
	trimmed := strings.TrimRight(left[:end], `"'\]`)
	start = len(trimmed)
	for start > 0 && isNameByte(trimmed[start-1]) {
		start--
	}
	name = trimmed[start:]
	if len(trimmed) < end && strings.HasSuffix(left[:end], `"`) { // "API key": the name is all between the quotes
		if q := strings.LastIndexByte(trimmed, '"'); q >= 0 && q < start {
			name, start = trimmed[q+1:], q+1
		}
	}
	switch operator {
	case '>':
		if start == 0 || left[start-1] != '<' {
			if start == 0 || !strings.HasSuffix(trimmed, "=") { // perl's =>
				return "", 0
			}
			return nameBefore(trimmed[:len(trimmed)-1], '=', after)
		}
	case ' ', '\t':
		if name == "" {
			return "", 0
		}
		if next := strings.TrimLeft(after, " \t"); next == "" || next[0] == '=' || next[0] == ':' {
			return "", 0
		}
		if strings.HasPrefix(name, "-") {
			return strings.TrimLeft(name, "-"), start
		}
		var before []string // the first two words: a long line has many blanks
		for word := range strings.FieldsSeq(left[:start]) {
			if before = append(before, word); len(before) == 2 {
				break
			}
		}
		if len(before) > 1 || len(before) == 1 && before[0] != "export" && before[0] != "set" && before[0] != "setenv" || len(trimmed) != end {
			if !netrcWord(name) || len(before) < 2 || strings.HasPrefix(before[0], "#") {
				return "", 0
			}
		}
	}
	return strings.TrimLeft(name, "-"), start
}

// netrcWord reports whether name is the word of netrc(5) that stands in the middle of a line before a secret.
func netrcWord(name string) bool { return name == "password" || name == "passwd" }

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.' || c >= 0x80
}

// valueAfter is where the value behind an operator at i stands: between quotes, whose kind is told, else up to what ends it.
func valueAfter(line string, i int, operator byte, start int, quotes *openQuotes) (from, to int, quote string) {
	from = i + 1
	for from < len(line) && (line[from] == '=' || line[from] == '>' && operator == '=' || line[from] == ' ' || line[from] == '\t') {
		from++
	}
	rest := line[from:]
	for _, q := range []string{`\"`, `\'`, `"`, `'`, "`"} {
		if strings.HasPrefix(rest, q) {
			from += len(q)
			if n := closing(line[from:], q); n >= 0 {
				return from, from + n, q
			}
			return from, len(line), q
		}
	}
	to = len(line)
	switch {
	case operator == '>':
		if n := strings.IndexByte(rest, '<'); n >= 0 {
			to = from + n
		}
	case start > 0 && (line[start-1] == '?' || line[start-1] == '&'): // of a URL
		if n := strings.IndexAny(rest, "& \t\"'<>#"); n >= 0 {
			to = from + n
		}
	case strings.HasPrefix(line[start:], "-"): // an option
		if n := strings.IndexAny(rest, " \t"); n >= 0 {
			to = from + n
		}
	default:
		for _, q := range []byte{'"', '\''} {
			if quotes.at(start, q) {
				if n := closing(rest, string(q)); n >= 0 {
					to = min(to, from+n)
				}
			}
		}
	}
	return from, from + len(strings.TrimRight(line[from:to], " \t")), ""
}

// isBlockHeader reports whether a value is that of YAML which says that a text follows in the next lines (yaml.org/spec/1.2.2, 8.1.1): |, >-, |2+ # why.
func isBlockHeader(value string) bool {
	if value[0] != '|' && value[0] != '>' {
		return false
	}
	rest := strings.TrimLeft(value[1:], "0123456789+-")
	trimmed := strings.TrimLeft(rest, " \t")
	return trimmed == "" || trimmed[0] == '#' && len(trimmed) < len(rest)
}

// openQuotes knows where in a line quotes are open. It is asked for each setting of a line, which may have very many, so it counts them once.
type openQuotes struct {
	line string
	odd  []byte // bit 0: of double quotes stands an odd number before; bit 1: of single ones
}

func (o *openQuotes) at(i int, quote byte) bool {
	if o.odd == nil {
		o.odd = make([]byte, len(o.line)+1)
		for i := range len(o.line) {
			o.odd[i+1] = o.odd[i]
			switch o.line[i] {
			case '"':
				o.odd[i+1] ^= 1
			case '\'':
				o.odd[i+1] ^= 2
			}
		}
	}
	if quote == '"' {
		return o.odd[i]&1 != 0
	}
	return o.odd[i]&2 != 0
}

// closing is where the quote ends in s; -1: not there. A backslash takes the quote's meaning.
func closing(s, quote string) int {
	if len(quote) == 2 {
		return strings.Index(s, quote)
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quote != "'":
			i++
		case s[i] == quote[0]:
			return i
		}
	}
	return -1
}
