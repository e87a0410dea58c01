// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"fmt"
	"io"
)

// Value is a secret's value. It prints as a mask, in whatever way it is printed; Reveal is the only way to it.
type Value struct{ bytes []byte }

const mask = "********"

// NewValue wraps b, which the caller gives up.
func NewValue(b []byte) Value { return Value{b} }

// Reveal is the value itself: for the machine's own file, and nothing else.
func (v Value) Reveal() []byte { return v.bytes }

// Format is for every verb of fmt: %d would print the bytes.
func (Value) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, mask) }
func (Value) String() string               { return mask }
func (Value) MarshalText() ([]byte, error) { return []byte(mask), nil }

// Values are a plan's secrets, by machine and name. Where a machine's entry is missing its secrets are not known to this client.
type Values map[string]map[string]Value
