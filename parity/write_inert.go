// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// inertMarks is how many combining marks may stand on one character; scripts need three at most, more are made to run over other lines.
const inertMarks = 4

// inertLine makes text of a machine one harmless line of at most limit bytes or a little more: what does not print (controls, line ends,
// overrides of direction, invisible characters, bytes that are no UTF-8) is shown as an escape, what is left out is counted.
func inertLine(s string, limit int) string { return inertText(s, limit, false) }

// inertBlock is inertLine for text of several lines: line ends and tabs stay.
func inertBlock(s string, limit int) string { return inertText(s, limit, true) }

func inertText(s string, limit int, lines bool) string {
	left := 0
	if len(s) > limit {
		at := limit
		for at > 0 && at > limit-utf8.UTFMax && !utf8.RuneStart(s[at]) {
			at--
		}
		left, s = len(s)-at, s[:at]
	}
	if plainASCII(s) && left == 0 {
		return s
	}
	var b strings.Builder
	marks := 0
	for i, size := 0, 0; i < len(s); i += size {
		var r rune
		r, size = utf8.DecodeRuneInString(s[i:])
		if unicode.In(r, unicode.Mn, unicode.Me) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case lines && (r == '\n' || r == '\t'):
			b.WriteRune(r)
		case !strconv.IsPrint(r) || marks > inertMarks || invisible(r):
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
			if marks > inertMarks || invisible(r) {
				marks = 0
			}
		default:
			b.WriteRune(r)
		}
	}
	if left > 0 {
		fmt.Fprintf(&b, " … (%s more)", counted(left, "byte"))
	}
	return b.String()
}

// invisible are letters by Unicode's word that show nothing: Hangul fillers, blank Braille, variation selectors, the grapheme joiner.
func invisible(r rune) bool {
	switch r {
	case 0x115f, 0x1160, 0x3164, 0xffa0, 0x2800, 0x034f, 0x17b4, 0x17b5:
		return true
	}
	return r >= 0xfe00 && r <= 0xfe0f || r >= 0xe0100 && r <= 0xe01ef
}

func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// columnsOf is how many terminal columns inert text takes.
func columnsOf(s string) int {
	n := 0
	for _, r := range s {
		n += columnsOfRune(r)
	}
	return n
}

func columnsOfRune(r rune) int {
	switch {
	case r < 0x80:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// fitMiddle shortens inert text to n columns, leaving out its middle: versions and paths differ at their ends.
func fitMiddle(s string, n int, dots string) string {
	if columnsOf(s) <= n {
		return s
	}
	room := n - columnsOf(dots)
	if room < 2 {
		return takeColumns(s, max(n, 0))
	}
	head := takeColumns(s, room/2)
	return head + dots + takeLast(s, room-columnsOf(head))
}

func takeColumns(s string, n int) string {
	for i, r := range s {
		if n -= columnsOfRune(r); n < 0 {
			return s[:i]
		}
	}
	return s
}

func takeLast(s string, n int) string {
	at := len(s)
	for at > 0 {
		r, size := utf8.DecodeLastRuneInString(s[:at])
		if n -= columnsOfRune(r); n < 0 {
			break
		}
		at -= size
	}
	return strings.TrimLeftFunc(s[at:], func(r rune) bool { return columnsOfRune(r) == 0 })
}

// padTo fills inert text with spaces up to n columns.
func padTo(s string, n int) string { return s + strings.Repeat(" ", max(0, n-columnsOf(s))) }

// counted is a number with its noun: 1 machine, 1,204 machines.
func counted(n int, noun string) string {
	if n != 1 {
		if strings.HasSuffix(noun, "y") {
			noun = strings.TrimSuffix(noun, "y") + "ie"
		}
		noun += "s"
	}
	return grouped(n) + " " + noun
}

// grouped is a number with commas between thousands.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for at := len(s) - 3; at > 0 && s[at-1] != '-'; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// wrapWords breaks inert text into lines of at most n columns; a word that is longer is cut.
func wrapWords(s string, n int) []string {
	n = max(n, 20)
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && columnsOf(line)+1+columnsOf(word) <= n {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for columnsOf(word) > n {
			head := takeColumns(word, n)
			lines, word = append(lines, head), word[len(head):]
		}
		line = word
	}
	return append(lines, line)
}
