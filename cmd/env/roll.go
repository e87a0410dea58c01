// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/providers"
)

// replacing is what verbs that replace machines ask a protected environment's ID for.
const replacing = "replace machines"

// rollFlags are those of verbs that replace machines.
func rollFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "max", Usage: "replace `N` machines at once", Value: 1, DefaultText: "1"},
		boolFlag("allow-downtime", "replace also the last healthy machine of a kind"),
		boolFlag("destroy-data", "replace also machines whose own disk may hold data"),
		yesFlag(),
		allowDirtyFlag(),
	}
}

func yesFlag() cli.Flag {
	return &cli.StringFlag{Name: "yes", Usage: "go on only if the environment's `ID` is this one; a protected one asks for it"}
}

// roll is how machines may be replaced.
func (c *call) roll() providers.RollOptions {
	return providers.RollOptions{Max: c.flag.Int("max"), AllowDowntime: c.flag.Bool("allow-downtime"), DestroyData: c.flag.Bool("destroy-data")}
}

// onlyWith refuses options that mean nothing without another.
func (c *call) onlyWith(other string, options ...string) error {
	for _, o := range options {
		if c.flag.IsSet(o) && !c.flag.Bool(other) {
			return usagef("--%s means nothing without --%s", o, other)
		}
	}
	return nil
}

// confirm takes the environment's ID from --yes, which has to be the right one, or where the environment is protected and what is to be done needs
// it, from the terminal. Whether it is enough the core judges.
func (c *call) confirm(ctx context.Context, p *place, what string) error {
	if n := c.flag.Int("max"); c.flag.IsSet("max") && n < 1 {
		return usagef("--max: got %d; allowed is 1 or more", n)
	}
	id := c.flag.String("yes")
	switch _, asks := terminal(c.Stdin); {
	case c.flag.IsSet("yes") && id != p.Plan.Env:
		return usagef("--yes: got %q, but this is about environment %s; nothing was removed", id, p.Plan.Env)
	case id == "" && what != "" && p.Plan.Protected && asks:
		answer, err := c.prompt(ctx, fmt.Sprintf("%s is protected. To %s, type its ID: ", p.Plan.Env, what))
		if err != nil {
			return err
		}
		if id = strings.TrimSpace(answer); id != p.Plan.Env {
			return usagef("got %q, the ID is %s; nothing was done", id, p.Plan.Env)
		}
	}
	p.Confirmed = id
	return nil
}
