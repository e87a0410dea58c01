// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"errors"
	"slices"

	"github.com/evenkeel/evenkeel/envs"
)

// Rebuild replaces the named machines (or kinds) by new ones from the current image. One rule holds for it, for Refresh, and for Up where machines are
// not on this computer:
//
//   - o.Max machines at once; a batch is healthy (where no health check is declared: it answers), and every machine of the environment settled, before the next; unhealthy ones go first.
//   - The first failure ends it. The error says who was not touched.
//   - order: replace deletes the old machine once the new image is in the place, then makes the new one; after failure or cancel in between it is
//     missing, and Up makes it. order: surge makes the new one first, and deletes the old one when the new one is healthy; after failure or
//     cancel the new one is gone and the old one serves.
//   - The last healthy machine of a kind goes before its successor serves only with downtime: allowed or o.AllowDowntime.
//   - A machine that has no data disk and is not stateless goes only with o.DestroyData.
//   - Machines of a protected environment go only with Core.Confirmed.
//
// Before anything is touched it refuses too: no name at all, an unknown name, a machine that does not exist, what the provider would refuse.
func (c *Core) Rebuild(ctx context.Context, names []string, o RollOptions) (*Result, error) {
	if err := c.mayChange("rebuild"); err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, &Error{Code: Invalid, Op: "rebuild", Subject: "environment " + c.Plan.Env, Err: errors.New("no machine was named"), Hint: "evenkeel rebuild web-1, or a whole kind: evenkeel rebuild web"}
	}
	picked, have, err := c.pickFound(ctx, names)
	if err != nil {
		return nil, err
	}
	if err := c.usable("rebuild", have); err != nil {
		return nil, err
	}
	var errs []error
	changes := map[string]Change{}
	for _, m := range picked {
		if _, ok := have.now[m.Name]; !ok {
			errs = append(errs, &Error{Code: NotFound, Op: "rebuild", Subject: "machine " + m.Name, Err: errors.New("it does not exist"), Hint: "evenkeel up"})
		}
		changes[m.Name] = Change{m.Name, Replace, []string{"asked for"}}
	}
	return c.rebuild(ctx, picked, have, changes, o, errs...)
}

// MayReplace reports what Rebuild would refuse of the named machines that exist, before a new image is made for them. It changes nothing.
func (c *Core) MayReplace(ctx context.Context, names []string, o RollOptions) error {
	if err := c.mayChange("rebuild"); err != nil {
		return err
	}
	if len(names) == 0 {
		return nil
	}
	picked, have, err := c.pickFound(ctx, names)
	if err != nil {
		return err
	}
	if err := c.usable("rebuild", have); err != nil {
		return err
	}
	picked = slices.DeleteFunc(slices.Clone(picked), func(m envs.Machine) bool { _, ok := have.now[m.Name]; return !ok })
	c.judge(ctx, picked, have)
	return errors.Join(c.mayReplace(picked, have, o, false), c.checkCode(ctx, picked, have))
}

// Refresh replaces, by the rules of Rebuild, those of the named machines (or kinds; none: all) whose image is not the plan's. What does not exist is
// Up's business.
func (c *Core) Refresh(ctx context.Context, names []string, o RollOptions) (*Result, error) {
	if err := c.mayChange("refresh"); err != nil {
		return nil, err
	}
	picked, have, err := c.pickFound(ctx, names)
	if err != nil {
		return nil, err
	}
	if err := c.usable("refresh", have); err != nil {
		return nil, err
	}
	var old []envs.Machine
	changes := map[string]Change{}
	for _, m := range picked {
		if there, ok := have.now[m.Name]; ok && there.State != Unknown && there.Labels[LabelImageKey] != m.ImageKey {
			old = append(old, m)
			changes[m.Name] = Change{m.Name, Replace, c.differences(m, there)}
		}
	}
	return c.rebuild(ctx, old, have, changes, o)
}

// rebuild rolls over picked, unless there is an objection.
func (c *Core) rebuild(ctx context.Context, picked []envs.Machine, have held, changes map[string]Change, o RollOptions, objections ...error) (*Result, error) {
	r := c.newRun()
	r.expires, r.delivers = c.lifetime(have), true
	defer r.close()
	if len(picked) == 0 {
		return r.result(have.all()), nil
	}
	gone := c.judge(ctx, picked, have)
	if err := errors.Join(append(objections, c.mayReplace(picked, have, o, false))...); err != nil {
		return nil, err
	}
	if err := errors.Join(c.checkCode(ctx, picked, have), c.check(ctx, picked, changes)); err != nil {
		return nil, err
	}
	for _, m := range picked {
		r.note(changes[m.Name])
	}
	if err := each(sortedKeys(gone), func(role string) error { return r.remove(ctx, gone[role]) }); err != nil {
		return nil, err
	}
	machines, err := r.roll(ctx, picked, o)
	if err != nil {
		return nil, err
	}
	return r.result(machines), nil
}
