// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
)

func (a *App) planVerb() verb {
	return verb{
		name: "plan", about: "show what `up` would do, without doing it",
		more: "It reads the place's records and contacts no machine: whether settings, keys and rules are on the machines is told by `evenkeel status --check`. " +
			"The exit status is 0 where there is nothing to do and 2 where there is. With --graph it draws the definition instead and asks no place at all.",
		flags: []cli.Flag{
			lockedFlag(),
			boolFlag("graph", "draw machines, rules and ports instead: a picture for README and reviews"),
			&cli.StringFlag{Name: "format", Usage: "with --graph: `FORMAT` is mermaid (else) or svg"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "with --graph: write to `FILE`, whose end .svg chooses the format"},
		},
		run: runPlan,
	}
}

// planned is what `plan --json` prints. docs/json.md describes it.
type planned struct {
	*envs.Plan
	Changes      []providers.Change `json:"changes"`
	MissingLocks []string           `json:"missing_locks"`
}

func runPlan(ctx context.Context, c *call) error {
	if err := c.noArgs(); err != nil {
		return err
	}
	if c.flag.Bool("graph") {
		return c.planGraph()
	}
	if c.flag.IsSet("format") || c.flag.IsSet("output") {
		return usagef("--format and --output belong to --graph")
	}
	p, err := c.open(ctx, placeOptions{locked: c.flag.Bool("locked")})
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.Check(ctx); err != nil {
		return err
	}
	changes, err := p.Diff(ctx)
	if err != nil {
		return err
	}
	todo := slices.ContainsFunc(changes, func(ch providers.Change) bool { return ch.Action != providers.Same && ch.Action != providers.Extra })
	if c.json() {
		err = c.printJSON(planned{p.Plan, changes, p.MissingLocks()})
	} else {
		err = c.printPlan(p, changes, todo)
	}
	if err == nil && todo {
		return exitStatus(exitDiffers)
	}
	return err
}

func (c *call) printPlan(p *place, changes []providers.Change, todo bool) error {
	if !todo && p.Plugin.Traits.ReadOnly {
		if err := c.printf("%s: nothing to do; its machines exist already and are only read\n", p.Plan.Env); err != nil {
			return err
		}
	} else if !todo {
		if err := c.printf("%s%s: nothing to do; %s\nby the place's records; whether settings, keys and rules are laid: evenkeel status --check\n",
			p.Plan.Env, protected(p.Plan), machinesOf(len(p.Plan.Machines))); err != nil {
			return err
		}
	} else if err := c.printf("%s on %s%s:\n", p.Plan.Env, p.Plan.Provider, protected(p.Plan)); err != nil {
		return err
	}
	if todo || slices.ContainsFunc(changes, func(ch providers.Change) bool { return ch.Action == providers.Extra }) {
		t := newTable("MACHINE", "ACTION", "SIZE", "WHY")
		for _, ch := range changes {
			t.add(ch.Machine, string(ch.Action), p.sizeOf(ch.Machine), strings.Join(ch.Reasons, "; "))
		}
		if err := t.print(c.Stdout); err != nil {
			return err
		}
	}
	for _, recipe := range p.MissingLocks() {
		if err := c.printf("%s has no lock yet; `up` writes it\n", recipe); err != nil {
			return err
		}
	}
	return c.printPlanNotes(p.Plan)
}

func protected(plan *envs.Plan) string {
	if plan.Protected {
		return ", protected"
	}
	return ""
}

// printPlanNotes says what machines do not show: kinds that have none, and that this computer's own file is in force.
func (c *call) printPlanNotes(plan *envs.Plan) error {
	for _, kind := range sorted(plan.External) {
		if err := c.printf("%s is external: %s\n", kind, plan.External[kind]); err != nil {
			return err
		}
	}
	if plan.Local == "" {
		return nil
	}
	return c.printf("%s is in force\n", c.shown(plan.Local))
}

func (p *place) sizeOf(machine string) string {
	for _, m := range p.Plan.Machines {
		if m.Name == machine {
			text := fmt.Sprintf("%d CPU, %s memory, %s disk", m.CPUs, size(m.Memory), size(m.Disk))
			for _, d := range m.Data {
				text += fmt.Sprintf(", %s for %s", size(d.Size), d.Name)
			}
			return text
		}
	}
	return ""
}

func machinesOf(n int) string {
	if n == 1 {
		return "1 machine"
	}
	return fmt.Sprintf("%d machines", n)
}
