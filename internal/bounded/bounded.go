// SPDX-License-Identifier: Apache-2.0

// Package bounded keeps what a program or a machine says, which nobody can trust to be short.
//
// Neither type holds a bytes.Buffer that shows: io.Copy would call its ReadFrom, which knows no bound.
package bounded

import (
	"fmt"
	"sync"
)

// tailMax is enough for the lines that say why, never a flood.
const tailMax = 4 << 10

// Tail keeps the last 4 KiB written to it. The zero value is ready; a command's two streams may write at once.
type Tail struct {
	mu sync.Mutex
	b  []byte
}

// Write never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - tailMax; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

// String is what was kept, as it came: it may begin within a character.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

// Limited keeps all that is written to it, at most Most bytes. It is for one writer.
type Limited struct {
	Most int
	b    []byte
}

// Write keeps nothing of p and fails where that would be more than Most bytes.
func (l *Limited) Write(p []byte) (int, error) {
	if len(l.b)+len(p) > l.Most {
		return 0, fmt.Errorf("more than %d bytes came", l.Most)
	}
	l.b = append(l.b, p...)
	return len(p), nil
}

// String is what was kept.
func (l *Limited) String() string { return string(l.b) }
