// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"fmt"
	"strings"

	"github.com/evenkeel/evenkeel/internal/bounded"
)

// withOutput adds what a command said to why it failed.
func withOutput(err error, out *bounded.Tail) error {
	said := strings.TrimSpace(Printable(out.String()))
	if said == "" {
		return err
	}
	return fmt.Errorf("%w; it said: %s", err, said)
}

// Printable makes text from a machine safe for a terminal: every control character but newline and tab, and every byte that is no UTF-8, is
// shown as an escape.
func Printable(s string) string {
	var b strings.Builder
	for _, r := range strings.ReplaceAll(strings.ToValidUTF8(s, "\\x?"), "\r\n", "\n") {
		switch {
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0):
			fmt.Fprintf(&b, "\\x%02x", r)
		case r == 0x2028 || r == 0x2029 || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069), r == 0xfffe || r == 0xffff: // line breaks, direction overrides, and what XML does not have
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
