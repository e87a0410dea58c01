// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/session"
)

// place is an environment with its provider opened: what most verbs work on. Close it.
type place struct{ *session.Session }

// placeOptions say how a verb works on an environment.
type placeOptions struct {
	change   bool   // it changes the environment: two of us must not at once
	locked   bool   // a missing image lock is a problem
	images   bool   // it makes machines: missing locks are written, missing images built
	undoes   bool   // interrupted, it takes back what it did
	replaces bool   // but for machines it has removed
	identity bool   // it logs in to machines
	removes  string // what it may do that a protected environment asks its ID for, "replace machines": "" for nothing
	secrets  session.Need
	progress providers.Progress
}

// open loads the definition, plans the tier and opens its provider.
func (c *call) open(ctx context.Context, o placeOptions) (*place, error) {
	def, plan, err := c.plan(o.locked)
	if err != nil {
		return nil, err
	}
	return c.openPlan(ctx, def, plan, o)
}

func (c *call) openPlan(ctx context.Context, def *envs.Definition, plan *envs.Plan, o placeOptions) (*place, error) {
	opt := c.sessionOptions()
	opt.Change, opt.Identity, opt.Secrets, opt.Progress = o.change, o.identity, o.secrets, o.progress
	opt.Waiting = func(holder string) {
		fmt.Fprintf(c.Stderr, "evenkeel: waiting for %s working on %s\n", holder, plan.Env)
	}
	s, err := c.user().Open(ctx, def, plan, opt)
	if err != nil {
		return nil, err
	}
	return &place{s}, nil
}

// sessionOptions are those that every verb opens with.
func (c *call) sessionOptions() session.Options {
	return session.Options{IdentityFile: c.flag.String("identity"), Log: c.log(), Consent: c.consent, Note: func(p []providers.Problem) { c.say(p) }}
}

func (p *place) close() { p.Close() }

// user is who calls.
func (a *App) user() session.User { return session.User{Env: a.Env, Dir: a.Dir} }

// keyFiles are where our private keys lie: one that was named, "" for none, and the one made for this user.
func (c *call) keyFiles() (named, generated string, err error) {
	return c.user().KeyFiles(c.flag.String("identity"))
}

// deadline is how long a machine may take to its first answer: --within, else $EVENKEEL_BOOT_DEADLINE, else the core's default.
func (c *call) deadline() (time.Duration, error) {
	return c.user().BootDeadline("--within", c.flag.String("within"))
}

// machine finds the machine that word names: itself, or its kind where that has only one.
func (p *place) machine(ctx context.Context, word string) (providers.Machine, error) {
	list, err := p.Status(ctx, false)
	if err != nil {
		return providers.Machine{}, err
	}
	var found []providers.Status
	for _, s := range list {
		if s.Name == word {
			found = []providers.Status{s}
			break
		}
		if s.Planned && s.Kind == word || word == "" {
			found = append(found, s)
		}
	}
	switch at := p.Plan.External[word]; {
	case len(found) == 0 && at != "":
		return providers.Machine{}, usagef("cannot find machine %q: it is external in environment %s (%s): no machine is made of it", word, p.Plan.Env, at)
	case len(found) == 0:
		return providers.Machine{}, usagef("cannot find machine %q: environment %s has %s", word, p.Plan.Env, names(list))
	case len(found) > 1:
		return providers.Machine{}, usagef("cannot tell which machine is meant: environment %s has %s", p.Plan.Env, names(found))
	case found[0].State == "" && p.Plugin.Traits.ReadOnly:
		return providers.Machine{}, usagef("cannot reach machine %s: provider %s does not list it", found[0].Name, p.Plan.Provider)
	case found[0].State == "":
		return providers.Machine{}, &usageError{text: fmt.Sprintf("cannot reach machine %s: it does not exist yet", found[0].Name), hint: "evenkeel up"}
	}
	return found[0].Machine, nil
}

func names(list []providers.Status) string {
	var all []string
	for _, s := range list {
		all = append(all, s.Name)
	}
	return listed(all)
}

// isCancel says that err comes from an interruption.
func isCancel(err error) bool { return errors.Is(err, context.Canceled) }
