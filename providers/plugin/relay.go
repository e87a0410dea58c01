// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"sync"

	"github.com/evenkeel/evenkeel/providers"
)

// maxPending bounds the events that wait for a slow client. Past it the oldest are dropped: what is newest is what is true.
const maxPending = 1024

// relay sends events in their order without ever making the provider wait. Of measures of one stage that wait, only the last is sent.
type relay struct {
	mu      sync.Mutex
	pending []providers.Event
	closed  bool
	wake    chan struct{} // holds one token while there is something to look at
	done    chan struct{}
}

// newRelay starts sending; end must be called. send is never called twice at once, and no more after it failed.
func newRelay(send func(providers.Event) error) *relay {
	r := &relay{wake: make(chan struct{}, 1), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		var broken error
		for range r.wake {
			for _, e := range r.take() {
				if broken == nil {
					broken = send(e)
				}
			}
		}
	}()
	return r
}

func (r *relay) take() []providers.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.pending
	r.pending = nil
	return list
}

// add queues e; after end it does nothing.
func (r *relay) add(e providers.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if n := len(r.pending); n > 0 && sameMeasure(r.pending[n-1], e) {
		r.pending[n-1] = e
		return
	}
	if len(r.pending) == maxPending {
		r.pending = r.pending[1:] // not moved down: append copies once in hundreds of times
	}
	r.pending = append(r.pending, e)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func sameMeasure(a, b providers.Event) bool {
	return a.Total > 0 && b.Total > 0 && a.Subject == b.Subject && a.Stage == b.Stage
}

// end sends what waits and returns when all is sent. It may be called again.
func (r *relay) end() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.wake)
	}
	r.mu.Unlock()
	<-r.done
}
