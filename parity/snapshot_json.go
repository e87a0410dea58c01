// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// canonical is v's canonical JSON: no space, the order of the Go type's fields, nothing escaped that need not be.
func canonical(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// MarshalSnapshot is a snapshot's canonical JSON, in one line without its end: no insignificant space, the fields in the order of the type, sections and items in order, <, > and
// & as they are. Equal snapshots have equal bytes.
func MarshalSnapshot(s *Snapshot) ([]byte, error) {
	head := *s
	head.Sections = nil
	around, err := canonical(&head)
	if err != nil {
		return nil, fmt.Errorf("cannot write snapshot of %s: %w", s.Subject.Name, err)
	}
	if s.Sections == nil {
		return around, nil
	}
	before, after, _ := bytes.Cut(around, []byte(sectionsField+"null"))
	b := append(before[:len(before):len(before)], sectionsField+"["...)
	for i := range s.Sections {
		if i > 0 {
			b = append(b, ',')
		}
		section := s.Sections[i]
		section.Items = nil
		line, err := canonical(&section)
		if err != nil {
			return nil, fmt.Errorf("cannot write snapshot of %s: %w", s.Subject.Name, err)
		}
		b = append(b, line...)
		if items := s.Sections[i].Items; len(items) > 0 {
			b = appendItems(append(b[:len(b)-1], `,"items":`...), items)
			b = append(b, '}')
		}
	}
	return append(append(b, ']'), after...), nil
}

// sectionsField is how a snapshot's canonical JSON goes on with its sections, and only they: within a string a quote is escaped.
const sectionsField = `,"sections":`

// DigestSection is Section.Digest: the SHA-256 over the canonical JSON of items, hex. Items are sorted by key.
func DigestSection(items []Item) string {
	sum := sha256.Sum256(appendItems(nil, items))
	return hex.EncodeToString(sum[:])
}

//go:embed snapshot.schema.json
var snapshotSchema []byte

// SnapshotSchema is the JSON Schema (draft 2020-12) of a snapshot. ReadSnapshots checks more: order, digests.
func SnapshotSchema() []byte { return slices.Clone(snapshotSchema) }
