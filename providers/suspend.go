// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"errors"
	"fmt"
)

// Suspend keeps the memory of the plan's running machines (all where names is empty) and frees what they used, and returns those it had to suspend,
// those that failed too. Stopped and suspended ones stay as they are; a named one that does not exist is NotFound.
func (c *Core) Suspend(ctx context.Context, names []string) ([]Machine, error) {
	s, ok := As[Suspender](c.Provider)
	if !ok {
		return nil, c.cannotSuspend("suspend")
	}
	picked, have, err := c.pickFound(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, m := range picked {
		if _, ok := have.now[m.Name]; len(names) > 0 && !ok {
			return nil, &Error{Code: NotFound, Op: "suspend", Subject: "machine " + m.Name, Err: errors.New("it does not exist"), Hint: "evenkeel up"}
		}
	}
	var running []Machine
	for _, there := range have.of(picked) {
		if there.State == Running || there.State == Unknown {
			running = append(running, there)
		}
	}
	return running, each(running, func(m Machine) error {
		return c.stage(ctx, m.Role(), "suspend", func() error { return s.SuspendMachine(ctx, m.ID) })
	})
}

// Resume brings suspended machines back to where they were, clock, names, rules and ports as they are due now: it ends as Start does. Stopped
// machines stay as they are; one that was named is Conflict.
func (c *Core) Resume(ctx context.Context, names []string) (*Result, error) {
	if _, ok := As[Suspender](c.Provider); !ok {
		return nil, c.cannotSuspend("resume")
	}
	if len(names) > 0 {
		picked, have, err := c.pickFound(ctx, names)
		if err != nil {
			return nil, err
		}
		for _, m := range picked {
			if have.now[m.Name].State == Stopped {
				return nil, &Error{Code: Conflict, Op: "resume", Subject: "machine " + m.Name, Err: errors.New("it is stopped, nothing is kept of its memory"), Hint: "evenkeel start " + m.Name}
			}
		}
	}
	return c.wake(ctx, names, "resume", func(s State) bool { return s == Suspended })
}

func (c *Core) cannotSuspend(op string) error {
	return &Error{Code: Unsupported, Op: op, Subject: "environment " + c.Plan.Env, Err: fmt.Errorf("provider %s cannot suspend machines", c.Plugin.Name), Hint: "evenkeel stop and evenkeel start keep disks, addresses and ports"}
}
