// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// run is one verb's work on an environment: the connections it holds and what it did so far. Close it.
type run struct {
	core *Core
	refs *imageRefs

	mu      sync.Mutex
	clients map[string]*ssh.Client // by machine name
	changes map[string]Change
	created []Machine // made by this run where nothing was before
}

func (c *Core) newRun() *run {
	return &run{core: c, refs: &imageRefs{core: c, refs: map[string]*placedImage{}}, clients: map[string]*ssh.Client{}, changes: map[string]Change{}}
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

// keep holds a machine's new connection in place of an older one.
func (r *run) keep(name string, client *ssh.Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.clients[name]; old != nil {
		_ = old.Close() // the machine behind it was replaced
	}
	r.clients[name] = client
}

func (r *run) client(name string) *ssh.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clients[name]
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

// ensure brings one machine to where SSH answers with its final certificate, by the action its change names.
func (r *run) ensure(ctx context.Context, m envs.Machine, there Machine, ch Change, replace bool) error {
	c := r.core
	r.note(ch)
	switch ch.Action {
	case Create, Remake, Await: // PutMachine removes what is half-made, waits for a run that makes it, or says what it does not know
		made, err := c.make(ctx, m, r.refs)
		if err != nil {
			return err
		}
		r.keep(m.Name, made.client)
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
		put, err := c.Provider.PutMachine(ctx, c.spec(m), "", c.Progress)
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
	r.keep(m.Name, client)
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
	c.Progress.Emit(Event{Subject: m.Name, Stage: "remove"})
	if err := c.Provider.DeleteMachine(ctx, there.ID); err != nil {
		return err
	}
	made, err := c.make(ctx, m, r.refs)
	if err != nil {
		return err
	}
	r.keep(m.Name, made.client)
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
// place does not speak of any more, or that this run reached and that runs no more, is an error: what the others would hold of it is not known.
func (r *run) finish(ctx context.Context, await []envs.Machine) ([]Machine, error) {
	c := r.core
	have, err := c.found(ctx)
	if err != nil {
		return nil, err
	}
	var all []Machine
	for _, name := range sortedKeys(have) {
		all = append(all, have[name])
	}
	if err := c.unclear(have); err != nil {
		return all, err
	}
	err = each(c.Plan.Machines, func(m envs.Machine) error {
		there := have[m.Name]
		switch {
		case there.State == Running:
		case r.client(m.Name) != nil:
			return &Error{Code: Unavailable, Op: "settle", Subject: "machine " + m.Name, Err: fmt.Errorf("it is %s, although it ran a moment ago: somebody else works on this environment, or it crashed", cmp.Or(there.State, "gone")), Hint: "evenkeel up"}
		default:
			return nil
		}
		if err := r.settle(ctx, m, there, all); err != nil {
			return err
		}
		return r.deliver(ctx, m, there)
	})
	if err != nil {
		return all, err
	}
	return all, each(await, func(m envs.Machine) error {
		client := r.client(m.Name)
		if client == nil {
			return nil // not running: a stopped machine that waits to be replaced
		}
		err := c.stage(ctx, m.Name, StageHealth, func() error { return awaitHealthy(ctx, client, have[m.Name], m.Health) })
		if err == nil {
			c.Progress.Emit(Event{Subject: m.Name, Stage: StageReady})
		}
		return err
	})
}

// unclear refuses planned machines whose place does not speak of them.
func (c *Core) unclear(have map[string]Machine) error {
	return each(c.Plan.Machines, func(m envs.Machine) error {
		if have[m.Name].State != Unknown {
			return nil
		}
		_, err := c.target(have[m.Name], "")
		return err
	})
}

// settle lays what a machine holds beyond its image, where its own record differs.
func (r *run) settle(ctx context.Context, m envs.Machine, there Machine, all []Machine) error {
	c := r.core
	client := r.client(m.Name)
	if client == nil {
		var err error
		if client, err = c.bootAndContact(ctx, there, nil); err != nil {
			return err
		}
		r.keep(m.Name, client)
	}
	want, err := newSettlement(c.Plan, m, all, c.loginKeys())
	if err != nil {
		return err
	}
	return c.stage(ctx, m.Name, StageSettle, func() error {
		ctx, cancel := context.WithTimeoutCause(ctx, c.settleDeadline(), fmt.Errorf("not settled within %s", c.settleDeadline()))
		defer cancel()
		if !client.Finished() { // made a moment ago
			return r.settleNew(ctx, there, want, client)
		}
		have, err := settledDigest(ctx, client)
		if err != nil || have == want.digest {
			return err
		}
		if err := want.lay(ctx, client); err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if ch := r.changes[m.Name]; ch.Action == Same || ch.Action == "" {
			r.changes[m.Name] = Change{m.Name, Settle, []string{"names, keys, settings or rules changed"}}
		}
		return nil
	})
}

// settleNew settles a new machine over the session of first contact, and meanwhile proves that it shows its final certificate; the proven
// connection takes the other's place.
func (r *run) settleNew(ctx context.Context, there Machine, want settlement, first *ssh.Client) error {
	var proven *ssh.Client
	err := each([]func() error{
		func() error { return want.lay(ctx, first) },
		func() (err error) {
			proven, err = r.core.prove(ctx, there)
			return err
		},
	}, func(f func() error) error { return f() })
	if proven != nil {
		r.keep(there.Name, proven)
	}
	return err
}

// result is what the run came to.
func (r *run) result(machines []Machine) *Result {
	res := &Result{Env: r.core.Plan.Env, Machines: machines}
	for _, name := range sortedKeys(r.changes) {
		res.Changes = append(res.Changes, r.changes[name])
	}
	slices.SortFunc(res.Changes, func(a, b Change) int { return envs.CompareNames(a.Machine, b.Machine) })
	slices.SortFunc(res.Machines, func(a, b Machine) int { return envs.CompareNames(a.Name, b.Name) })
	return res
}
