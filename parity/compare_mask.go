// SPDX-License-Identifier: Apache-2.0

package parity

import "strings"

// maskWord begins a masked value.
const maskWord = "hmac:"

// isMasked reports whether a text holds a masked value, which says something only beside others masked with the same key.
func isMasked(text string) bool { return strings.Contains(text, maskWord) }
