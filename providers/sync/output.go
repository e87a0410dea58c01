// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"bytes"
	"fmt"
	"strings"
	gosync "sync"
)

// tail keeps the end of what a machine says, for errors.
type tail struct {
	mu gosync.Mutex
	b  []byte
}

const tailMax = 1 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - tailMax; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(t.b), "?"))
}

// limited keeps what a machine says and fails where it says more than most bytes.
type limited struct {
	bytes.Buffer
	most int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > l.most {
		return 0, fmt.Errorf("the machine said more than %d bytes", l.most)
	}
	return l.Buffer.Write(p)
}
