// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// Stop stops the plan's machines (all where names is empty), and returns those it had to stop, those that failed too. Stopped ones stay as
// they are; one whose place does not say whether it runs is asked to stop like a running one.
func (c *Core) Stop(ctx context.Context, names []string) ([]Machine, error) {
	s, ok := As[Starter](c.Provider)
	if !ok {
		return nil, &Error{Code: Unsupported, Op: "stop", Subject: "environment " + c.Plan.Env, Err: fmt.Errorf("provider %s cannot stop machines", c.Plugin.Name)}
	}
	picked, have, err := c.pickFound(ctx, names)
	if err != nil {
		return nil, err
	}
	var running []Machine
	for _, there := range have.of(picked) {
		if there.State == Running || there.State == Unknown {
			running = append(running, there)
		}
	}
	return running, each(running, func(m Machine) error {
		return c.stage(ctx, m.Role(), "stop", func() error { return s.StopMachine(ctx, m.ID) })
	})
}

// Start starts machines that exist, suspended ones too, and ends with Settle on every running machine and health of the started. A named one that does not exist
// is NotFound, as is an environment of which no machine does; half-made or unfinished machines are Up's business.
func (c *Core) Start(ctx context.Context, names []string) (*Result, error) {
	return c.wake(ctx, names, "start", func(s State) bool { return s != Running })
}

// wake brings back those of the named machines that are asleep, and ends as Start does.
func (c *Core) wake(ctx context.Context, names []string, op string, asleep func(State) bool) (*Result, error) {
	if err := c.mayChange(op); err != nil {
		return nil, err
	}
	picked, have, err := c.pickFound(ctx, names)
	if err != nil {
		return nil, err
	}
	if err := c.usable(op, have); err != nil {
		return nil, err
	}
	if len(names) == 0 { // what somebody left out of his `up` is not missed
		picked = slices.DeleteFunc(slices.Clone(picked), func(m envs.Machine) bool { _, ok := have.now[m.Name]; return !ok })
	}
	for _, m := range picked {
		if there, ok := have.now[m.Name]; !ok || there.State == Partial {
			return nil, &Error{Code: NotFound, Op: op, Subject: "machine " + m.Name, Err: errors.New("it does not exist, or is half-made"), Hint: "evenkeel up"}
		}
	}
	if len(picked) == 0 {
		return nil, &Error{Code: NotFound, Op: op, Subject: "environment " + c.Plan.Env, Err: errors.New("none of its machines exists"), Hint: "evenkeel up"}
	}
	r := c.newRun()
	defer r.close()
	err = each(picked, func(m envs.Machine) error {
		there := have.now[m.Name]
		if !asleep(there.State) {
			r.note(Change{Machine: m.Name, Action: Same})
			return nil
		}
		r.note(Change{m.Name, Start, []string{"it was " + string(there.State)}})
		there, err := c.start(ctx, there)
		if err != nil {
			return err
		}
		client, err := c.bootAndContact(ctx, there, nil)
		if err != nil {
			return err
		}
		r.keep(there, client)
		return nil
	})
	if err != nil {
		return nil, err
	}
	machines, err := r.finish(ctx, picked)
	if err != nil {
		return nil, err
	}
	return r.result(machines), nil
}

// Status is one machine as `evenkeel status` shows it.
type Status struct {
	Machine
	Kind    string `json:"kind"`
	Planned bool   `json:"planned"`          // in the plan
	Differs bool   `json:"differs"`          // its spec digest is not the plan's
	Ready   *bool  `json:"ready,omitempty"`  // nil: not asked (only with check), or not known: Reason says why
	Reason  string `json:"reason,omitempty"` // why it is not ready
	// Unreachable: it did not answer, so whether it is ready is unknown.
	Unreachable bool `json:"unreachable,omitempty"`
	// Commits are those that were delivered, by the folder on the machine; "" where none was. Only with check, and elsewhere than on local tiers.
	Commits map[string]string `json:"commits,omitempty"`
}

// Status lists planned machines in the plan's order, then the others by name. Planned machines that do not exist have State "". With check
// every running machine is contacted: certificate, settled digest, health (asked once). It changes nothing.
func (c *Core) Status(ctx context.Context, check bool) ([]Status, error) {
	have, err := c.found(ctx)
	if err != nil {
		return nil, err
	}
	if c.Plugin.Traits.ReadOnly {
		return c.hostStatus(ctx, have, check)
	}
	all := have.all()
	var list []Status
	for _, m := range c.Plan.Machines {
		s := Status{Machine: have.now[m.Name], Kind: m.Kind, Planned: true}
		s.Name, s.Env = m.Name, c.Plan.Env
		s.Differs = (s.State == Running || s.State == Stopped || s.State == Suspended) && s.Labels[LabelSpec] != c.spec(m).Digest()
		list = append(list, s)
	}
	for _, ch := range c.extra(have) {
		list = append(list, Status{Machine: have.now[ch.Machine].inRole()})
	}
	for _, role := range sortedKeys(have.spare) {
		s := Status{Machine: have.spare[role], Reason: "a second machine in the role of " + role + ": a replacement is in progress, or died: then `evenkeel up` settles it"}
		if m, ok := c.planned(role); ok {
			s.Kind = m.Kind
		}
		list = append(list, s)
	}
	if !check {
		return list, nil
	}
	return list, each(indexes(list), func(i int) error {
		s := &list[i]
		m, planned := c.planned(s.Name)
		if !planned || s.State == "" {
			return nil
		}
		err := c.ready(ctx, m, s.Machine, all)
		ok := err == nil
		if !errors.Is(err, errNotCompared) {
			s.Ready = &ok
		}
		if err != nil {
			s.Reason = c.hidden(err).Error()
			s.Unreachable = s.State == Unknown || errors.Is(err, ssh.ErrUnreachable)
		}
		if !s.Unreachable {
			s.Commits = c.deliveredTo(ctx, m, s.Machine)
		}
		return ctx.Err()
	})
}

func indexes[T any](s []T) []int {
	n := make([]int, len(s))
	for i := range s {
		n[i] = i
	}
	return n
}
