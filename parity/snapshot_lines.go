// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
)

// decodeLine reads a snapshot as MarshalSnapshot writes it; nil: it is something else, or wrong, which decode tells. Of sections that were read before it looks at each byte once:
// 800 machines of one image are 500 MB of JSON.
//
// Within JSON a quote that is no escaped one ends a string, so `,"sections":[` stands only where the field does.
func (k *sharedItems) decodeLine(line []byte) *Snapshot {
	const field = sectionsField
	at := bytes.Index(line, []byte(field+"["))
	if at < 0 {
		return nil
	}
	pos := at + len(field) + 1
	var sections []Section
	for pos < len(line) && (line[pos] != ']' || sections != nil) {
		section, length := k.knownSection(line[pos:])
		if length == 0 {
			if section, length = k.newSection(line[pos:]); length == 0 {
				return nil
			}
		}
		if n := len(sections); n > 0 && sections[n-1].Name >= section.Name {
			return nil
		}
		sections = append(sections, section)
		if pos += length; pos >= len(line) || line[pos] == ']' {
			break
		}
		if line[pos] != ',' {
			return nil
		}
		pos++
	}
	if pos >= len(line) {
		return nil
	}
	rest := append(append(bytes.Clone(line[:at]), field+"null"...), line[pos+1:]...)
	var s Snapshot
	if !json.Valid(rest) || strictly(rest, &s) != nil || checkSnapshot(&s, len(sections)) != nil {
		return nil
	}
	s.Sections = sections
	return &s
}

// knownSection reads a section whose items were read before: by their digest, and seen to be the same text. length 0: it is none.
func (k *sharedItems) knownSection(text []byte) (section Section, length int) {
	const digestField, itemsField = `"digest":"`, `","items":`
	at := bytes.Index(text[:min(len(text), 400)], []byte(digestField)) // behind name and lane
	from := at + len(digestField)
	if at < 0 || len(text) < from+2*sha256.Size+len(itemsField) {
		return section, 0
	}
	known := k.byDigest[string(text[from:from+2*sha256.Size])]
	rest := text[from+2*sha256.Size:]
	if known.text == nil || !bytes.HasPrefix(rest, []byte(itemsField)) || !bytes.HasPrefix(rest[len(itemsField):], known.text) {
		return section, 0
	}
	length = from + 2*sha256.Size + len(itemsField) + len(known.text) + 1
	if len(text) < length || text[length-1] != '}' {
		return section, 0
	}
	var f fileSection
	if strictly(append(bytes.Clone(text[:from+2*sha256.Size]), `"}`...), &f) != nil || f.Unknown != "" || f.Name == "" || !f.Lane.known() {
		return section, 0
	}
	return Section{Name: f.Name, Lane: f.Lane, Digest: f.Digest, Items: known.items}, length
}

// newSection reads the section that text begins with; length 0: it is none, or wrong.
func (k *sharedItems) newSection(text []byte) (section Section, length int) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var f fileSection
	if dec.Decode(&f) != nil {
		return section, 0
	}
	section, err := k.section(&f)
	if err != nil {
		return section, 0
	}
	return section, int(dec.InputOffset())
}
