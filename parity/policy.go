// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/problem"
)

const (
	// MaxSkew is how far a machine's clock may be off before times that it told are not judged.
	MaxSkew = 5 * time.Minute
	// WaiverNotice is how long before its end a waiver is announced.
	WaiverNotice = 14 * 24 * time.Hour
)

// Policy is what snapshots are judged by: what the definition says, and what is known beside them. It is plain data; Compare changes nothing in it.
type Policy struct {
	At       time.Time // ages and waivers are judged as of then; required
	Project  string    // id; machines of another one are foreign. "": not judged
	Name     string    // what people call it
	Commit   string
	Tool     string
	Baseline string // a tier; "": the first of Tiers, else the first of the snapshots by name
	// Tiers are those that were asked for, in the definition's order.
	Tiers []TierPolicy
	// File is the definition's, relative to the project: where tiers are said, and what differs in one may be allowed. "": reports point nowhere.
	File string
	// Undefined: no definition is at hand, so no advice may say what one would be needed for.
	Undefined bool
	// PromoteWithin is how long a newer image of one recipe may run in one tier before its absence elsewhere is a finding; 0: not at all.
	PromoteWithin time.Duration
	// Sections are those that are compared; nil: all.
	Sections   []string
	Waivers    []envs.Waiver
	Severities []SeverityRule // the first that matches wins; before those of Compare's own
	// Manifests by image key. Machines of other images are not compared with theirs, and that is said.
	Manifests map[string]*images.Manifest
	// Texts are those of the images' files below /etc, by image key and path (images.Store.Texts): with them drift is told by meaning, and shown.
	Texts map[string]map[string]string
	// Recipes are the files that machines of a kind are made by, relative to the project, by kind: where a report points to.
	Recipes map[string]string
	// Pending are security updates, "nginx 1.22.1-9+deb12u3", by image key: locked packages that the archives' signed indexes of today supersede.
	// An image that is not in the map was not looked up.
	Pending map[string][]string
}

// TierPolicy is what is known of one tier.
type TierPolicy struct {
	Name string
	// Line is where the tier begins in Policy.File; 0: not known.
	Line int
	// ReadOnly: the machines exist already, and nothing of ours changes them; so no advice may say that it does.
	ReadOnly bool
	// Unlisted says why the tier's machines could not be listed from here; "" where they were.
	Unlisted string
	// Required: an audit that cannot list the tier's machines is incomplete.
	Required bool
	// Planned are the machines that the definition plans, name -> kind; nil: not known, so that nothing is missing or extra.
	Planned map[string]string
	// External are kinds for which another's service stands, kind -> host:port: left out, and said so.
	External map[string]string
	// RebuildAfter is the age limit by kind; under "" that of kinds not named. 0 or absent: no limit.
	RebuildAfter map[string]time.Duration
	// Expected are values that the definition gives facts in this tier, SECTION/KEY -> value; "": it is not there. A fact that is so differs from other tiers because
	// it should; one that is otherwise is a finding.
	Expected map[string]string
	// Laid are digests (SHA-256, hex) of files as Settle lays them, machine -> path -> digest, where they are known.
	Laid map[string]map[string]string
}

// limit is the age limit of a kind, 0 for none.
func (t *TierPolicy) limit(kind string) time.Duration {
	if t == nil {
		return 0
	}
	if d, ok := t.RebuildAfter[kind]; ok {
		return d
	}
	return t.RebuildAfter[""]
}

// readOnly tells a tier whose machines are only read.
func (p *Policy) readOnly(tier string) bool {
	t := p.tier(tier)
	return p.Undefined || t != nil && t.ReadOnly
}

// tier is the policy of the tier with that name, nil where there is none.
func (p *Policy) tier(name string) *TierPolicy {
	for i := range p.Tiers {
		if p.Tiers[i].Name == name {
			return &p.Tiers[i]
		}
	}
	return nil
}

// PolicyOf is what a definition says of comparing these tiers (nil: all of it, of which those with `audit: true` are required), as of at. Commit, Tool, Manifests, Pending and what is known of the places
// (Unlisted, Laid) are the caller's to add. The Policy holds nothing where the list has an Error.
func PolicyOf(def *envs.Definition, tiers []string, at time.Time) (Policy, problem.List) {
	problems := def.CheckWaivers(at)
	p := Policy{
		At: at, Project: def.ID, Name: def.Name, Baseline: def.Parity.Baseline, PromoteWithin: def.Parity.PromoteWithin, Waivers: def.Parity.Waivers,
		Recipes: map[string]string{}, Manifests: map[string]*images.Manifest{}, File: filepath.Base(def.File),
	}
	for _, s := range def.Parity.Severity {
		p.Severities = append(p.Severities, SeverityRule{s.Match, Severity(s.Severity)})
	}
	for kind, m := range def.Machines {
		p.Recipes[kind] = m.Image
	}
	asked := tiers != nil
	if !asked {
		tiers = slices.Sorted(maps.Keys(def.Tiers))
	}
	for _, name := range tiers {
		// Whether its provider can be opened here is no matter of what is compared.
		plan, wrong := envs.MakePlan(def, envs.Options{Tier: name, Providers: []string{def.Tiers[name].Provider}})
		if plan == nil {
			problems = append(problems, wrong...)
			continue
		}
		t := TierPolicy{Name: name, Line: def.Tiers[name].Line, ReadOnly: envs.ReadOnly(def.Tiers[name].Provider), Required: asked || def.Tiers[name].Audit, External: plan.External, Planned: map[string]string{}, RebuildAfter: map[string]time.Duration{}}
		for _, m := range plan.Machines {
			t.Planned[m.Name] = m.Kind
			t.RebuildAfter[m.Kind] = def.RebuildAfter(name, m.Kind)
		}
		p.Tiers = append(p.Tiers, t)
	}
	if problems.Err() != nil {
		return Policy{}, problems
	}
	return p, problems
}
