// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/progress"
	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/store"
	"github.com/evenkeel/evenkeel/providers/sync"
)

// auditSubject is what is audited: a definition, where there is one, and what it says of comparing.
type auditSubject struct {
	def    *envs.Definition // nil: snapshots of machines of other makers, or without their definition
	policy parity.Policy
	tell   progress.Func
	tiers  []*tierPlace // as of policy.Tiers
	notes  []string     // said in the report
	// reference is a tier's name for what was read from elsewhere: from --against, or from the store (then); "" where a tier is the reference.
	reference string
	then      store.Audit
}

func (s *auditSubject) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

func (s *auditSubject) close() {
	for _, t := range s.tiers {
		t.close()
	}
}

// auditSubject loads the definition. What is wrong with it, or with its waivers, ends the audit before anything is read.
func (c *call) auditSubject(ctx context.Context, o auditOptions) (*auditSubject, error) {
	s := &auditSubject{policy: parity.Policy{At: o.at, Tool: tool(), Baseline: c.flag.String("baseline")}}
	defer func() { s.policy.Texts, s.policy.Pending = map[string]map[string]string{}, map[string][]string{} }()
	if c.flag.IsSet("from") && !c.flag.IsSet("file") {
		file, _, err := envs.Find(c.Dir)
		if err != nil {
			return nil, err
		}
		if file == "" {
			s.policy.Undefined, s.policy.Manifests = true, map[string]*images.Manifest{}
			return s, nil
		}
	}
	var err error
	if s.def, err = c.definition(); err != nil {
		return nil, err
	}
	for _, name := range o.tiers {
		if _, ok := s.def.Tiers[name]; !ok {
			return nil, noTier(s.def, "--tier", name)
		}
	}
	policy, problems := parity.PolicyOf(s.def, o.tiers, o.at)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	policy.Tool, policy.Commit = tool(), commitOf(ctx, s.def.Dir)
	switch name := c.flag.String("baseline"); {
	case name != "" && !hasTier(policy, name):
		return nil, noTier(s.def, "--baseline", name)
	case name != "":
		policy.Baseline = name
	case !hasTier(policy, policy.Baseline):
		if policy.Baseline != "" && !c.flag.IsSet("against") && !c.flag.IsSet("since") {
			s.note("%s, the baseline, was not asked for; what is compared between tiers is compared with %s", policy.Baseline, policy.Tiers[0].Name)
		}
		policy.Baseline = policy.Tiers[0].Name
	}
	s.policy = policy
	return s, nil
}

// commitOf is the definition's, "" where it is in no repository.
func commitOf(ctx context.Context, dir string) string {
	commit, err := sync.Inspect(ctx, dir)
	if err != nil {
		return ""
	}
	return commit.Name()
}

// tool is this program as reports name it.
func tool() string {
	v := thisVersion()
	return strings.TrimSpace("evenkeel " + v.Version + " " + v.Revision)
}

// waiversText is what the definition says of waivers, for the signature.
func (s *auditSubject) waiversText() []byte {
	if s.def == nil || len(s.def.Parity.Waivers) == 0 {
		return nil
	}
	text, err := json.Marshal(s.def.Parity.Waivers)
	if err != nil {
		panic(err) // plain strings and times
	}
	return text
}

// audited reads what is to be read and compares it.
func (c *call) audited(ctx context.Context, s *auditSubject, o auditOptions, e *evidence) (*parity.Report, error) {
	live := !c.flag.IsSet("from")
	switch {
	case c.flag.IsSet("against"):
		if err := c.against(s, c.flag.String("against")); err != nil {
			return nil, err
		}
	case !o.since.IsZero():
		if err := c.sinceThen(ctx, s, e, o.since); err != nil {
			return nil, err
		}
	case live && o.only == nil:
		e.keep(ctx, s.def.ID, o.at)
	}
	if live {
		c.listTiers(ctx, s)
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
	}
	policy := s.policy
	if !o.since.IsZero() {
		policy = sincePolicy(s)
	}
	policy.Sections = o.only
	m, err := parity.NewComparison(policy)
	if err != nil {
		return nil, err
	}
	met := newImagesMet(ctx, c, s)
	defer met.stop()
	take := func(snapshot *parity.Snapshot) error {
		if err := e.add(ctx, snapshot); err != nil {
			return err
		}
		if !o.since.IsZero() {
			return m.Add(atTime(snapshot, now))
		}
		met.meet(snapshot.Subject)
		return m.Add(snapshot)
	}
	err = c.readReference(ctx, s, o, e, m.Add)
	if err == nil && live {
		err = c.readTiers(ctx, s, collectOptions{groups: o.groups, cache: e.cache()}, take)
	} else if err == nil {
		err = c.fromFiles(s, o, take)
	}
	if err != nil {
		return nil, err
	}
	if err := met.fill(ctx); err != nil {
		return nil, err
	}
	report, err := m.Report()
	if err != nil {
		return nil, err
	}
	report.Notes = append(report.Notes, s.notes...)
	if !o.since.IsZero() {
		advise(report, "`evenkeel history SECTION/KEY` says when, and on which machines; what is not meant goes with a rebuild, or with `evenkeel up`")
	}
	return report, e.finish(ctx, report)
}

// advise says of differences what to do about them where it is not tiers that are compared.
func advise(r *parity.Report, fix string) {
	for i := range r.Rows {
		if row := &r.Rows[i]; row.Kind == parity.Skew && row.Counts {
			row.Fix = fix
		}
	}
}

// readReference reads what machines are compared with, where that is no tier of today.
func (c *call) readReference(ctx context.Context, s *auditSubject, o auditOptions, e *evidence, take func(*parity.Snapshot) error) error {
	switch {
	case c.flag.IsSet("against"):
		return c.readAgainst(s, take)
	case !o.since.IsZero():
		return s.readThen(ctx, e.store, take)
	}
	return nil
}
