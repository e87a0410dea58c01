// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/envs"
)

// UpOptions say what Up may do.
type UpOptions struct {
	Only    []string // machine or kind names; empty: all
	Replace bool     // replace machines whose spec differs
	Roll    RollOptions
}

// Up makes the plan's machines exist, run, hold their final host certificate, settled and healthy. It creates and settles; it destroys nothing
// but half-made machines and what a replacement that died left of its two, unless o.Replace: then machines whose spec differs are replaced, all at
// once on local tiers, elsewhere by the rules of Rebuild. A failed machine hides no other: all are tried, and the errors joined.
//
// After cancel, what this call created is gone and what was there is still there, but for what o.Replace or a dead run's leftovers had it
// delete before; what was settled stays settled. After failure, machines that were never reached are gone,
// those that were reached stay to be looked into; Up again goes on from there.
func (c *Core) Up(ctx context.Context, o UpOptions) (*Result, error) {
	if err := c.mayChange("bring up"); err != nil {
		return nil, err
	}
	picked, have, err := c.pickFound(ctx, o.Only)
	if err != nil {
		return nil, err
	}
	if err := c.usable("bring up", have); err != nil {
		return nil, err
	}
	fresh := len(have.now) == 0
	gone := c.judge(ctx, picked, have)
	changes := map[string]Change{}
	var now, later []envs.Machine
	for _, m := range picked {
		ch := c.compare(m, have)
		if _, ok := gone[m.Name]; ok && ch.Action == Same {
			ch.Action, ch.Reasons = Settle, []string{twice}
		}
		changes[m.Name] = ch
		if ch.Action == Replace && o.Replace {
			later = append(later, m)
		} else {
			now = append(now, m)
		}
	}
	atOnce := c.Plugin.Traits.Local
	if err := c.mayReplace(later, have, o.Roll, atOnce); err != nil {
		return nil, err
	}
	if err := errors.Join(c.checkCode(ctx, picked, have), c.check(ctx, picked, changes)); err != nil {
		return nil, err
	}
	if atOnce {
		now, later = picked, nil
	}

	r := c.newRun()
	r.expires, r.delivers = c.lifetime(have), true
	defer r.close()
	if err := each(sortedKeys(gone), func(role string) error { return r.remove(ctx, gone[role]) }); err != nil {
		return nil, err
	}
	for _, ch := range c.extra(have) {
		r.note(ch)
	}
	err = each(now, func(m envs.Machine) error {
		return r.ensure(ctx, m, have.now[m.Name], changes[m.Name], o.Replace)
	})
	var machines []Machine
	if err == nil {
		machines, err = r.finish(ctx, now)
	}
	for _, m := range later {
		r.note(changes[m.Name])
	}
	if err == nil && len(later) > 0 {
		machines, err = r.roll(ctx, later, o.Roll)
	}
	if err != nil {
		return nil, errors.Join(err, r.takeBack(ctx, fresh))
	}
	res := r.result(machines)
	for _, ch := range res.Changes {
		res.Pending = res.Pending || ch.Action == Replace && !o.Replace
	}
	return res, nil
}

// check asks the provider about every machine that would be made, before anything is.
func (c *Core) check(ctx context.Context, machines []envs.Machine, changes map[string]Change) error {
	var said, hints []string
	for _, m := range machines {
		switch changes[m.Name].Action {
		case Create, Remake, Await, Replace:
		default:
			continue
		}
		problems, err := c.Provider.Check(ctx, c.spec(m))
		if err != nil {
			return err
		}
		for _, p := range problems {
			if p.Path == "machines."+m.Name {
				p.Path = "" // said already
			}
			said = append(said, m.Name+": "+p.String())
			if hint := Printable(p.Hint); hint != "" && !slices.Contains(hints, hint) {
				hints = append(hints, hint)
			}
		}
	}
	if len(said) == 0 {
		return nil
	}
	return &Error{
		Code: Invalid, Op: "bring up", Subject: "environment " + c.Plan.Env, Hint: strings.Join(hints, "; "),
		Err: fmt.Errorf("provider %s refuses:\n  %s", c.Plugin.Name, strings.Join(said, "\n  ")),
	}
}

// takeBack undoes what a failed or cancelled run made. fresh: nothing of the environment existed before.
func (r *run) takeBack(ctx context.Context, fresh bool) error {
	c := r.core
	kept := r.created
	var err error
	if ctx.Err() != nil {
		err = each(r.created, func(m Machine) error { return c.remove(ctx, m) })
		kept = nil
	}
	if !fresh || len(kept) > 0 || err != nil {
		return err
	}
	ctx, cancel := undo(ctx)
	defer cancel()
	return sweep(ctx, c.Provider, c.Plan.Env)
}
