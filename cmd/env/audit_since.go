// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/store"
)

// now is what the machines' state of today is called beside an earlier day's.
const now = "now"

// sinceThen makes an earlier audit the reference: the axis is time, so then and now stand where tiers stand else, and each tier's machines are kinds of their own.
func (c *call) sinceThen(ctx context.Context, s *auditSubject, e *evidence, since time.Time) error {
	var err error
	if e.store, err = c.audits(ctx); err != nil {
		return err
	}
	first, err := e.store.First(ctx, s.def.ID, since)
	if errors.Is(err, store.ErrNoAudit) {
		err := usagef("cannot compare with an earlier audit: none was kept since %s", since.UTC().Format(time.DateOnly))
		err.hint = "`evenkeel history` lists those that are kept"
		return err
	}
	if err != nil {
		return err
	}
	s.then = first
	s.reference = first.At.UTC().Format("2006-01-02 15:04")
	s.note("this compares with the audit %d of %s; what was waived, or expected between tiers, is no matter here", first.ID, s.reference)
	return nil
}

// sincePolicy judges nothing but change: tiers that could not be listed are said, and count as they do else.
func sincePolicy(s *auditSubject) parity.Policy {
	p := parity.Policy{
		At: s.policy.At, Commit: s.policy.Commit, Tool: s.policy.Tool, Baseline: s.reference, Severities: s.policy.Severities,
		Tiers: []parity.TierPolicy{{Name: s.reference}, {Name: now}},
	}
	for _, t := range s.policy.Tiers {
		if t.Unlisted != "" {
			p.Tiers = append(p.Tiers, parity.TierPolicy{Name: t.Name, Unlisted: t.Unlisted, Required: t.Required})
		}
	}
	return p
}

// readThen gives what the earlier audit read of the tiers that can be read now.
func (s *auditSubject) readThen(ctx context.Context, kept *store.Store, take func(*parity.Snapshot) error) error {
	return kept.Snapshots(ctx, s.then.ID, func(snapshot *parity.Snapshot) error {
		i := slices.IndexFunc(s.policy.Tiers, func(t parity.TierPolicy) bool { return t.Name == snapshot.Subject.Tier })
		if i < 0 || s.policy.Tiers[i].Unlisted != "" {
			return nil
		}
		return take(atTime(snapshot, s.reference))
	})
}

// atTime is a snapshot as of a time.
func atTime(s *parity.Snapshot, at string) *parity.Snapshot {
	moved := parity.AsReference(s, at)
	moved.Subject.Kind = s.Subject.Tier + "/" + s.Subject.Kind
	moved.Subject.Name = s.Subject.Tier + "/" + s.Subject.Name
	return moved
}
