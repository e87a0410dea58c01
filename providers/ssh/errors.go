// SPDX-License-Identifier: Apache-2.0

package ssh

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"unicode/utf8"
)

// Errors a caller tells apart with errors.Is.
var (
	// ErrUntrusted: the far side presented a key or certificate that the Target does not allow, a plain key where a certificate is
	// expected included: anybody has one of those. Never retried.
	ErrUntrusted = errors.New("host key not trusted")
	// ErrUnfinished: the far side's certificate is from the right authority but expires (it is the bootstrap one), or has
	// expired.
	ErrUnfinished = errors.New("machine has no final host certificate")
	// ErrAuth: the host is trusted but accepted none of our keys.
	ErrAuth = errors.New("no key of ours was accepted")
	// ErrUnreachable: nothing answered as an SSH server (refused, timed out, closed before the handshake). Worth retrying.
	ErrUnreachable = errors.New("host does not answer")
)

// dialError is why Dial failed: one of the Err values, and what lies under it.
type dialError struct {
	doing string // "reach 127.0.0.1:22"
	host  string // Target.Address
	kind  error
	cause error // may be nil
}

func (e *dialError) Error() string {
	switch {
	case e.cause == nil:
		return fmt.Sprintf("cannot %s: %v", e.doing, e.kind)
	case errors.Is(e.kind, ErrUnreachable): // the cause says it: connection refused, ...
		return fmt.Sprintf("cannot %s: %s", e.doing, printable(reason(e.cause)))
	}
	return fmt.Sprintf("cannot %s: %v: %s", e.doing, e.kind, printable(reason(e.cause)))
}

// HostOf is the address of the host that an error of Dial is about: the target's, or that of the jump host where the way ended. "" where err is none.
func HostOf(err error) string {
	if e, ok := errors.AsType[*dialError](err); ok {
		return e.host
	}
	return ""
}

func (e *dialError) Unwrap() []error {
	if e.cause == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.cause}
}

// reason is err without the addresses and calls net wraps around it, which our own message has named.
func reason(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	return err.Error()
}

// farError is an error whose text may come from the far side. It prints bounded and escaped; errors.Is sees through it.
type farError struct{ err error }

func (e *farError) Error() string { return printable(e.err.Error()) }
func (e *farError) Unwrap() error { return e.err }

// printableMax bounds a line that quotes the far side: long enough for any honest server's reason.
const printableMax = 300

// printable bounds s and shows control characters, direction overrides and broken UTF-8 as escapes, on one line.
func printable(s string) string {
	var b strings.Builder
	for i, r := range s {
		if b.Len() >= printableMax {
			b.WriteString("...")
			break
		}
		_, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, "\\x%02x", s[i])
		case r < 0x20 || (r >= 0x7f && r < 0xa0):
			fmt.Fprintf(&b, "\\x%02x", r)
		case r == 0x2028 || r == 0x2029 || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069):
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// ExitError is a command that ended with a status other than 0 or by a signal.
type ExitError struct {
	Status int    // 128+n for a signal, as shells have it
	Signal string // "" or TERM, ...
}

func (e *ExitError) Error() string {
	if e.Signal != "" {
		return "command was ended by signal " + printable(e.Signal)
	}
	return fmt.Sprintf("command ended with status %d", e.Status)
}
