// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/evenkeel/evenkeel/internal/trust"
	"github.com/evenkeel/evenkeel/providers/session"
)

// trusted is where this user's consents are kept.
func (a *App) trusted() (trust.Store, error) { return a.user().Trusted() }

// consent asks, where somebody is there to ask, for commands that may not run yet, and returns those that still may not.
func (c *call) consent(ctx context.Context, dir string, missing []session.Request) ([]session.Request, error) {
	if _, asks := terminal(c.Stdin); !asks {
		return missing, nil
	}
	c.tellRequests(dir, missing)
	yes, err := c.askYes(ctx, "let this run, now and as long as it does not change?")
	if err != nil || !yes {
		return missing, err
	}
	store, err := c.trusted()
	if err != nil {
		return nil, err
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
