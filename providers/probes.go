// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"sync"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// probes are questions for health that are asked while something else goes on. Stop them.
type probes struct {
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex
	passed map[string]bool // by machine ID
}

func newProbes(ctx context.Context) *probes {
	ctx, cancel := context.WithCancel(ctx)
	return &probes{ctx: ctx, cancel: cancel, passed: map[string]bool{}}
}

// ask probes a machine once; one without a definition of health is healthy.
func (p *probes) ask(client *ssh.Client, m Machine, h *envs.Health) {
	p.work.Go(func() {
		if h == nil || probe(p.ctx, client, m, h) == nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.passed[m.ID] = true
		}
	})
}

// healthy waits for the answers and names who passed.
func (p *probes) healthy() map[string]bool {
	p.work.Wait()
	return p.passed
}

// stop ends what is still asked; its answers are not wanted.
func (p *probes) stop() {
	p.cancel()
	p.work.Wait()
}
