// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/providers"
)

func (a *App) stopVerb() verb {
	return verb{name: "stop", args: "[NAME...]", about: "stop machines; `start` brings them back as they were", run: runStop}
}

func (a *App) startVerb() verb {
	return verb{name: "start", args: "[NAME...]", about: "start stopped machines", flags: []cli.Flag{withinFlag()}, run: runStart}
}

// deed is what `stop` and `suspend` print with --json.
type deed struct {
	Env      string   `json:"env"`
	Machines []string `json:"machines"` // that were stopped or removed
}

func runStop(ctx context.Context, c *call) error {
	if c.cut {
		return usagef("stop takes machine names, got -- besides")
	}
	d, tell := c.show()
	defer d.stop()
	defer c.tellInterrupt(ctx, d, "ending")()
	p, err := c.open(ctx, placeOptions{change: true, progress: tell})
	if err != nil {
		return err
	}
	defer p.close()
	stopped, err := p.Stop(ctx, c.args)
	d.stop()
	if err != nil {
		return err
	}
	return c.printDeed("stopped", "nothing to stop", p.Plan.Env, stopped)
}

func (c *call) printDeed(did, none, env string, machines []providers.Machine) error {
	list := machineNames(machines)
	switch {
	case c.json():
		return c.printJSON(deed{env, list})
	case len(list) == 0:
		return c.printf("%s: %s\n", env, none)
	}
	return c.printf("%s: %s %s (%s)\n", env, did, machinesOf(len(list)), listed(list))
}

func machineNames(machines []providers.Machine) []string {
	list := []string{}
	for _, m := range machines {
		list = append(list, m.Role())
	}
	return list
}

func runStart(ctx context.Context, c *call) error {
	if c.cut {
		return usagef("start takes machine names, got -- besides")
	}
	return c.work(ctx, placeOptions{}, func(ctx context.Context, p *place) (*providers.Result, error) { return p.Start(ctx, c.args) })
}
