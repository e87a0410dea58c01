// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/internal/progress"
	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/facts"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/session"
)

// tiersAtOnce is how many places are opened at a time; each is a process.
const tiersAtOnce = 4

// tierPlace is one tier of an audit, opened and listed.
type tierPlace struct {
	*place
	machines []providers.Status // that exist
	laid     map[string]map[string]string
	planned  map[string]string // name -> kind, where the place and not the definition gives the names; else nil
}

func (t *tierPlace) close() {
	if t.place != nil {
		t.place.close()
	}
}

// listTiers opens each of the policy's tiers and lists its machines. A tier where that fails is Unlisted, with the reason, and holds up nobody.
func (c *call) listTiers(ctx context.Context, s *auditSubject) {
	s.tiers = make([]*tierPlace, len(s.policy.Tiers))
	var g errgroup.Group
	g.SetLimit(tiersAtOnce)
	for i := range s.policy.Tiers {
		t := &s.policy.Tiers[i]
		s.tiers[i] = &tierPlace{}
		if t.Name == s.reference {
			continue // of snapshots from a file
		}
		g.Go(func() error {
			if err := c.listTier(ctx, s, s.tiers[i], t.Name); err != nil {
				t.Unlisted = reasonOf(err)
				return nil
			}
			t.Laid = s.tiers[i].laid
			if planned := s.tiers[i].planned; planned != nil {
				t.Planned = planned
			}
			return nil
		})
	}
	_ = g.Wait() // each said in its tier what went wrong
	given := map[string]map[string]string{}
	for i, t := range s.tiers {
		if t.place != nil && !t.Plugin.Traits.ReadOnly {
			given[s.policy.Tiers[i].Name] = parity.GivenKeys(t.Logins())
		}
	}
	s.policy.Expect(given)
}

func (c *call) listTier(ctx context.Context, s *auditSubject, t *tierPlace, name string) (err error) {
	if t.place, err = c.openTier(ctx, s.def, name, s.tell); err != nil {
		return err
	}
	all, err := t.Status(ctx, false)
	if err != nil {
		return err
	}
	roles := map[string]bool{}
	for _, m := range all {
		// Of two in one role the first serves; the other is a replacement under way.
		if m.State != "" && !roles[m.Role()] {
			roles[m.Role()] = true
			t.machines = append(t.machines, m)
		}
	}
	if t.Plugin.Traits.ReadOnly {
		t.planned = map[string]string{}
		for _, m := range all {
			if m.Planned {
				t.planned[m.Name] = m.Kind
			}
		}
	}
	t.laid, err = t.Laid(ctx)
	return err
}

// openTier opens a tier by its name, whatever --tier says.
func (c *call) openTier(ctx context.Context, def *envs.Definition, name string, tell providers.Progress) (*place, error) {
	known, err := session.KnownProviders()
	if err != nil {
		return nil, err
	}
	plan, problems := envs.MakePlan(def, envs.Options{Tier: name, Providers: known})
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return c.openPlan(ctx, def, plan, placeOptions{identity: true, progress: tell})
}

// reasonOf is an error in one line, with what to do about it.
func reasonOf(err error) string {
	text := err.Error()
	if list, ok := errors.AsType[problem.List](err); ok && len(list) > 0 {
		text = list[0].Message
	}
	if h := hint(err); h != "" {
		text += " (" + h + ")"
	}
	return strings.Join(strings.Fields(providers.Printable(text)), " ")
}

// readTiers reads all machines of all tiers, tiers at once too. take is called by one goroutine at a time.
func (c *call) readTiers(ctx context.Context, s *auditSubject, o collectOptions, take func(*parity.Snapshot) error) error {
	var mu sync.Mutex
	o.shared = facts.NewShared()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(tiersAtOnce)
	for i, t := range s.tiers {
		if s.policy.Tiers[i].Unlisted != "" || len(t.machines) == 0 {
			continue
		}
		g.Go(func() error {
			e := progress.Event{Subject: s.policy.Tiers[i].Name, Stage: "read", Total: int64(len(t.machines))}
			s.tell.Emit(e)
			return c.collect(gctx, t.place, t.machines, o, func(snapshot *parity.Snapshot) error {
				mu.Lock()
				defer mu.Unlock()
				e.Done++
				s.tell.Emit(e)
				return take(snapshot)
			})
		})
	}
	return g.Wait()
}

// noTier refuses a tier that the definition has not.
func noTier(def *envs.Definition, option, name string) error {
	all := sorted(def.Tiers)
	e := usagef("%s: got %q; the definition has %s", option, name, listed(all))
	if near := nearest(name, all); near != "" {
		e.hint = "did you mean " + near + "?"
	}
	return e
}

// hasTier reports whether a policy is about a tier.
func hasTier(p parity.Policy, name string) bool {
	return slices.ContainsFunc(p.Tiers, func(t parity.TierPolicy) bool { return t.Name == name })
}

// unlisted says of tiers that nothing was given of them.
func unlisted(p *parity.Policy, seen map[string]bool, why string) {
	for i := range p.Tiers {
		// Which of a tier's machines were written to a file is not known, so none is missing.
		p.Tiers[i].Planned = nil
		if !seen[p.Tiers[i].Name] {
			p.Tiers[i].Unlisted = why
		}
	}
}
