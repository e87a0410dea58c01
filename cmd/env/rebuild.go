// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/evenkeel/evenkeel/providers"
)

func (a *App) rebuildVerb() verb {
	return verb{
		name: "rebuild", args: "NAME...|--stale", about: "replace machines by new ones from the current image",
		more: "One after the other (or --max at once), each healthy before the next; the first failure ends it. Data disks stay and are found by the new machine. " +
			"With `rebuild: {order: surge}` the new machine serves before the old one goes. The last healthy machine of a kind, and one that has no data disk " +
			"and is not stateless, is rebuilt only when asked for in so many words; a protected environment asks for its ID. " +
			"With --stale it is about the machines (of NAME, where one is given) that are older than rebuild_after allows: those that may not go are named, the others go, and the exit status " +
			"is 2 where a machine stays too old.",
		flags: append(rollFlags(),
			boolFlag("stale", "rebuild what is older than rebuild_after allows"),
			boolFlag("dry-run", "with --stale: show what would be rebuilt and why, and rebuild nothing; exit status 2 where something would be", "n"),
			lockedFlag(), withinFlag()),
		run: runRebuild,
	}
}

func runRebuild(ctx context.Context, c *call) error {
	if c.cut {
		return usagef("rebuild takes machine names, got -- besides")
	}
	if err := c.onlyWith("stale", "dry-run"); err != nil {
		return err
	}
	if c.flag.Bool("stale") {
		return c.rebuildStale(ctx)
	}
	if len(c.args) == 0 { // before a lock is written for nothing
		e := usagef("cannot rebuild: no machine was named")
		e.hint = "evenkeel rebuild web-1, or a whole kind: evenkeel rebuild web"
		return e
	}
	return c.work(ctx, placeOptions{locked: c.flag.Bool("locked"), images: true, replaces: true, removes: replacing}, func(ctx context.Context, p *place) (*providers.Result, error) {
		return p.Rebuild(ctx, c.args, c.roll())
	})
}
