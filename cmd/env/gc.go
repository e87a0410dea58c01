// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin"
)

func (a *App) gcVerb() verb {
	return verb{
		name: "gc", about: "remove what dead runs left",
		more: "That is: expired environments, and what is half-made for more than an hour. What this user keeps of them on this computer goes too. It looks into every place that the definition names, and into those of the providers found here; with --tier into that tier's only.",
		flags: []cli.Flag{
			boolFlag("dry-run", "show it, remove nothing", "n"),
			boolFlag("yes", "do not ask", "y"),
		},
		run: runGC,
	}
}

// collected is one entry of `gc --json`.
type collected struct {
	Provider string `json:"provider"`
	providers.Garbage
	Removed bool   `json:"removed"`
	Skipped string `json:"skipped,omitempty"` // why it was left
}

// site is a provider with its configuration: what can be opened and asked for all its environments.
type site struct {
	provider string
	config   json.RawMessage
	named    bool // by a definition: then that it cannot be opened is told
	// open gives the configuration where more than the definition's own words go into it; or nil.
	open func(context.Context) (json.RawMessage, error)
}

func runGC(ctx context.Context, c *call) error {
	if err := c.noArgs(); err != nil {
		return err
	}
	sites, err := c.sites()
	if err != nil {
		return err
	}
	if !c.flag.Bool("dry-run") {
		if err := c.user().Sweep(time.Now()); err != nil {
			return err
		}
	}
	all := []collected{}
	failed := false
	for _, s := range sites {
		if envs.ReadOnly(s.provider) {
			continue // there is nothing of ours
		}
		err := c.withSite(ctx, s, func(_ *plugin.Launched, p providers.Provider) error {
			found, err := c.collectLeft(ctx, s, p)
			all = append(all, found...)
			return err
		})
		if isCancel(err) {
			return err
		}
		if err != nil && (s.named || providers.CodeOf(err) != providers.Invalid) {
			c.report(fmt.Errorf("provider %s: %w", s.provider, err))
			failed = true
		}
	}
	switch {
	case c.json():
		err = c.printJSON(all)
	case len(all) == 0:
		err = c.printf("nothing to remove\n")
	}
	if err == nil && failed {
		return exitStatus(exitIncomplete)
	}
	return err
}

// sites are the places to look into: the tier's where one is named, else the definition's, then those of the providers found here, each once.
func (c *call) sites() ([]site, error) {
	if c.flag.String("tier") != "" {
		def, plan, err := c.plan(false)
		if err != nil {
			return nil, err
		}
		return []site{c.siteOf(def, plan)}, nil
	}
	var sites []site
	seen, used := map[string]bool{}, map[string]bool{}
	add := func(s site) {
		key := s.provider + " " + string(s.config)
		if !seen[key] {
			sites = append(sites, s)
		}
		seen[key], used[s.provider] = true, true
	}
	file := c.flag.String("file")
	if file == "" {
		var err error
		if file, _, err = envs.Find(c.Dir); err != nil {
			return nil, err
		}
	}
	found, err := plugin.Find()
	if err != nil {
		return nil, err
	}
	installed := func(name string) bool {
		for _, f := range found {
			if f.Name == name {
				return true
			}
		}
		return false
	}
	if file != "" {
		def, err := c.definition()
		if err != nil {
			return nil, err
		}
		for _, name := range sorted(def.Tiers) {
			if t := def.Tiers[name]; installed(t.Provider) {
				s := site{provider: t.Provider, config: t.Config, named: true}
				if plan, _ := envs.MakePlan(def, envs.Options{Tier: name}); plan != nil && envs.ReadOnly(t.Provider) {
					s = c.siteOf(def, plan)
				}
				add(s)
			}
		}
	}
	for _, f := range found {
		if !used[f.Name] {
			add(site{provider: f.Name})
		}
	}
	return sites, nil
}

// siteOf is the place of a plan.
func (c *call) siteOf(def *envs.Definition, plan *envs.Plan) site {
	return site{provider: plan.Provider, config: plan.Config, named: true, open: func(ctx context.Context) (json.RawMessage, error) {
		return c.user().Config(ctx, def, plan, c.sessionOptions())
	}}
}

func (c *call) withSite(ctx context.Context, s site, f func(*plugin.Launched, providers.Provider) error) error {
	launched, err := plugin.Launch(ctx, s.provider, nil, c.log())
	if err != nil {
		return err
	}
	defer launched.Close()
	if s.open != nil {
		if s.config, err = s.open(ctx); err != nil {
			return err
		}
	}
	p, err := launched.Open(ctx, s.config, c.log())
	if err != nil {
		return err
	}
	defer p.Close()
	return f(launched, p)
}

// collectLeft removes one place's garbage as far as it may.
func (c *call) collectLeft(ctx context.Context, s site, p providers.Provider) ([]collected, error) {
	garbage, err := providers.ListGarbage(ctx, p, time.Now())
	if err != nil {
		return nil, err
	}
	var all []collected
	var errs []error
	for _, g := range garbage {
		one := collected{Provider: s.provider, Garbage: g}
		if one.Skipped, err = c.collectOne(ctx, s, p, g); err != nil {
			errs = append(errs, err)
			one.Skipped = "it failed"
		}
		one.Removed = one.Skipped == ""
		all = append(all, one)
		if !c.json() {
			did := "removed"
			if !one.Removed {
				did = "left, " + one.Skipped
			}
			if err := c.printf("%s: %s: %s, %s: %s\n", s.provider, g.Env, machinesOf(g.Machines), g.Reason, did); err != nil {
				return all, err
			}
		}
	}
	return all, errors.Join(errs...)
}

// collectOne removes g, or says why it was left.
func (c *call) collectOne(ctx context.Context, s site, p providers.Provider, g providers.Garbage) (skipped string, err error) {
	if c.flag.Bool("dry-run") {
		return "--dry-run", nil
	}
	lock, holder, err := c.user().TryLock(g.Env)
	if err != nil {
		return "", err
	}
	if lock == nil {
		return holder + " works on it", nil
	}
	defer lock.Release()
	if !c.flag.Bool("yes") {
		yes, err := c.askYes(ctx, oneLine(fmt.Sprintf("remove %s of %s (%s, %s)?", g.Env, s.provider, machinesOf(g.Machines), g.Reason)))
		if err != nil || !yes {
			return "not confirmed; --yes does not ask", err
		}
	}
	if err := providers.Collect(ctx, p, g); err != nil {
		return "", err
	}
	return "", c.forgotten(ctx, p, g)
}

// forgotten lets go of what this user keeps of an environment of which nothing is there any more.
func (c *call) forgotten(ctx context.Context, p providers.Provider, g providers.Garbage) error {
	left, err := p.ListEnvs(ctx)
	if err != nil || slices.ContainsFunc(left, func(e providers.EnvInfo) bool { return e.Env == g.Env }) {
		return err
	}
	return c.user().Forget(g.Project, g.Env)
}

// askYes asks on a terminal; without one the answer is no.
func (c *call) askYes(ctx context.Context, question string) (bool, error) {
	if _, ok := terminal(c.Stdin); !ok {
		return false, nil
	}
	answer, err := c.prompt(ctx, question+" [y/N] ")
	word := strings.ToLower(strings.TrimSpace(answer))
	return word == "y" || word == "yes", err
}

// prompt puts a question on the terminal and returns the line that answers it; the end of input is the empty answer.
func (c *call) prompt(ctx context.Context, question string) (string, error) {
	fmt.Fprint(c.Stderr, providers.Printable(question))
	answer := make(chan string, 1)
	go func() { // ends with the line, or with the process: a read of a terminal cannot be called off
		line, _ := bufio.NewReader(c.Stdin).ReadString('\n') // no answer is none
		answer <- line
	}()
	select {
	case line := <-answer:
		return line, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
