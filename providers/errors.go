// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"errors"
	"fmt"
)

// Code is a closed set: a caller may switch on it, across the wire too.
type Code string

const (
	Internal    Code = "internal"    // a fault of ours
	Invalid     Code = "invalid"     // the caller's input is wrong; the same call fails again
	Unsupported Code = "unsupported" // this place cannot do it
	NotFound    Code = "not_found"
	Conflict    Code = "conflict" // something else is there
	Denied      Code = "denied"
	Exhausted   Code = "exhausted"   // quota, disk, memory, addresses
	Unavailable Code = "unavailable" // the place did not answer; the only code that is retried, and only by the core
)

// Codes lists every code, in the order above.
var Codes = []Code{Internal, Invalid, Unsupported, NotFound, Conflict, Denied, Exhausted, Unavailable}

// Error is a provider's failure, wrapped once where the provider call returns. Its text is "cannot OP SUBJECT: cause".
type Error struct {
	Code    Code
	Op      string // "create", "list", ...
	Subject string // "machine web-1"
	Hint    string // what the user can do, or ""
	Err     error  // the cause; crosses the wire as its text
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("cannot %s %s: %s", e.Op, e.Subject, e.Code)
	}
	return fmt.Sprintf("cannot %s %s: %v", e.Op, e.Subject, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// CodeOf is the code of the first *Error in err's chain, else Internal. Of nil it is "".
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}
