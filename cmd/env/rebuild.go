// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/providers"
)

func (a *App) rebuildVerb() verb {
	return verb{
		name: "rebuild", args: "NAME...", about: "replace machines by new ones from the current image",
		more: "One after the other, each healthy before the next. A machine that is not stateless, or is the only one of its kind, is rebuilt only when asked for in so many words.",
		flags: []cli.Flag{
			boolFlag("allow-downtime", "also the only machine of its kind"),
			boolFlag("destroy-data", "also a machine whose own disk may hold data"),
			lockedFlag(), withinFlag(),
		},
		run: runRebuild,
	}
}

func runRebuild(ctx context.Context, c *call) error {
	if c.cut {
		return usagef("rebuild takes machine names, got -- besides")
	}
	if len(c.args) == 0 { // before a lock is written for nothing
		e := usagef("cannot rebuild: no machine was named")
		e.hint = "evenkeel rebuild web-1, or a whole kind: evenkeel rebuild web"
		return e
	}
	return c.work(ctx, placeOptions{locked: c.flag.Bool("locked"), images: true}, func(ctx context.Context, p *place) (*providers.Result, error) {
		return p.Rebuild(ctx, c.args, c.flag.Bool("allow-downtime"), c.flag.Bool("destroy-data"))
	})
}
