// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/providers/session"
)

// definitionFile is the env.yaml a verb acts on: -f, else the next one of ours upwards.
func (c *call) definitionFile() (string, error) {
	if f := c.flag.String("file"); f != "" {
		return c.path(f), nil
	}
	file, passed, err := envs.Find(c.Dir)
	if err != nil {
		return "", err
	}
	if file == "" {
		c.say(passed)
		e := usagef("cannot find env.yaml in %s or above", c.Dir)
		e.hint = "`evenkeel init` writes one; -f FILE names one elsewhere"
		return "", e
	}
	return file, nil
}

// definition loads the env.yaml a verb acts on. Problems that are no errors are told.
func (c *call) definition() (*envs.Definition, error) {
	file, err := c.definitionFile()
	if err != nil {
		return nil, err
	}
	def, problems, err := envs.Load(c.loadable(file))
	if err != nil {
		return nil, err
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	c.say(problems)
	return def, nil
}

// plan is what the definition comes to in the chosen tier.
func (c *call) plan(locked bool) (*envs.Definition, *envs.Plan, error) {
	def, err := c.definition()
	if err != nil {
		return nil, nil, err
	}
	plan, err := c.planOf(def, locked)
	return def, plan, err
}

func (c *call) planOf(def *envs.Definition, locked bool) (*envs.Plan, error) {
	known, err := session.KnownProviders()
	if err != nil {
		return nil, err
	}
	tier := c.flag.String("tier")
	if tier == "" {
		tier = c.getenv("EVENKEEL_TIER")
	}
	plan, problems := envs.MakePlan(def, envs.Options{Tier: tier, As: c.flag.String("as"), Locked: locked, Providers: known})
	if err := problems.Err(); err != nil {
		return nil, err
	}
	c.say(problems)
	return plan, nil
}

// say prints notes to people, each once.
func (c *call) say(problems problem.List) {
	problems = slices.DeleteFunc(slices.Clone(problems), func(p problem.Problem) bool {
		if slices.Contains(c.told, p) {
			return true
		}
		c.told = append(c.told, p)
		return false
	})
	if len(problems) > 0 && !c.quiet() {
		_ = problem.Print(c.Stderr, problems, c.color(c.Stderr)) // as for every message: who closed stderr wants none
	}
}
