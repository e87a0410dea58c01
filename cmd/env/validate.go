// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/providers/session"
)

func (a *App) validateVerb() verb {
	return verb{
		name: "validate", about: "check the definition and all it names",
		more:  "Every problem is told, with its place. Nothing is opened and nothing is changed: what a provider thinks of it is told by `evenkeel plan`.",
		flags: []cli.Flag{lockedFlag()},
		run:   runValidate,
	}
}

func lockedFlag() cli.Flag {
	return boolFlag("locked", "a missing image lock is an error (for CI)")
}

// validation is what `validate --json` prints.
type validation struct {
	File     string       `json:"file"`
	Valid    bool         `json:"valid"`
	Env      string       `json:"env,omitempty"`
	Problems problem.List `json:"problems"`
	// Images are the keys of the images that the definition names, by recipe; "" where there is no lock. They are the same in every tier.
	Images map[string]string `json:"images,omitempty"`
}

func runValidate(_ context.Context, c *call) error {
	if err := c.noArgs(); err != nil {
		return err
	}
	file, err := c.definitionFile()
	if err != nil {
		return err
	}
	v := validation{File: file, Problems: problem.List{}}
	known, err := session.KnownProviders()
	if err != nil {
		return err
	}
	def, problems, err := envs.LoadKnowing(c.loadable(file), known)
	if err != nil {
		return err
	}
	v.Problems = append(v.Problems, problems...)
	if def != nil {
		v.Images = map[string]string{}
		for recipe, r := range def.Recipes {
			if r != nil {
				v.Images[recipe] = r.Key()
			}
		}
		plan, err := c.planOf(def, c.flag.Bool("locked"))
		list, ok := errors.AsType[problem.List](err)
		if err != nil && !ok {
			return err
		}
		v.Problems = append(v.Problems, list...)
		if plan != nil {
			v.Valid, v.Env = true, plan.Env
		}
	}
	if c.json() {
		if err := c.printJSON(v); err != nil {
			return err
		}
	} else if !v.Valid || !c.quiet() {
		_ = problem.Print(c.Stderr, v.Problems, c.color(c.Stderr)) // as every message
	}
	if !v.Valid {
		return exitStatus(exitError)
	}
	if c.json() {
		return nil
	}
	return c.printf("%s: valid\n", c.shown(file))
}
