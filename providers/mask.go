// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/envs"
)

// LeastSecret is the length of the shortest secret, and of the shortest line of one, that a Mask looks for: a shorter one would mask every other word.
const LeastSecret = 4

// Mask takes an environment's secrets out of what machines say: the values, their lines, and both as programs commonly write them: in base64 and hexadecimal, quoted for a
// shell, JSON, a URL, HTML, or a log. The zero value knows none.
type Mask struct{ forms []form }

type form struct {
	text []byte
	mask []byte
}

// NewMask is one for the secrets of all machines.
func NewMask(secrets envs.Values) Mask {
	var m Mask
	met := map[string]bool{}
	add := func(name string, text []byte) {
		if len(text) < LeastSecret || met[string(text)] {
			return
		}
		met[string(text)] = true
		m.forms = append(m.forms, form{text, []byte("[secret " + name + "]")})
	}
	for _, machine := range sortedKeys(secrets) {
		for _, name := range sortedKeys(secrets[machine]) {
			value := secrets[machine][name]
			whole := value.Reveal()
			parts := append([][]byte{whole, bytes.TrimSpace(whole)}, bytes.Split(whole, []byte("\n"))...)
			for _, p := range parts {
				p = bytes.TrimSuffix(p, []byte("\r"))
				if len(p) < LeastSecret {
					continue
				}
				add(name, p)
				for _, text := range writings(p) {
					add(name, text)
				}
			}
		}
	}
	// The longest first: one may be part of another.
	slices.SortStableFunc(m.forms, func(a, b form) int { return len(b.text) - len(a.text) })
	return m
}

// writings are how programs write a value; some may be the value itself.
func writings(value []byte) [][]byte {
	text := string(value)
	list := []string{
		Printable(text), strings.Trim(strconv.Quote(text), `"`), strings.ReplaceAll(text, `\`, `\\`), // the last is how sudo logs it
		strings.ReplaceAll(text, `'`, `'\''`), strings.ReplaceAll(text, `'`, `'"'"'`),
		url.QueryEscape(text), url.PathEscape(text), html.EscapeString(text),
		hex.EncodeToString(value), strings.ToUpper(hex.EncodeToString(value)),
	}
	if quoted, err := json.Marshal(text); err == nil {
		list = append(list, string(quoted[1:len(quoted)-1]))
	}
	var plain strings.Builder
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	if enc.Encode(text) == nil {
		list = append(list, strings.Trim(strings.TrimSuffix(plain.String(), "\n"), `"`))
	}
	for shift := range 3 { // of the three places in a group of three bytes that it may begin at, without what its neighbours share
		for _, coding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			coded := coding.EncodeToString(append(bytes.Repeat([]byte("x"), shift), value...))
			if from, to := (shift*4+2)/3, len(coded)-2; to-from >= 2*LeastSecret {
				list = append(list, coded[from:to])
			}
		}
	}
	var all [][]byte
	for _, one := range list {
		all = append(all, []byte(one))
	}
	return all
}

// Of is text without secrets.
func (m Mask) Of(text []byte) []byte {
	for _, f := range m.forms {
		text = bytes.ReplaceAll(text, f.text, f.mask)
	}
	return text
}

// Text is Of for strings.
func (m Mask) Text(text string) string { return string(m.Of([]byte(text))) }

// Hide is text without the secrets that c knows.
func (c *Core) Hide(text []byte) []byte { return NewMask(c.Secrets).Of(text) }

// hidden is err with secrets taken out of its text: a machine's own words may be in it.
func (c *Core) hidden(err error) error {
	said := err.Error()
	if text := NewMask(c.Secrets).Text(said); text != said {
		return &maskedError{err, text}
	}
	return err
}

// maskedError is an error that is told in other words.
type maskedError struct {
	error
	text string
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.error }

// Unmasked are the names of the secrets that c knows and that are too short to be looked for, sorted.
func (c *Core) Unmasked() []string {
	var names []string
	for _, values := range c.Secrets {
		for name, value := range values {
			if n := len(bytes.TrimSpace(value.Reveal())); n > 0 && n < LeastSecret && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}
