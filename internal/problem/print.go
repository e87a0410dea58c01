// SPDX-License-Identifier: Apache-2.0

package problem

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// What the printer shows of a source line at most, in terminal columns.
const maxWidth = 100

const tabStop = 4

// The only escape sequences that are ever printed.
const (
	bold  = "\x1b[1m"
	red   = "\x1b[1;31m"
	cyan  = "\x1b[1;36m"
	reset = "\x1b[0m"
)

// Print writes each problem of l in the manner of compilers, then a line that counts them:
//
//	env.yaml:12:11: error: machines.web.cpus: got 0; allowed is a whole number from 1 to 512
//	    cpus: 0
//	          ^
//	  hint: ...
//
// Nothing of a problem reaches w as a control character: they are written as escapes. Of a long line the part around the column is shown.
// With color the parts are set off by ANSI sequences.
func Print(w io.Writer, l List, color bool) error {
	paint := func(style, text string) string {
		if !color {
			return text
		}
		return style + text + reset
	}
	var b strings.Builder
	errors, notes := 0, 0
	for _, p := range l {
		severity, style := string(Error), red
		if p.Severity == Note {
			severity, style = string(Note), cyan
			notes++
		} else {
			errors++
		}
		b.WriteString(paint(bold, place(p)))
		b.WriteString(paint(style, severity+":") + " ")
		if p.Path != "" {
			b.WriteString(escape(p.Path) + ": ")
		}
		b.WriteString(escape(p.Message) + "\n")
		if p.Line > 0 && strings.TrimSpace(p.Source) != "" {
			text, indent := excerpt(p.Source, p.Column)
			b.WriteString("    " + text + "\n")
			if p.Column > 0 {
				b.WriteString("    " + strings.Repeat(" ", indent) + paint(style, "^") + "\n")
			}
		}
		if p.Hint != "" {
			b.WriteString("  " + paint(bold, "hint:") + " " + escape(p.Hint) + "\n")
		}
	}
	if errors+notes > 1 {
		fmt.Fprintf(&b, "%s\n", tally(errors, notes))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func place(p Problem) string {
	switch {
	case p.File == "":
		return ""
	case p.Line == 0:
		return escape(p.File) + ": "
	}
	return fmt.Sprintf("%s:%d:%d: ", escape(p.File), p.Line, p.Column)
}

func tally(errors, notes int) string {
	var parts []string
	for _, c := range []struct {
		count int
		noun  string
	}{{errors, "error"}, {notes, "note"}} {
		switch c.count {
		case 0:
		case 1:
			parts = append(parts, "1 "+c.noun)
		default:
			parts = append(parts, fmt.Sprintf("%d %ss", c.count, c.noun))
		}
	}
	return strings.Join(parts, ", ")
}

// cell is one character as it is printed.
type cell struct {
	text  string
	width int
}

// excerpt is a source line fit for a terminal, and how many terminal columns stand before character column (from 1) in it. The
// excerpt loses the line's indentation, tabs become spaces, and a long line is cut around the column.
func excerpt(source string, column int) (text string, indent int) {
	cells := make([]cell, 0, len(source))
	at := 0
	for _, r := range source {
		c := cell{text: string(r), width: 1}
		switch {
		case r == '\t':
			c.width = tabStop - at%tabStop
			c.text = strings.Repeat(" ", c.width)
		case unsafe(r):
			c.text = escapeRune(r)
			c.width = len(c.text)
		case unicode.In(r, unicode.Mn, unicode.Me):
			c.width = 0
		default:
			if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth || r >= 0x1f300 && r <= 0x1faff {
				c.width = 2
			}
		}
		at += c.width
		cells = append(cells, c)
	}
	target := min(max(column-1, 0), len(cells))
	first, last := window(cells, target)
	var b strings.Builder
	if first > 0 && strings.TrimSpace(source[:offset(source, first)]) != "" {
		b.WriteString("...")
		indent = 3
	}
	for i, c := range cells[first:last] {
		if first+i < target {
			indent += c.width
		}
		b.WriteString(c.text)
	}
	if last < len(cells) {
		b.WriteString("...")
	}
	return strings.TrimRight(b.String(), " "), indent
}

// window chooses which cells to show: from the first that is no space, unless target would be out of sight.
func window(cells []cell, target int) (first, last int) {
	for first < target && strings.TrimSpace(cells[first].text) == "" {
		first++
	}
	if span(cells[first:target]) > maxWidth*3/4 {
		for first = target; first > 0 && span(cells[first-1:target]) <= maxWidth/2; {
			first--
		}
	}
	for last = first; last < len(cells) && span(cells[first:last+1]) <= maxWidth; {
		last++
	}
	return first, max(last, min(target+1, len(cells)))
}

func span(cells []cell) int {
	n := 0
	for _, c := range cells {
		n += c.width
	}
	return n
}

// offset is the byte at which character n of s begins.
func offset(s string, n int) int {
	at := 0
	for range n {
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return at
}

// unsafe reports what must not reach a terminal as it is: control characters, invisible ones and those that reverse the direction of
// writing.
func unsafe(r rune) bool {
	return !unicode.IsGraphic(r) || r == utf8.RuneError
}

func escapeRune(r rune) string {
	if r < 0x80 {
		return fmt.Sprintf(`\x%02x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// escape makes text of others safe to print; it stays on one line.
func escape(text string) string {
	if !strings.ContainsFunc(text, unsafe) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unsafe(r) {
			b.WriteString(escapeRune(r))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
