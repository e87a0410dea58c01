// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"fmt"
	"strings"
	"sync"
)

// tailMax bounds what is kept of a machine's output: enough for the lines that say why, never a flood.
const tailMax = 4 << 10

// tailBuffer keeps the last tailMax bytes written to it. The zero value is ready; a command's two streams may write at once.
type tailBuffer struct {
	mu sync.Mutex
	b  []byte
}

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - tailMax; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tailBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

// withOutput adds what a command said to why it failed.
func withOutput(err error, out *tailBuffer) error {
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
		case r == 0x2028 || r == 0x2029 || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069): // line breaks and direction overrides
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
