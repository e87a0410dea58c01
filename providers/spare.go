// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"sync"

	"github.com/evenkeel/evenkeel/envs"
)

// judge decides which of two machines in one role stays, where a replacement died that made the new one before the old one went. The new one stays
// where it is what the plan wants, finished and healthy, and the old one may be destroyed without being asked for: it is stateless, in an
// environment that is not protected. Else the old one stays. A half-made one never stays beside a whole one. What another run may still be
// working on is left alone, as it is. It removes nothing: afterwards have.now are those that stay, and those to go are returned by role.
func (c *Core) judge(ctx context.Context, picked []envs.Machine, have held) map[string]Machine {
	gone := map[string]Machine{}
	var mu sync.Mutex
	var doubled []envs.Machine
	for _, m := range picked {
		if _, ok := have.spare[m.Name]; ok {
			doubled = append(doubled, m)
		}
	}
	_ = each(doubled, func(m envs.Machine) error {
		mu.Lock()
		stays, goes := have.now[m.Name], have.spare[m.Name]
		mu.Unlock()
		young := stays
		if goes.Created.After(stays.Created) {
			young = goes
		}
		switch {
		case stays.State == Unknown || goes.State == Unknown || !c.abandoned(young):
			return nil
		case stays.whole() && young.ID == goes.ID && c.succeeds(ctx, m, young):
			stays, goes = goes, stays
		}
		mu.Lock()
		defer mu.Unlock()
		have.now[m.Name], gone[m.Name] = stays, goes
		delete(have.spare, m.Name)
		return nil
	})
	return gone
}

// succeeds: young may take the place of the machine that it was made to replace.
func (c *Core) succeeds(ctx context.Context, m envs.Machine, young Machine) bool {
	if young.State != Running || young.Labels[LabelSpec] != c.spec(m).Digest() || !m.Stateless || c.Plan.Protected && c.Confirmed != c.Plan.Env {
		return false
	}
	return c.asks(ctx, m, young) == nil
}
