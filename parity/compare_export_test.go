// SPDX-License-Identifier: Apache-2.0

package parity

import "strings"

// Meaning is what a file comes to by its lens, in text.
func Meaning(file, text string) (string, bool) {
	pairs, ok := lensOf(file).meaning(text)
	var b strings.Builder
	for _, p := range pairs {
		b.WriteString(p.key + "\x01" + p.value + "\x02")
	}
	return b.String(), ok
}

// DiffTexts is the difference of two texts of a file below /etc.
func DiffTexts(file, a, b string) string {
	return diffOf("etc", file, &fact{body: a}, &fact{body: b}, "one", "two")
}
