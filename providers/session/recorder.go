// SPDX-License-Identifier: Apache-2.0

package session

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/providers"
)

// maxEvents bounds what a Recorder keeps: a bring-up of a thousand machines says some twenty thousand.
const maxEvents = 100_000

// Recorder keeps what a bring-up told, with the times. The zero value is ready; it is safe for concurrent use.
type Recorder struct {
	mu     sync.Mutex
	began  time.Time
	ended  time.Time
	events []recorded
	lost   int
}

type recorded struct {
	Time time.Time `json:"time"`
	providers.Event
}

// Start begins the time that the first stages are measured from.
func (r *Recorder) Start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began = time.Now()
}

// Stop ends the bring-up: what is told later is not kept.
func (r *Recorder) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended.IsZero() {
		r.ended = time.Now()
	}
}

// Tell is a Progress that keeps events and hands them on to next, which may be nil. Of a measure only its first and last step are kept.
func (r *Recorder) Tell(next providers.Progress) providers.Progress {
	return func(e providers.Event) {
		r.take(e)
		next.Emit(e)
	}
}

func (r *Recorder) take(e providers.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended.IsZero() {
		return
	}
	if e.Total > 0 && e.Done > 0 && e.Done < e.Total {
		return
	}
	if len(r.events) == maxEvents {
		r.lost++
		return
	}
	r.events = append(r.events, recorded{time.Now().UTC(), e})
}

// WriteEvents writes what r kept, one event a line, as JSON. Secrets are taken out.
func (s *Session) WriteEvents(w io.Writer, r *Recorder) error {
	mask := providers.NewMask(s.Secrets)
	r.mu.Lock()
	defer r.mu.Unlock()
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, e := range r.events {
		e.Detail = mask.Text(e.Detail)
		if err := enc.Encode(e); err != nil {
			return fmt.Errorf("cannot write events: %w", err)
		}
	}
	if r.lost > 0 {
		return enc.Encode(recorded{r.ended, providers.Event{Stage: "lost", Detail: fmt.Sprintf("%d more events were not kept", r.lost)}})
	}
	return nil
}

// span is how long a machine was in a stage, all times together.
type span struct {
	stage string
	took  time.Duration
}

// spans are the stages that a machine was in, in the order of their first time, and when it was last heard of being in one.
func (r *Recorder) spans(machine string) []span {
	r.mu.Lock()
	defer r.mu.Unlock()
	end := r.ended
	if end.IsZero() {
		end = time.Now()
	}
	var list []span
	at := -1
	var since time.Time
	leave := func(t time.Time) {
		if at >= 0 {
			list[at].took += t.Sub(since)
		}
	}
	for _, e := range r.events {
		if e.Subject != machine || e.Stage == "" || at >= 0 && list[at].stage == e.Stage {
			continue
		}
		leave(e.Time)
		since = e.Time
		if at = slices.IndexFunc(list, func(s span) bool { return s.stage == e.Stage }); at < 0 {
			list = append(list, span{stage: e.Stage})
			at = len(list) - 1
		}
	}
	leave(end)
	return list
}

// span is how long the whole took.
func (r *Recorder) span() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended.IsZero() {
		return time.Since(r.began)
	}
	return r.ended.Sub(r.began)
}
