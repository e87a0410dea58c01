// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/providers/ssh"
)

// partialAge is how old something half-made has to be before it cannot belong to an `up` in progress: the life of a bootstrap certificate.
const partialAge = bootstrapLife

// Garbage is one environment that gc would remove, or remove from, and why.
type Garbage struct {
	EnvInfo
	Reason string   `json:"reason"`         // "expired 3h0m0s ago"
	Only   []string `json:"only,omitempty"` // IDs of the half-made machines; empty: the whole environment, its data disks too
}

// ListGarbage finds what dead runs left in a place: expired environments, and what is half-made since more than an hour: Partial
// machines, machines without their final host certificate, and environments with no machine at all. What cannot be reached is unknown, so it is
// not garbage. It changes nothing.
func ListGarbage(ctx context.Context, p Provider, now time.Time) ([]Garbage, error) {
	list, err := p.ListEnvs(ctx)
	if err != nil {
		return nil, err
	}
	var garbage []Garbage
	for _, e := range list {
		if !e.Expires.IsZero() && e.Expires.Before(now) {
			garbage = append(garbage, Garbage{EnvInfo: e, Reason: fmt.Sprintf("expired %s ago", lately(now.Sub(e.Expires)))})
			continue
		}
		if !older(e.Created, now) {
			continue
		}
		g, err := halfMade(ctx, p, e, now)
		if err != nil {
			return nil, err
		}
		if g.Reason != "" {
			garbage = append(garbage, g)
		}
	}
	return garbage, nil
}

func older(t, now time.Time) bool { return !t.IsZero() && now.Sub(t) > partialAge }

func halfMade(ctx context.Context, p Provider, e EnvInfo, now time.Time) (Garbage, error) {
	machines, err := p.ListMachines(ctx, e.Env)
	if err != nil {
		return Garbage{}, err
	}
	g := Garbage{EnvInfo: e}
	for _, m := range machines {
		if older(m.Created, now) && (m.State == Partial || unfinished(ctx, p, m)) {
			g.Only = append(g.Only, m.ID)
		}
	}
	switch {
	case len(machines) == 0 && e.Partial:
		g.Reason = fmt.Sprintf("without any machine for %s", now.Sub(e.Created).Round(time.Minute))
	case len(g.Only) > 0:
		g.Reason = fmt.Sprintf("%d of %d machines half-made for more than %s", len(g.Only), len(machines), partialAge)
	}
	return g, nil
}

// unfinished asks a machine for its host certificate and nothing else: no key is offered.
func unfinished(ctx context.Context, p Provider, m Machine) bool {
	c := &Core{Provider: p}
	t, err := c.target(m, "")
	if err != nil {
		return false
	}
	t.Timeout = 10 * time.Second
	client, err := ssh.Dial(ctx, t)
	if err == nil {
		_ = client.Close() // it let us in without a key: finished, whatever else it is
	}
	return errors.Is(err, ssh.ErrUnfinished)
}

// Collect removes one piece of garbage. An environment whose last machine goes is removed with it; data disks are removed only of expired
// environments. What is no garbage any more (an Up began since it was listed, or another client's Collect was first and somebody made the environment
// anew) stays. Repeated, it does nothing; several at once are fine.
func Collect(ctx context.Context, p Provider, g Garbage) error {
	if len(g.Only) == 0 && !g.Expires.IsZero() && g.Expires.Before(time.Now()) {
		return collectExpired(ctx, p, g.Env)
	}
	for _, id := range g.Only {
		if err := p.DeleteMachine(ctx, id); err != nil {
			return err
		}
	}
	return sweep(ctx, p, g.Env)
}

// collectExpired looks once more: the one that was listed may be gone, and another of its name alive.
func collectExpired(ctx context.Context, p Provider, env string) error {
	list, err := p.ListEnvs(ctx)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.Env == env && !e.Expires.IsZero() && e.Expires.Before(time.Now()) {
			return p.DeleteEnv(ctx, env, false)
		}
	}
	return nil
}

// sweep removes what is left of an environment that has no machine, but its data disks. Between the look and the removal somebody else's Up may begin:
// it then loses what it has just made, fails, and succeeds when repeated. On one computer the command's lock excludes that. The contract has no
// "only if it is empty", since a place where networks and machines are objects of their own could not promise it either.
func sweep(ctx context.Context, p Provider, env string) error {
	left, err := p.ListMachines(ctx, env)
	if err != nil || len(left) > 0 {
		return err
	}
	return p.DeleteEnv(ctx, env, true)
}
