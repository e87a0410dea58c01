// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/evenkeel/evenkeel/internal/progress"
	"github.com/evenkeel/evenkeel/providers"
)

// live redraws one line for each subject in place. It writes each frame in one go and clears no line before its new text is there, so that
// nothing flickers.
type live struct {
	w    io.Writer
	size func() (width, height int)

	mu      sync.Mutex
	rows    []*row
	notes   []string
	drawn   int // lines of the last frame, above the cursor
	stopped bool
	done    chan struct{}
	ended   chan struct{}
}

// frameEvery bounds how often the lines are drawn; the elapsed time needs no more.
const frameEvery = 100 * time.Millisecond

func newLive(w io.Writer, size func() (int, int)) *live {
	l := &live{w: w, size: size, done: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		tick := time.NewTicker(frameEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.mu.Lock()
				l.draw(time.Now(), false)
				l.mu.Unlock()
			case <-l.done:
				return
			}
		}
	}()
	return l
}

func (l *live) event(e progress.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return
	}
	for _, r := range l.rows {
		if r.subject == e.Subject {
			r.take(e, time.Now())
			return
		}
	}
	r := &row{subject: e.Subject}
	r.take(e, time.Now())
	l.rows = append(l.rows, r)
}

func (l *live) note(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes = append(l.notes, "evenkeel: "+oneLine(text))
	if l.stopped {
		l.draw(time.Now(), true)
	}
}

func (l *live) stop() {
	l.mu.Lock()
	stopped := l.stopped
	l.stopped = true
	l.mu.Unlock()
	if stopped {
		return
	}
	close(l.done)
	<-l.ended
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draw(time.Now(), true)
	l.drawn, l.rows = 0, nil
}

// draw writes one frame over the last. Where there are more lines than the terminal has, the rest is counted; the last frame shows all.
func (l *live) draw(now time.Time, last bool) {
	width, height := l.size()
	if last { // what concerned all is over; the subjects' own lines stay
		l.rows = slices.DeleteFunc(l.rows, func(r *row) bool { return r.subject == "" })
	}
	lines := l.lines(now, width)
	if most := max(height-2, 1); len(lines) > most && !last {
		lines = append(lines[:most-1], fmt.Sprintf("... and %d more", len(lines)-most+1))
	}
	if len(lines)+len(l.notes) == 0 {
		return
	}
	var b strings.Builder
	if l.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", l.drawn)
	}
	for _, n := range l.notes {
		fmt.Fprintf(&b, "\r%s\x1b[K\n", n)
	}
	for _, text := range lines {
		fmt.Fprintf(&b, "\r%s\x1b[K\n", text)
	}
	b.WriteString("\x1b[J")
	l.notes, l.drawn = nil, len(lines)
	_, _ = io.WriteString(l.w, b.String()) // a terminal that is gone takes the command with it by SIGHUP
}

func (l *live) lines(now time.Time, width int) []string {
	const stages = 8 // the longest of the words, and a space
	names := 0
	for _, r := range l.rows {
		names = max(names, utf8.RuneCountInString(oneLine(named(r.subject))))
	}
	var list []string
	for _, r := range l.rows {
		text := fmt.Sprintf("%-*s  %-*s  %6s  %s", names, oneLine(named(r.subject)), stages, oneLine(r.last.Stage), took(r.span(now)), r.detail())
		list = append(list, cut(strings.TrimRight(text, " "), width-1))
	}
	return list
}

// cut shortens text to columns; what may be wide counts double, so that a line never wraps.
func cut(text string, columns int) string {
	at := 0
	for i, r := range text {
		w := 1
		if r >= 0x1100 {
			w = 2
		}
		if at+w > columns {
			return text[:i]
		}
		at += w
	}
	return text
}

// oneLine is text of others made safe for a terminal, on one line.
func oneLine(text string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(providers.Printable(text))
}
