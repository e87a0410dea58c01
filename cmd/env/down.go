// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/urfave/cli/v2"
)

func (a *App) downVerb() verb {
	return verb{
		name: "down", about: "remove the environment's machines and networks",
		more: "Data disks stay and are named, unless --data. Images stay: `evenkeel image prune` removes those.",
		flags: []cli.Flag{
			boolFlag("data", "remove data disks too"),
			&cli.StringFlag{Name: "yes", Usage: "go on only if the environment's `ID` is this one"},
		},
		run: runDown,
	}
}

func runDown(ctx context.Context, c *call) error {
	if err := c.noArgs(); err != nil {
		return err
	}
	d, tell := c.show()
	defer d.stop()
	defer c.tellInterrupt(ctx, d, "ending")()
	def, plan, err := c.plan(false)
	if err != nil {
		return err
	}
	if id := c.flag.String("yes"); c.flag.IsSet("yes") && id != plan.Env {
		return usagef("--yes: got %q, but this is about environment %s; nothing was removed", id, plan.Env)
	}
	p, err := c.openPlan(ctx, def, plan, placeOptions{change: true, progress: tell})
	if err != nil {
		return err
	}
	defer p.close()
	removed, err := p.Down(ctx, !c.flag.Bool("data"))
	d.stop()
	if err != nil {
		return err
	}
	return c.printDeed("removed", "nothing was there", plan.Env, removed)
}
