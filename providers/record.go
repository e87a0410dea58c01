// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
)

// The parts of what Settle lays, as a machine's record names them.
const (
	partScript   = "script" // the way it is laid
	partNames    = "names"
	partKeys     = "keys"
	partRules    = "rules"
	partSettings = "settings"
	partSecrets  = "secrets"
	partTLS      = "tls"
	partData     = "data"
	partExpiry   = "expiry"
)

// allParts are in the order in which changes are told.
func allParts() []string {
	return []string{partNames, partKeys, partRules, partSettings, partSecrets, partTLS, partData, partExpiry, partScript}
}

// emptyPart stands for the digest of a part that holds nothing.
const emptyPart = "-"

// record is what a machine says was laid on it: a digest of each part, keyed with a salt of the machine's own, so that a short secret cannot be
// guessed from a digest that got out. It lies in PathSettled, for root and the core's login alone: a line "salt HEX", then a line "PART DIGEST" each.
type record struct {
	salt  string            // 32 hex digits; "" where nothing was laid
	parts map[string]string // 64 hex digits, or emptyPart
}

// parseRecord reads what a machine says; what is no record comes to one that equals none.
func parseRecord(text []byte) record {
	r := record{parts: map[string]string{}}
	for line := range bytes.Lines(text) {
		word, value, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		if word == "salt" && hexID.MatchString(value) {
			r.salt = value
		} else if digestForm.MatchString(value) {
			r.parts[word] = value
		}
	}
	return r
}

var digestForm = lazyregexp.New(`^([0-9a-f]{64}|-)$`)

func (r record) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "salt %s\n", r.salt)
	for _, part := range sortedKeys(r.parts) {
		fmt.Fprintf(&b, "%s %s\n", part, r.parts[part])
	}
	return b.String()
}

// changed are the parts that differ from what was laid before.
func (r record) changed(before record) []string {
	var list []string
	for _, part := range allParts() {
		if r.parts[part] != before.parts[part] {
			list = append(list, part)
		}
	}
	return list
}

// newSalt is for a machine that has none.
func newSalt() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// laidFile is one file of the payload, by its name in it.
type laidFile struct {
	name    string
	mode    int64
	content []byte
}

// digest is over the files' names, modes and contents, in their order.
func digest(salt string, files []laidFile) string {
	if !slices.ContainsFunc(files, func(f laidFile) bool { return len(f.content) > 0 }) {
		return emptyPart
	}
	key, _ := hex.DecodeString(salt) // checked when it was read
	h := hmac.New(sha256.New, key)
	for _, f := range files {
		fmt.Fprintf(h, "%q %o %d\n", f.name, f.mode, len(f.content))
		h.Write(f.content)
	}
	return hex.EncodeToString(h.Sum(nil))
}
