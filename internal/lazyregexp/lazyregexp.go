// SPDX-License-Identifier: Apache-2.0

// Package lazyregexp holds regular expressions that are compiled when first used. Every start of the command, that of a hand-off to the
// system's env included, pays for what packages make at their initialisation, and needs few of them. It has the methods that are used, and
// no others.
package lazyregexp

import (
	"regexp"
	"sync"
)

// Regexp is safe for concurrent use, as regexp.Regexp is.
type Regexp struct{ get func() *regexp.Regexp }

// New panics at the first use where text is no expression: a programmer's error.
func New(text string) *Regexp {
	return &Regexp{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })}
}

func (r *Regexp) MatchString(s string) bool              { return r.get().MatchString(s) }
func (r *Regexp) FindStringSubmatch(s string) []string   { return r.get().FindStringSubmatch(s) }
func (r *Regexp) ReplaceAllString(s, with string) string { return r.get().ReplaceAllString(s, with) }
func (r *Regexp) ReplaceAll(b, with []byte) []byte       { return r.get().ReplaceAll(b, with) }
func (r *Regexp) Match(b []byte) bool                    { return r.get().Match(b) }
func (r *Regexp) String() string                         { return r.get().String() }
func (r *Regexp) FindAllStringSubmatchIndex(s string) [][]int {
	return r.get().FindAllStringSubmatchIndex(s, -1)
}
