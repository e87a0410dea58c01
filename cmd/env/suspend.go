// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/evenkeel/evenkeel/providers"
)

func (a *App) suspendVerb() verb {
	return verb{
		name: "suspend", args: "[NAME...]", about: "keep machines' memory and free what they use; `resume` brings them back as they were",
		run: runSuspend,
	}
}

func (a *App) resumeVerb() verb {
	return verb{name: "resume", args: "[NAME...]", about: "bring suspended machines back", flags: startFlags(), run: runResume}
}

func runSuspend(ctx context.Context, c *call) error {
	return c.halt(ctx, "suspended", "nothing to suspend", func(p *place) ([]providers.Machine, error) { return p.Suspend(ctx, c.args) })
}

func runResume(ctx context.Context, c *call) error {
	if c.cut {
		return usagef("resume takes machine names, got -- besides")
	}
	return c.work(ctx, placeOptions{}, func(ctx context.Context, p *place) (*providers.Result, error) { return p.Resume(ctx, c.args) })
}
