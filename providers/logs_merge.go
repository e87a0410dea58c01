// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// logPatience is how long records wait for those of a machine that has sent none yet.
	logPatience = 5 * time.Second
	// logWindow is how long a new record waits for older ones of machines that answer more slowly.
	logWindow = 300 * time.Millisecond
	// logAhead is how many records of one machine are kept ready; further ones wait on the machine.
	logAhead = 64
)

// merge brings the records of several journals, each in its order, into one order by time.
type merge struct {
	follow  bool
	began   time.Time
	sources []*logSource
	wake    chan struct{} // something arrived
	readers sync.WaitGroup
}

// logSource is one machine's journal.
type logSource struct {
	name    string
	records chan arrival

	mu       sync.Mutex
	ready    bool // it was connected
	sends    bool // it is connected
	over     bool
	err      error // of the last failure
	failures int

	// run's own:
	head *arrival
	last time.Time // when the last record was taken from it
	late bool      // it is not waited for until it sends again
	told int       // failures
}

type arrival struct {
	LogRecord
	at time.Time
}

func newMerge(follow bool) *merge {
	return &merge{follow: follow, began: time.Now(), wake: make(chan struct{}, 1)}
}

// source adds a machine. Before run.
func (m *merge) source(name string) *logSource {
	s := &logSource{name: name, records: make(chan arrival, logAhead), last: m.began}
	m.sources = append(m.sources, s)
	return s
}

func (m *merge) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// begin says that s is connected.
func (m *merge) begin(s *logSource) {
	s.mu.Lock()
	s.ready, s.sends = true, true
	s.mu.Unlock()
	m.signal()
}

// send hands a record on; it waits while run has enough of s.
func (m *merge) send(ctx context.Context, s *logSource, r LogRecord) error {
	select {
	case s.records <- arrival{r, time.Now()}:
		m.signal()
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lost says that s sends nothing for a while, and why. It is told once, until s is connected again.
func (m *merge) lost(s *logSource, err error) {
	s.mu.Lock()
	if s.sends {
		s.sends, s.err = false, err
		s.failures++
	}
	s.mu.Unlock()
	m.signal()
}

// end says that s sends no more, and why; nil at its journal's end.
func (m *merge) end(s *logSource, err error) {
	s.mu.Lock()
	s.over = true
	if err != nil {
		s.err = err
		s.failures++
	}
	s.mu.Unlock()
	m.signal()
}

func (s *logSource) state() (ready, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready, s.over
}

// news is the last failure, where there were some since it was asked last. run's own.
func (s *logSource) news() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures == s.told {
		return nil
	}
	s.told = s.failures
	return s.err
}

// take fills head where a record is there. It says whether there may come more.
func (s *logSource) take() (open bool) {
	_, over := s.state() // before looking: what came before the end is there
	if s.head == nil {
		select {
		case a := <-s.records:
			s.head, s.late = &a, false
		default:
		}
	}
	return !over || s.head != nil
}

// run hands records to out until all sources ended, ctx ends, or out fails.
func (m *merge) run(ctx context.Context, out func(LogRecord) error, failed func(LogFailure)) error {
	for ctx.Err() == nil {
		open := slices.DeleteFunc(slices.Clone(m.sources), func(s *logSource) bool { return !s.take() })
		for _, s := range m.sources {
			if err := s.news(); err != nil && ctx.Err() == nil {
				failed(LogFailure{s.name, err})
			}
		}
		if len(open) == 0 {
			return nil
		}
		first := oldest(open)
		wait := time.Hour
		if first != nil {
			if wait = m.holdUp(open, first); wait <= 0 {
				r := first.head.LogRecord
				first.head, first.last = nil, time.Now()
				if err := out(r); err != nil {
					return err
				}
				continue
			}
		}
		select {
		case <-ctx.Done():
		case <-m.wake:
		case <-time.After(wait):
		}
	}
	return context.Cause(ctx)
}

// oldest is the source whose next record is the oldest; nil where none has one.
func oldest(open []*logSource) *logSource {
	var first *logSource
	for _, s := range open {
		if s.head != nil && (first == nil || s.head.Time.Before(first.head.Time)) {
			first = s
		}
	}
	return first
}

// holdUp is how long first's record has to wait for sources that have none: an older one may come.
func (m *merge) holdUp(open []*logSource, first *logSource) time.Duration {
	most := time.Duration(0)
	for _, s := range open {
		if s.head != nil || s.late {
			continue
		}
		ready, _ := s.state()
		until := s.last.Add(logPatience)
		if m.follow && ready {
			until = first.head.at.Add(logWindow)
		}
		wait := time.Until(until)
		if wait <= 0 && !m.follow {
			s.late = true
		}
		most = max(most, wait)
	}
	return most
}
