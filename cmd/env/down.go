// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/session"
)

func (a *App) downVerb() verb {
	return verb{
		name: "down", args: "[NAME...]", about: "remove the environment's machines and networks, or the named machines only",
		more: "Data disks stay and are named, unless --data or the environment has a ttl. Images stay: `evenkeel image prune` removes those. With names only those machines go, whether the definition " +
			"still has them or not, and the others forget them; `up` makes again what the definition has. A protected environment asks for its ID.",
		flags: []cli.Flag{
			boolFlag("data", "remove data disks and their snapshots too; for the whole environment only"),
			yesFlag(), withinFlag(),
		},
		run: runDown,
	}
}

// downed is what `down` prints with --json.
type downed struct {
	deed
	Data     []providers.DataDisk `json:"data"`      // data disks that were removed or kept
	DataKept bool                 `json:"data_kept"` // which of the two
}

func runDown(ctx context.Context, c *call) error {
	all, data := len(c.args) == 0, c.flag.Bool("data")
	switch {
	case c.cut:
		return usagef("down takes machine names, got -- besides")
	case !all && data:
		e := usagef("--data is about the whole environment, not about %s", listed(c.args))
		e.hint = "data disks of a machine that is removed stay until: evenkeel down --data"
		return e
	}
	within, err := c.deadline()
	if err != nil {
		return err
	}
	d, tell := c.show()
	defer d.stop()
	defer c.tellInterrupt(ctx, d, "ending")()
	o := placeOptions{change: true, progress: tell}
	if !all { // the others are settled
		o.identity, o.secrets = true, session.EverySecret
	}
	p, err := c.open(ctx, o)
	if err != nil {
		return err
	}
	defer p.close()
	p.Deadline = within
	if err := c.confirm(ctx, p, "remove machines"); err != nil {
		return err
	}
	var gone *providers.Gone
	if all {
		if gone, err = p.Down(ctx, !data); err == nil {
			err = c.user().Forget(p.Plan.Project, p.Plan.Env)
		}
	} else {
		gone, err = p.Remove(ctx, c.args)
	}
	d.stop()
	c.refreshSSH(ctx, p)
	if err != nil {
		return err
	}
	return c.printDown(p.Plan, gone)
}

func (c *call) printDown(plan *envs.Plan, gone *providers.Gone) error {
	env := plan.Env
	kept := gone.DataKept
	if c.json() {
		return c.printJSON(downed{deed{env, machineNames(gone.Machines)}, append([]providers.DataDisk{}, gone.Data...), kept})
	}
	if len(gone.Machines) > 0 || len(gone.Data) == 0 || kept {
		if err := c.printDeed("removed", "nothing was there", env, gone.Machines); err != nil {
			return err
		}
	}
	for _, d := range gone.Data {
		did := "removed"
		if kept {
			did = "kept"
		}
		if err := c.printf("%s: data disk %s of %s, %s: %s\n", env, d.Name, d.Machine, size(d.Size), did); err != nil {
			return err
		}
	}
	if kept && len(gone.Data) > 0 {
		return c.printf("%s; to remove: evenkeel down --data\n", foundAgain(plan, gone.Data))
	}
	return nil
}

// foundAgain says what becomes of data disks that were kept: one that the definition does not have any more just stays.
func foundAgain(plan *envs.Plan, disks []providers.DataDisk) string {
	found := 0
	for _, d := range disks {
		if slices.ContainsFunc(plan.Machines, func(m envs.Machine) bool {
			return m.Name == d.Machine && slices.ContainsFunc(m.Data, func(o envs.Data) bool { return o.Name == d.Name })
		}) {
			found++
		}
	}
	others := "the others"
	switch lost := len(disks) - found; {
	case found == 0 && lost == 1:
		return "the definition does not have it any more"
	case found == 0:
		return "the definition does not have any of them any more"
	case lost == 1:
		others = "the other"
		fallthrough
	case lost > 0:
		return fmt.Sprintf("`evenkeel up` finds %d of them again, the definition does not have %s any more", found, others)
	}
	return "`evenkeel up` finds " + them(found) + " again"
}

func them(n int) string {
	if n == 1 {
		return "it"
	}
	return fmt.Sprintf("all %d", n)
}
