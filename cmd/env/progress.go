// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/evenkeel/evenkeel/internal/progress"
	"github.com/evenkeel/evenkeel/providers"
)

// display shows progress: on a terminal one live line for each subject, elsewhere a plain line whenever a subject enters another stage.
type display interface {
	event(progress.Event)
	// note prints a line of its own between the others.
	note(text string)
	// stop leaves the last state standing. After it events are ignored.
	stop()
}

// show starts the display that suits the verb's stderr, and what tells it.
func (c *call) show() (display, progress.Func) {
	var d display
	switch f, ok := terminal(c.Stderr); {
	case c.quiet():
		d = silent{}
	case ok && !c.verbose() && c.getenv("TERM") != "dumb": // log lines would tear the live ones
		d = newLive(f, func() (int, int) {
			w, h, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return 80, 24
			}
			return w, h
		})
	default:
		d = &plain{w: c.Stderr, rows: map[string]*row{}}
	}
	return d, func(e progress.Event) {
		if e.Subject == "" && e.Total == 0 && e.Detail != "" {
			d.note(e.Detail) // said of the whole place; it measures nothing and has no end
			return
		}
		d.event(e)
	}
}

type silent struct{}

func (silent) event(progress.Event) {}
func (silent) note(string)          {}
func (silent) stop()                {}

// row is what one subject is doing.
type row struct {
	subject string
	last    progress.Event
	began   time.Time // the subject's first event
	entered time.Time // its stage
	told    time.Time // plain: when a measure was last printed
	over    time.Time // when the stage was done; zero: it goes on
	ended   bool
	total   time.Duration // once ended
}

func (r *row) take(e progress.Event, now time.Time) (entered bool) {
	entered = r.began.IsZero() || r.ended || e.Stage != r.last.Stage
	if r.began.IsZero() || r.ended {
		r.began, r.ended = now, false
	}
	if entered {
		r.entered = now
	}
	r.last, r.over = e, time.Time{}
	if e.Total > 0 && e.Done >= e.Total {
		r.over = now
	}
	if e.Stage == providers.StageReady {
		r.ended, r.total = true, now.Sub(r.began)
	}
	return entered
}

// span is how long the row's stage has lasted, or, once the subject is ready, how long all of it took.
func (r *row) span(now time.Time) time.Duration {
	switch {
	case r.ended:
		return r.total
	case !r.over.IsZero():
		now = r.over
	}
	return now.Sub(r.entered)
}

// whole is how what concerns no machine in particular is called.
const whole = "(all)"

func named(subject string) string {
	if subject == "" {
		return whole
	}
	return subject
}

// detail is the measure and the detail of the last event.
func (r *row) detail() string {
	e := r.last
	text := e.Detail
	if e.Total > 0 {
		measure := fmt.Sprintf("%d of %d", e.Done, e.Total)
		if e.Bytes {
			measure = fmt.Sprintf("%s of %s", size(e.Done), size(e.Total))
		}
		if text != "" {
			measure += " "
		}
		text = measure + text
	} else if e.Done > 0 && e.Bytes {
		text = size(e.Done) + " " + text
	}
	return oneLine(text)
}

// plain is for logs and pipes: no line is ever changed.
type plain struct {
	mu      sync.Mutex
	w       io.Writer
	rows    map[string]*row
	stopped bool
}

// plainEvery is how often a measure is printed again.
const plainEvery = 5 * time.Second

func (p *plain) event(e progress.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	r := p.rows[e.Subject]
	if r == nil {
		r = &row{subject: e.Subject}
		p.rows[e.Subject] = r
	}
	now := time.Now()
	if !r.take(e, now) {
		if e.Total == 0 || now.Sub(r.told) < plainEvery {
			return
		}
	}
	r.told = now
	text := e.Stage
	if r.ended {
		text += " after " + took(r.total)
	}
	if d := r.detail(); d != "" {
		text += ": " + d
	}
	fmt.Fprintln(p.w, oneLine(named(e.Subject)+": "+text))
}

func (p *plain) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintln(p.w, "evenkeel: "+oneLine(text))
}

func (p *plain) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
}
