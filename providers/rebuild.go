// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"errors"
	"fmt"

	"github.com/evenkeel/evenkeel/envs"
)

// Rebuild replaces the named machines (or kinds) by new ones from the current image, one at a time, each healthy before the next; it stops at the first
// failure. It refuses, before anything is touched: no name at all, an unknown name, a machine that does not exist, one that is not stateless
// (unless destroyData), the only machine of its kind (unless allowDowntime), what the provider would refuse. A machine is deleted once its new image
// is in the place. After failure or cancel in the middle a machine may be missing; Up makes it.
func (c *Core) Rebuild(ctx context.Context, names []string, allowDowntime, destroyData bool) (*Result, error) {
	if len(names) == 0 {
		return nil, &Error{Code: Invalid, Op: "rebuild", Subject: "environment " + c.Plan.Env, Err: errors.New("no machine was named"), Hint: "evenkeel rebuild web-1, or a whole kind: evenkeel rebuild web"}
	}
	picked, err := c.pick(names)
	if err != nil {
		return nil, err
	}
	have, err := c.found(ctx)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, m := range picked {
		if _, ok := have[m.Name]; !ok {
			errs = append(errs, &Error{Code: NotFound, Op: "rebuild", Subject: "machine " + m.Name, Err: errors.New("it does not exist"), Hint: "evenkeel up"})
		}
		errs = append(errs, c.mayDestroy(m, destroyData))
		if !allowDowntime && c.count(m.Kind) == 1 {
			errs = append(errs, &Error{Code: Denied, Op: "rebuild", Subject: "machine " + m.Name, Err: fmt.Errorf("it is the only %s, nothing serves while it is rebuilt", m.Kind), Hint: "add --allow-downtime"})
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	changes := map[string]Change{}
	for _, m := range picked {
		changes[m.Name] = Change{m.Name, Replace, []string{"asked for"}}
	}
	if err := c.check(ctx, picked, changes); err != nil {
		return nil, err
	}
	r := c.newRun()
	defer r.close()
	var machines []Machine
	for _, m := range picked {
		r.note(changes[m.Name])
		if machines, err = r.replace(ctx, m, have[m.Name]); err != nil {
			return nil, err
		}
	}
	return r.result(machines), nil
}

// replace makes one machine anew and ends with every machine settled and this one healthy.
func (r *run) replace(ctx context.Context, m envs.Machine, there Machine) ([]Machine, error) {
	if err := r.remake(ctx, m, there); err != nil {
		return nil, err
	}
	return r.finish(ctx, []envs.Machine{m})
}

// mayDestroy refuses to lose what a machine may hold on its own disk.
func (c *Core) mayDestroy(m envs.Machine, destroyData bool) error {
	if m.Stateless || destroyData {
		return nil
	}
	return &Error{
		Code: Denied, Op: "replace", Subject: "machine " + m.Name, Err: errors.New("its own disk may hold data: it is not declared stateless"),
		Hint: "say `stateless: true` in env.yaml if nothing on it need survive, or add --destroy-data",
	}
}

func (c *Core) count(kind string) int {
	n := 0
	for _, m := range c.Plan.Machines {
		if m.Kind == kind {
			n++
		}
	}
	return n
}
