// SPDX-License-Identifier: Apache-2.0

package facts

import (
	"context"
	"time"
)

const (
	// longSection is from which length on a section waits for room: unpacked and parsed it takes several times that, and those who all say the same at first would all take it
	// at once.
	longSection = 32 << 10
	// longWait is how long somebody may have room: a machine that stalls in the middle of a section holds up nobody, and what comes over a slow line takes its place as it comes.
	longWait = 250 * time.Millisecond

	// blindMachines are how many are asked at a time while nothing is known that could be offered them, and blindWait is how long others wait for their words. All that they say is in
	// memory at once: with 64 an audit took 100 MB more.
	blindMachines = 16
	blindWait     = 2 * time.Second
)

// room is for so many at a time, each for so long at most.
type room struct {
	places   chan struct{}
	patience time.Duration
}

func newRoom(places int, patience time.Duration) room {
	return room{make(chan struct{}, places), patience}
}

// enter waits for room, until ctx ends. leave is called once.
func (r room) enter(ctx context.Context) (leave func(), err error) {
	select {
	case r.places <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	out := func() { <-r.places }
	late := time.AfterFunc(r.patience, out)
	return func() {
		if late.Stop() {
			out()
		}
	}, nil
}
