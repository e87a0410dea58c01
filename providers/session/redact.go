// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"slices"

	"github.com/evenkeel/evenkeel/envs"
)

// leastSecret is the shortest value that is looked for: a shorter one would mask every other word, and is no secret.
const leastSecret = 4

// hidden takes an environment's secrets out of what is kept of its machines: their own words, their lines, and both in base64 and hexadecimal.
type hidden struct{ forms []form }

type form struct {
	text []byte
	mask []byte
}

func newHidden(secrets envs.Values) hidden {
	var h hidden
	met := map[string]bool{}
	add := func(name string, text []byte) {
		if len(text) < leastSecret || met[string(text)] {
			return
		}
		met[string(text)] = true
		h.forms = append(h.forms, form{text, []byte("[secret " + name + "]")})
	}
	for _, values := range secrets {
		for name, value := range values {
			whole := value.Reveal()
			parts := append([][]byte{whole, bytes.TrimSpace(whole)}, bytes.Split(whole, []byte("\n"))...)
			for _, p := range parts {
				p = bytes.TrimSuffix(p, []byte("\r"))
				add(name, p)
				if len(p) < leastSecret {
					continue
				}
				add(name, []byte(hex.EncodeToString(p)))
				for shift := range 3 { // of the three places in a group of three bytes that it may begin at, without what its neighbours share
					text := base64.RawStdEncoding.EncodeToString(append(bytes.Repeat([]byte("x"), shift), p...))
					from, to := (shift*4+2)/3, len(text)-2
					if to-from >= 2*leastSecret {
						add(name, []byte(text[from:to]))
					}
				}
			}
		}
	}
	// The longest first: one may be part of another.
	slices.SortStableFunc(h.forms, func(a, b form) int { return len(b.text) - len(a.text) })
	return h
}

// in is text without secrets.
func (h hidden) in(text []byte) []byte {
	for _, f := range h.forms {
		text = bytes.ReplaceAll(text, f.text, f.mask)
	}
	return text
}
