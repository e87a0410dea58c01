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
	return verb{name: "start", args: "[NAME...]", about: "start stopped or suspended machines", flags: startFlags(), run: runStart}
}

func startFlags() []cli.Flag { return []cli.Flag{withinFlag()} }

// deed is what `stop` and `suspend` print with --json.
type deed struct {
	Env      string   `json:"env"`
	Machines []string `json:"machines"` // that were stopped, suspended or removed
}

func runStop(ctx context.Context, c *call) error {
	return c.halt(ctx, "stopped", "nothing to stop", func(p *place) ([]providers.Machine, error) { return p.Stop(ctx, c.args) })
}

// halt is what the verbs have in common after which machines do not run.
func (c *call) halt(ctx context.Context, did, none string, f func(*place) ([]providers.Machine, error)) error {
	if c.cut {
		return usagef("%s takes machine names, got -- besides", c.flag.Command.Name)
	}
	d, tell := c.show()
	defer d.stop()
	defer c.tellInterrupt(ctx, d, "ending")()
	p, err := c.open(ctx, placeOptions{change: true, progress: tell})
	if err != nil {
		return err
	}
	defer p.close()
	halted, err := f(p)
	d.stop()
	if err != nil {
		return err
	}
	return c.printDeed(did, none, p.Plan.Env, halted)
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
