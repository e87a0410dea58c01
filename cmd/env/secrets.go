// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/internal/trust"
)

// need says what a verb does with secrets.
type need int

const (
	noSecrets   need = iota
	ifReadable       // it looks at machines: what cannot be read is not known
	everySecret      // it lays them on machines: one that is missing is an error, before anything is opened
)

// trusted is where this user's consents are kept.
func (a *App) trusted() (trust.Store, error) {
	state, err := a.stateDir()
	return trust.Store{Dir: filepath.Join(state, "trust")}, err
}

// secrets reads the plan's secrets. Commands that may not run yet are asked for on a terminal, where every secret is needed.
func (c *call) secrets(ctx context.Context, def *envs.Definition, plan *envs.Plan, n need) (envs.Values, error) {
	if n == noSecrets {
		return nil, nil
	}
	var refused []string
	if commands := plan.Commands(); len(commands) > 0 {
		missing, err := c.consent(ctx, def.Dir, commands, n)
		if err != nil {
			return nil, err
		}
		for _, r := range missing {
			refused = append(refused, r.Command)
		}
	}
	values, problems := envs.ReadSecrets(ctx, plan, envs.SecretReader{
		Dir: def.Dir, Env: c.Env, Allowed: func(command string) bool { return !slices.Contains(refused, command) },
	})
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if n == ifReadable {
		for i := range problems {
			problems[i].Severity = problem.Note
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	c.say(problems)
	return values, nil
}

// consent is which of commands may not run in the project at dir: after asking, where somebody is there to ask.
func (c *call) consent(ctx context.Context, dir string, commands []string, n need) ([]trust.Request, error) {
	store, err := c.trusted()
	if err != nil {
		return nil, err
	}
	missing, err := store.Missing(dir, commands)
	if _, asks := terminal(c.Stdin); err != nil || len(missing) == 0 || n != everySecret || !asks {
		return missing, err
	}
	c.tellRequests(dir, missing)
	yes, err := c.askYes(ctx, "let this run, now and as long as it does not change?")
	if err != nil || !yes {
		return missing, err
	}
	return nil, store.Allow(dir, commandsOf(missing))
}

// tellRequests shows whole lines: the end of one may be the dangerous part.
func (c *call) tellRequests(dir string, list []trust.Request) {
	fmt.Fprintf(c.Stderr, "evenkeel: the definition would run on this computer, as you, in %s:\n", oneLine(dir))
	for _, r := range list {
		fmt.Fprintf(c.Stderr, "  %s\n", oneLine(r.Command))
		if r.Why != "new" {
			fmt.Fprintf(c.Stderr, "    %s\n", oneLine(r.Why))
		}
	}
}

func commandsOf(list []trust.Request) []string {
	var all []string
	for _, r := range list {
		all = append(all, r.Command)
	}
	return all
}
