// SPDX-License-Identifier: Apache-2.0

package docker

import "context"

// soundAPI is docker 23's. Before it a daemon may hang for good, all its networks with it, when one container leaves a network at the moment at which another's leaving is noted
// down, or, before 20.10.23, another joins (moby/moby#42545, moby/libnetwork#2670, #2679; Debian 12 has 20.10.24, and it was seen there).
const soundAPI = "1.42"

// turns has a process's containers join and leave networks one after the other, where the daemon needs that. Other processes are at work on other environments, which have
// networks of their own.
type turns struct {
	needed bool
	turn   chan struct{} // holds one while somebody has it
}

// take waits for a turn; done gives it back.
func (t *turns) take(ctx context.Context) (done func(), err error) {
	if !t.needed {
		return func() {}, nil
	}
	select {
	case t.turn <- struct{}{}:
		return func() { <-t.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
