// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// run is one verb's work on an environment: the connections it holds and what it did so far. Close it.
type run struct {
	core *Core
	refs *imageRefs

	mu      sync.Mutex
	clients map[string]*ssh.Client // by machine ID
	changes map[string]Change      // by role, as the next two
	reached map[string]bool
	fresh   map[string]Machine // made by this run: the one whose health is waited for
	created []Machine          // made by this run where nothing was before
	silent  map[string]bool    // by ID: old machines that did not answer, about to be replaced
	code    []CodeResult
	expires time.Time // of what this run makes; zero: never
	// delivers: machines that are not on this computer get the project's commit. The other verbs leave them the one that they have.
	delivers bool
}

func (c *Core) newRun() *run {
	return &run{
		core: c, refs: &imageRefs{core: c, refs: map[string]*placedImage{}},
		clients: map[string]*ssh.Client{}, changes: map[string]Change{}, reached: map[string]bool{}, fresh: map[string]Machine{}, silent: map[string]bool{},
	}
}

func (r *run) close() {
	for _, client := range r.clients {
		_ = client.Close() // nothing is in flight
	}
}

func (r *run) note(ch Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes[ch.Machine] = ch
}

// noteLaid adds to what was said of a role that something was laid on its machine, unless more than that was done to it.
func (r *run) noteLaid(role string, reasons ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ch := r.changes[role]; ch.Action == Same || ch.Action == Settle || ch.Action == "" {
		r.changes[role] = Change{role, Settle, append(ch.Reasons, reasons...)}
	}
}

// keep holds the connection to m in place of an older one.
func (r *run) keep(m Machine, client *ssh.Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.clients[m.ID]; old != nil {
		_ = old.Close() // nothing is in flight
	}
	r.clients[m.ID], r.reached[m.Role()] = client, true
}

// keepFresh is keep for a machine that this run made.
func (r *run) keepFresh(made contacted) {
	r.keep(made.Machine, made.client)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fresh[made.Role()] = made.Machine
}

// young is the machine that this run made for a role; the zero Machine where it made none.
func (r *run) young(role string) Machine {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fresh[role]
}

// client is the connection to m; nil where there is none.
func (r *run) client(m Machine) *ssh.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clients[m.ID]
}

// knew: this run reached a machine of that role.
func (r *run) knew(role string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reached[role]
}

// remove deletes a machine that this run was told to, and forgets it.
func (r *run) remove(ctx context.Context, m Machine) error {
	r.core.Progress.Emit(Event{Subject: m.Role(), Stage: "remove"})
	if err := r.core.Provider.DeleteMachine(ctx, m.ID); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if client := r.clients[m.ID]; client != nil {
		_ = client.Close() // the machine behind it is gone
	}
	delete(r.clients, m.ID)
	if r.fresh[m.Role()].ID == m.ID {
		delete(r.fresh, m.Role())
	}
	return nil
}

// each runs f for all items at once and joins what they return, in order, so that one failure hides no other.
func each[T any](items []T, f func(T) error) error {
	errs := make([]error, len(items))
	var wg sync.WaitGroup
	for i, item := range items {
		wg.Go(func() { errs[i] = f(item) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// spec is what a machine that this run makes is made of.
func (r *run) spec(m envs.Machine) Spec {
	s := r.core.spec(m)
	if !r.expires.IsZero() {
		s.Labels[LabelExpires] = r.expires.UTC().Format(time.RFC3339)
	}
	return s
}

// ensure brings one machine to where SSH answers with its final certificate, by the action its change names.
func (r *run) ensure(ctx context.Context, m envs.Machine, there Machine, ch Change, replace bool) error {
	c := r.core
	r.note(ch)
	switch ch.Action {
	case Create, Remake, Await: // PutMachine removes what is half-made, waits for a run that makes it, or says what it does not know
		made, err := c.make(ctx, m, r.spec(m), r.refs)
		if err != nil {
			return err
		}
		r.keepFresh(made)
		if made.ours {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.created = append(r.created, made.Machine)
		}
		return nil
	case Replace:
		if replace {
			return r.remake(ctx, m, there)
		}
		if there.State != Running {
			return nil // replacing it is asked for first
		}
	case Start:
		started, err := c.start(ctx, there)
		if err != nil {
			return err
		}
		there = started
	}
	if (ch.Action == Start || ch.Action == Settle) && !c.portsMatch(m, there.Ports) {
		put, err := c.putPorts(ctx, m, there)
		if err != nil {
			return err
		}
		there = put
	}
	client, err := c.bootAndContact(ctx, there, nil)
	if errors.Is(err, ssh.ErrUnfinished) && c.abandoned(there) {
		r.note(Change{m.Name, Remake, []string{"a run that did not end well left it without its final host certificate"}})
		return r.remake(ctx, m, there)
	}
	if err != nil {
		return err
	}
	r.keep(there, client)
	return nil
}

// remake deletes a machine and makes it anew. The image is ensured before, while the old one still serves: a failing build costs nothing.
func (r *run) remake(ctx context.Context, m envs.Machine, there Machine) error {
	c := r.core
	err := c.stage(ctx, m.Name, StageImage, func() error {
		_, _, err := r.refs.get(ctx, m)
		return err
	})
	if err != nil {
		return err
	}
	if there.ID != "" { // else it went by itself meanwhile
		if err := r.remove(ctx, there); err != nil {
			return err
		}
	}
	made, err := c.make(ctx, m, r.spec(m), r.refs)
	if err != nil {
		return err
	}
	r.keepFresh(made)
	return nil
}

// start brings a stopped or suspended machine back.
func (c *Core) start(ctx context.Context, m Machine) (started Machine, err error) {
	err = c.stage(ctx, m.Name, "start", func() error {
		if m.State == Suspended {
			if s, ok := As[Suspender](c.Provider); ok {
				started, err = s.ResumeMachine(ctx, m.ID)
				return err
			}
		}
		s, ok := As[Starter](c.Provider)
		if !ok {
			return &Error{Code: Unsupported, Op: "start", Subject: "machine " + m.Name, Err: fmt.Errorf("provider %s cannot start machines", c.Plugin.Name)}
		}
		started, err = s.StartMachine(ctx, m.ID)
		return err
	})
	return started, err
}

// finish settles every running machine of the environment, waits until the ones in await are healthy, and returns what is there. A machine that its
// place does not speak of any more, or that this run reached and that runs no more, is an error: what the others would hold of it is not known. Of
// two machines in one role both are settled where both are this run's business, and the new one has to be healthy.
func (r *run) finish(ctx context.Context, await []envs.Machine) ([]Machine, error) {
	c := r.core
	have, err := c.found(ctx)
	if err != nil {
		return nil, err
	}
	all := have.all()
	if err := c.unclear(have); err != nil {
		return all, err
	}
	var running []seat
	for _, s := range r.settled(have) {
		switch {
		case s.there.State == Running:
			running = append(running, s)
		case r.knew(s.Name):
			err = errors.Join(err, &Error{Code: Unavailable, Op: "settle", Subject: "machine " + s.Name, Err: fmt.Errorf("it is %s, although it ran a moment ago: somebody else works on this environment, or it crashed", cmp.Or(s.there.State, "gone")), Hint: "evenkeel up"})
		}
	}
	if err != nil {
		return all, err
	}
	healthy, err := r.settle(ctx, running, all)
	if err != nil {
		return all, err
	}
	return all, each(await, func(m envs.Machine) error {
		there := r.young(m.Name)
		if there.ID == "" {
			there = have.now[m.Name]
		}
		client := r.client(there)
		if client == nil {
			return nil // not running: a stopped machine that waits to be replaced
		}
		err := c.stage(ctx, m.Name, StageHealth, func() error {
			if healthy[there.ID] {
				return nil
			}
			return awaitHealthy(ctx, client, there.inRole(), m.Health)
		})
		if err == nil {
			c.Progress.Emit(Event{Subject: m.Name, Stage: StageReady})
		}
		return err
	})
}

// seat is a planned machine and one that has its role.
type seat struct {
	envs.Machine
	there Machine
}

// settled are the machines that finish settles: the one that serves in every role, unless it is silent, and a second one that this run made.
func (r *run) settled(have held) []seat {
	var seats []seat
	for _, m := range r.core.Plan.Machines {
		if now := have.now[m.Name]; !r.silent[now.ID] {
			seats = append(seats, seat{m, now.inRole()})
		}
		if s, ok := have.spare[m.Name]; ok && r.client(s) != nil {
			seats = append(seats, seat{m, s.inRole()})
		}
	}
	return seats
}

// unclear refuses planned machines whose place does not speak of them.
func (c *Core) unclear(have held) error {
	return each(c.Plan.Machines, func(m envs.Machine) error {
		if have.now[m.Name].State != Unknown {
			return nil
		}
		_, err := c.target(have.now[m.Name], "")
		return err
	})
}

// result is what the run came to; of two machines in one role both are in it.
func (r *run) result(machines []Machine) *Result {
	res := &Result{Env: r.core.Plan.Env, Machines: machines, Code: r.code}
	for _, name := range sortedKeys(r.changes) {
		res.Changes = append(res.Changes, r.changes[name])
	}
	slices.SortStableFunc(res.Code, func(a, b CodeResult) int { return envs.CompareNames(a.Machine, b.Machine) })
	slices.SortFunc(res.Changes, func(a, b Change) int { return envs.CompareNames(a.Machine, b.Machine) })
	slices.SortFunc(res.Machines, func(a, b Machine) int { return envs.CompareNames(a.Name, b.Name) })
	return res
}
