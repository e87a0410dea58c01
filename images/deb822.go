// SPDX-License-Identifier: Apache-2.0

package images

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
)

// maxStanza bounds one paragraph of an index: Debian's longest are below 100 KiB.
const maxStanza = 4 << 20

// eachStanza calls f with each paragraph of a Packages file (deb822(5)). The bytes are valid during the call only.
func eachStanza(r io.Reader, f func(stanza []byte) error) error {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 64<<10), maxStanza)
	var stanza []byte
	emit := func() error {
		defer func() { stanza = stanza[:0] }()
		if len(stanza) == 0 {
			return nil
		}
		return f(stanza)
	}
	for in.Scan() {
		line := in.Bytes()
		if len(bytes.TrimSpace(line)) == 0 {
			if err := emit(); err != nil {
				return err
			}
			continue
		}
		if len(stanza)+len(line) > maxStanza {
			return fmt.Errorf("cannot read a package index: one paragraph has more than %d bytes", maxStanza)
		}
		stanza = append(append(stanza, line...), '\n')
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("cannot read a package index: %w", err)
	}
	return emit()
}

// stanzaField is the first line of a field, "" where there is none.
func stanzaField(stanza []byte, name string) string {
	for len(stanza) > 0 {
		line, rest, _ := bytes.Cut(stanza, []byte{'\n'})
		if len(line) > len(name) && line[len(name)] == ':' && strings.EqualFold(string(line[:len(name)]), name) {
			return string(bytes.TrimSpace(line[len(name)+1:]))
		}
		stanza = rest
	}
	return ""
}
