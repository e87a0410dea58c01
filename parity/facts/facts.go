// SPDX-License-Identifier: Apache-2.0

// Package facts reads machines: one script that only reads, one SSH exec, nothing installed, nothing written.
package facts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
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
	Deadline time.Duration      // of one machine, from dial to the last byte; 0: two minutes
	Key      []byte             // masks secrets, at least 16 bytes; snapshots carry its id
	Cache    Cache              // nil: every body travels
	Shared   *Shared            // with other Collects that go on meanwhile; nil: nothing
	Parser   string             // tells this program from others that may make another section of the same text; the Cache keeps theirs apart
	// Warn is told, once, of a Cache that failed: facts are right without it, and come slower. It may be nil.
	Warn func(error)
}

// Shared lets several Collects at once know what the machines of each said: what one said travels from no other, whatever place they are in. What it keeps is bounded, and it bounds what they
// take in at a time.
type Shared struct {
	sections *interned
	long     room // who says a long section
	blind    room // who is asked while nothing is known
}

// NewShared makes one.
func NewShared() *Shared {
	return &Shared{newInterned(), newRoom(2*runtime.GOMAXPROCS(0), longWait), newRoom(blindMachines, blindWait)}
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
	Script string // SHA-256 of the collector and of who parsed, hex
	Raw    string // SHA-256 of what was printed, hex
	KeyID  string
}

const (
	defaultParallel = 64
	defaultDeadline = 2 * time.Minute // emulated machines that share two cores take 20 s
)

// Collect reads machines, several at a time, and gives each one's snapshot to take: one call at a time, in the order in which they come. A machine that cannot be
// reached, or does not answer in time, has a snapshot that says so and holds up nobody; what it said in time stands. It returns take's error, which ends it, or ctx's; else
// nil. It changes nothing on the machines. All goroutines have ended when it returns. Equal sections of machines share their items: take does not change them.
func Collect(ctx context.Context, machines []Machine, o Options, take func(*parity.Snapshot) error) error {
	c, err := newCollector(ctx, o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		taking sync.Mutex
		next   = make(chan *Machine)
		work   sync.WaitGroup
	)
	for range min(c.parallel, len(machines)) {
		work.Go(func() {
			for m := range next {
				s := c.read(ctx, m)
				taking.Lock()
				if ctx.Err() == nil {
					if err := take(s); err != nil {
						cancel(err)
					}
				}
				taking.Unlock()
			}
		})
	}
	for i := range machines {
		select {
		case next <- &machines[i]:
		case <-ctx.Done():
		}
	}
	close(next)
	work.Wait()
	return context.Cause(ctx)
}

// collector is what the machines of one Collect share.
type collector struct {
	Options
	parallel       int
	deadline       time.Duration
	script, digest string
	line           string
	only           []string // the sections, where not all are wanted
	groups         map[string]*collectors.Group
	names          []string // of the groups, sorted
	mask           *Mask
	shared         *Shared
	kept           []string // digests that the cache offers
	warned         sync.Once
}

func newCollector(ctx context.Context, o Options) (*collector, error) {
	mask, err := NewMask(o.Key)
	if err != nil {
		return nil, err
	}
	c := &collector{Options: o, parallel: o.Parallel, deadline: o.Deadline, groups: map[string]*collectors.Group{}, mask: mask, shared: cmp.Or(o.Shared, NewShared())}
	if c.parallel <= 0 {
		c.parallel = defaultParallel
	}
	if c.deadline <= 0 {
		c.deadline = defaultDeadline
	}
	all := collectors.All()
	if c.Groups == nil {
		c.Groups = all
	}
	for i := range c.Groups {
		g := &c.Groups[i]
		if c.groups[g.Name] != nil {
			return nil, fmt.Errorf("cannot read machines: two groups are called %s", g.Name)
		}
		c.groups[g.Name] = g
		c.names = append(c.names, g.Name)
	}
	slices.Sort(c.names)
	if len(c.Groups) < len(all) || slices.ContainsFunc(all, func(g collectors.Group) bool { return c.groups[g.Name] == nil }) {
		c.only = c.names
	}
	c.script, c.digest = Script(c.Groups)
	c.line = commandLine()
	if c.Cache != nil {
		if c.kept, err = c.Cache.Known(ctx, maxOffered); err != nil {
			c.warn(fmt.Errorf("cannot read which facts are known: %w", err))
		}
		c.kept = slices.DeleteFunc(slices.Clone(c.kept), func(d string) bool { return !isDigest(d) })
		c.kept = c.kept[:min(len(c.kept), maxOffered)]
	}
	return c, nil
}

// maxOffered is how many digests a machine is told: 7 KB.
const maxOffered = 400

func (c *collector) warn(err error) {
	if c.Warn != nil {
		c.warned.Do(func() { c.Warn(err) })
	}
}

// read makes one machine's snapshot, whatever happens.
func (c *collector) read(ctx context.Context, m *Machine) *parity.Snapshot {
	ctx, cancel := context.WithTimeoutCause(ctx, c.deadline, fmt.Errorf("it did not answer within %s", c.deadline))
	defer cancel()
	s := &parity.Snapshot{Format: parity.SnapshotFormat, Subject: m.Subject, Collector: c.digest, Taken: now(), KeyID: c.mask.KeyID()}
	client, err := m.Dial(ctx)
	if err != nil {
		s.Unreachable = unreachable(ctx, err)
		return s
	}
	defer func() { _ = client.Close() }() // it only read
	known, asked := c.offerFirst(ctx)
	defer asked()
	a := c.ask(ctx, client, c.only, known)
	if !a.begun {
		s.Unreachable = unreachable(ctx, a.err)
		return s
	}
	if again := a.unresolved; len(again) > 0 && a.err == nil {
		b := c.ask(ctx, client, again, nil)
		for _, name := range again {
			if section, ok := b.sections[name]; ok {
				a.sections[name] = section
			} else if b.err != nil {
				a.err = b.err
			}
		}
	}
	s.Taken, s.Skew, s.Collector = a.taken, a.skew, a.script
	for _, name := range c.names {
		s.Sections = append(s.Sections, c.sectionOf(name, a))
	}
	return s
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// sectionOf is a section of an answer: each that was asked for has one.
func (c *collector) sectionOf(name string, a *answer) parity.Section {
	if section, ok := a.sections[name]; ok {
		return section
	}
	why := "it did not say anything of it"
	switch {
	case a.err != nil:
		why = reasonText(a.err.Error())
	case a.script != c.digest:
		why = "the copy of the collector on the machine does not read it"
	}
	return unknownSection(c.groups[name], why)
}

// unreachable is why a machine was not read; a deadline is said as such.
func unreachable(ctx context.Context, err error) string {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), cause.Error()) {
		err = cause
	}
	return reasonText(err.Error())
}
