// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
)

// AuthorizedKey is the fact of section keys that a line of a user's authorized_keys comes to: "deploy SHA256:..." -> `cert-authority ssh-ed25519 somebody@work`, which is the
// line without the key itself. ok is false where the line holds no key.
func AuthorizedKey(user, line string) (item Item, ok bool) {
	words := optionsAndWords(strings.TrimSpace(line))
	// The form of a key is its first word, or its second behind options.
	for at := 0; at < 2 && at+1 < len(words); at++ {
		blob, err := base64.StdEncoding.DecodeString(words[at+1])
		if err != nil || len(blob) < 4 {
			continue
		}
		if n := binary.BigEndian.Uint32(blob); uint64(n) > uint64(len(blob)-4) || string(blob[4:4+n]) != words[at] || n == 0 {
			continue // each key begins with its own form
		}
		sum := sha256.Sum256(blob)
		return Item{
			Key:   user + " SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]),
			Value: strings.Join(append(words[:at+1:at+1], words[at+2:]...), " "),
		}, true
	}
	return Item{}, false
}

// optionsAndWords splits at white space outside of double quotes.
func optionsAndWords(line string) []string {
	quoted, escaped := false, false
	return strings.FieldsFunc(line, func(r rune) bool {
		switch {
		case escaped:
			escaped = false
		case r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\t')
	})
}
