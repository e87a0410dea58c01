// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"fmt"
	"strings"

	"github.com/aymanbagabas/go-udiff"
)

const (
	maxDiff      = 16 << 10 // bytes of a diff in a report
	maxDiffInput = 64 << 10 // bytes of each text that is compared line by line
)

// diffOf is what differs between two values, in at most maxDiff bytes: statements where both can be read by meaning, else lines; "" where the values say it all.
func diffOf(section, key string, want, got *fact, from, to string) string {
	if want.body == "" || got.body == "" {
		return ""
	}
	if l := lensOf(key); strings.TrimSuffix(section, OwnSuffix) == "etc" && l.read != nil {
		a, okA := l.meaning(want.body)
		b, okB := l.meaning(got.body)
		if okA && okB {
			return clipDiff(diffOfPairs(a, b, from, to))
		}
	}
	if len(want.body) > maxDiffInput || len(got.body) > maxDiffInput {
		return fmt.Sprintf("the texts are too long to be shown: %d and %d bytes", len(want.body), len(got.body))
	}
	return clipDiff(udiff.Unified(from, to, lastLine(want.body), lastLine(got.body)))
}

// lastLine ends a text's last line, whose missing end is no difference worth a line.
func lastLine(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

// diffOfPairs are the statements that one of two files lacks.
func diffOfPairs(a, b []pair, from, to string) string {
	text := func(pairs []pair) string {
		var s strings.Builder
		for _, p := range pairs {
			s.WriteString(strings.ReplaceAll(strings.TrimSpace(p.key+" "+p.value), "\n", " ") + "\n")
		}
		return strings.ToValidUTF8(s.String(), "\uFFFD")
	}
	one, two := text(a), text(b)
	if len(one) > maxDiffInput || len(two) > maxDiffInput {
		return fmt.Sprintf("the texts are too long to be shown: %d and %d statements", len(a), len(b))
	}
	diff, err := udiff.ToUnified(from, to, one, udiff.Strings(one, two), 0)
	if err != nil {
		return "the difference cannot be shown: " + err.Error()
	}
	return diff
}

// clipDiff cuts at a line's end and says so.
func clipDiff(diff string) string {
	if len(diff) <= maxDiff {
		return diff
	}
	cut := diff[:maxDiff]
	if i := strings.LastIndexByte(cut, '\n'); i > 0 {
		cut = cut[:i+1]
	}
	return strings.ToValidUTF8(cut, "") + fmt.Sprintf("... %d bytes more\n", len(diff)-len(cut))
}
