// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/providers/sync"
)

// Gone is what Down and Remove came to.
type Gone struct {
	Machines []Machine  // removed
	Data     []DataDisk // data disks: those that were removed, or kept
	DataKept bool       // which of the two
}

// Down removes the environment, data disks and their snapshots too unless keepData; those of an environment that expires go with it in any case. Absent is
// success. A protected environment needs Confirmed.
func (c *Core) Down(ctx context.Context, keepData bool) (*Gone, error) {
	if err := c.mayChange("remove"); err != nil {
		return nil, err
	}
	have, err := c.found(ctx)
	if err != nil {
		return nil, err
	}
	left, err := c.left(ctx)
	if err != nil {
		return nil, err
	}
	keepData = keepData && left.Expires.IsZero()
	gone := &Gone{Machines: have.all(), Data: left.Data, DataKept: keepData}
	if len(gone.Machines) > 0 || len(left.Data) > 0 && !keepData {
		if err := c.confirmed("remove"); err != nil {
			return nil, err
		}
	}
	for _, m := range gone.Machines {
		c.Progress.Emit(Event{Subject: m.Name, Stage: "remove"})
	}
	if err := c.Provider.DeleteEnv(ctx, c.Plan.Env, keepData); err != nil {
		return gone, err
	}
	// The authority vouched for machines that are gone, and what was synced with them is synced no more.
	return gone, Forget(c.TLSDir, c.CodeDir, c.Plan.Env)
}

// Forget removes what a client keeps of an environment that is gone: its authority in tlsDir, and what of it is known in codeDir (Core.TLSDir, Core.CodeDir; "": none).
func Forget(tlsDir, codeDir, env string) error {
	err := forgetAuthority(tlsDir)
	if codeDir != "" {
		err = errors.Join(err, sync.Forget(codeDir, env))
	}
	return err
}

// Remove removes the named machines (or kinds), planned or not, and nothing else: their data disks are kept. The others are settled anew, so that
// none goes on to name or admit what is gone; with the last one the network goes too. Names that nothing there has are Invalid, before anything is touched. A protected environment needs
// Confirmed.
func (c *Core) Remove(ctx context.Context, names []string) (*Gone, error) {
	if err := c.mayChange("remove machines of"); err != nil {
		return nil, err
	}
	have, err := c.found(ctx)
	if err != nil {
		return nil, err
	}
	wanted, err := c.roles(names, have)
	if err != nil {
		return nil, err
	}
	if err := c.confirmed("remove machines of"); err != nil {
		return nil, err
	}
	left, err := c.left(ctx)
	if err != nil {
		return nil, err
	}
	gone := &Gone{Data: slices.DeleteFunc(left.Data, func(d DataDisk) bool { return !wanted[d.Machine] }), DataKept: true}
	r := c.newRun()
	defer r.close()
	for _, role := range sortedKeys(wanted) {
		gone.Machines = append(gone.Machines, have.now[role])
		if s, ok := have.spare[role]; ok {
			gone.Machines = append(gone.Machines, s)
		}
	}
	if err := each(gone.Machines, func(m Machine) error { return r.remove(ctx, m) }); err != nil {
		return nil, err
	}
	if len(gone.Machines) == len(have.all()) {
		return gone, sweep(ctx, c.Provider, c.Plan.Env)
	}
	_, err = r.finish(ctx, nil)
	return gone, err
}

// roles resolves names against what is there.
func (c *Core) roles(names []string, have held) (map[string]bool, error) {
	wanted := map[string]bool{}
	for _, n := range names {
		known := false
		for role := range have.now {
			m, planned := c.planned(role)
			if role == n || planned && m.Kind == n {
				wanted[role], known = true, true
			}
		}
		if !known {
			return nil, &Error{
				Code: Invalid, Op: "find", Subject: "machine " + n,
				Err: fmt.Errorf("environment %s has no machine or kind of that name there; it has %s", c.Plan.Env, strings.Join(sortedKeys(have.now), ", ")),
			}
		}
	}
	return wanted, nil
}
