// SPDX-License-Identifier: Apache-2.0

// Package facts reads machines: one script that only reads, one SSH exec, nothing installed, nothing written.
package facts

import (
	"context"
	"errors"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// Machine is one to be read.
type Machine struct {
	Subject parity.Subject
	// Dial opens a verified connection; its error makes the machine unreachable, with the reason. Collect closes what it opened.
	Dial func(ctx context.Context) (*ssh.Client, error)
}

// Options say how.
type Options struct {
	Groups   []collectors.Group // nil: all
	Parallel int                // machines read at once; 0: 64
	Deadline time.Duration      // of one machine, from dial to the last byte; 0: a minute
	Key      []byte             // masks secrets, at least 16 bytes; snapshots carry its id
	Cache    Cache              // nil: every body travels
}

// Cache remembers sections by what a machine printed, so that equal ones neither travel nor are parsed again. Values are masked already. Implementations are safe
// for concurrent use.
type Cache interface {
	// Known are digests (SHA-256 of the raw text, hex) worth offering to a machine, the likeliest first, at most most.
	Known(ctx context.Context, most int) ([]string, error)
	// Section is the section of a group with that digest; ok is false where it is not there. Callers do not change it.
	Section(ctx context.Context, id SectionID) (s parity.Section, ok bool, err error)
	Keep(ctx context.Context, id SectionID, s parity.Section) error
}

// SectionID is what a parsed section depends on.
type SectionID struct {
	Group  string // the section's name
	Script string // SHA-256 of the collector, hex
	Raw    string // SHA-256 of what was printed, hex
	KeyID  string
}

// Collect reads machines, several at a time, and gives each one's snapshot to take: one call at a time, in the order in which they come. A machine that cannot be
// reached, or does not answer in time, has a snapshot that says so and holds up nobody. It returns take's error, which ends it, or ctx's; else nil. It changes nothing
// on the machines. All goroutines have ended when it returns.
func Collect(ctx context.Context, machines []Machine, o Options, take func(*parity.Snapshot) error) error {
	return errors.New("TODO")
}

// Script is the collector made of groups, and its SHA-256 in hex. It depends on nothing else.
func Script(groups []collectors.Group) (text, digest string) { return "", "" }
