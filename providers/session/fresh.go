// SPDX-License-Identifier: Apache-2.0

package session

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/providers"
)

// FreshTTL is how long a copy for one use lives at most where its tier does not say.
const FreshTTL = 2 * time.Hour

// FreshTier is the tier that copies for one use are of where none is said.
const FreshTier = "ci"

// Fresh says what copy for one use is to be made.
type Fresh struct {
	Load func() (*envs.Definition, error) // called again once locks were written
	Tier string                           // "": $EVENKEEL_TIER, else FreshTier where the definition has one, else its default
	As   string                           // the copy's name; "": one that nobody has
	// Takes is how long it is needed, 0 for unknown: a tier with a shorter ttl is refused; where it has none the copy lives an hour longer than that.
	Takes  time.Duration
	Locked bool                      // a missing lock is a problem
	Wrote  func(recipe, file string) // told of locks that were written; may be nil
}

// OpenFresh opens a copy of an environment that does not exist yet, of a tier that is neither protected nor read only, with a ttl and with images: Up makes it.
// Where f.As names one that exists, that is opened. o.Change, o.Identity and o.Secrets are taken for granted.
func (u User) OpenFresh(ctx context.Context, f Fresh, o Options) (*Session, error) {
	o.Change, o.Identity, o.Secrets = true, true, EverySecret
	as := f.As
	for {
		if f.As == "" {
			as = "" // planned as it is first: the name has to fit
		}
		def, plan, err := u.PlanFresh(f, as, o)
		if err != nil {
			return nil, err
		}
		if as == "" {
			if as, err = freshName(plan.Env); err != nil {
				return nil, err
			}
			if def, plan, err = u.PlanFresh(f, as, o); err != nil {
				return nil, err
			}
		}
		s, err := u.Open(ctx, def, plan, o)
		if err != nil {
			return nil, err
		}
		there := false
		if f.As == "" {
			there, err = s.Exists(ctx)
		}
		if err == nil && !there {
			replan := func() (*envs.Definition, *envs.Plan, error) { return u.PlanFresh(f, as, o) }
			err = u.UseImages(ctx, s, replan, f.Wrote)
		}
		if err == nil && !there {
			return s, nil
		}
		s.Close()
		if err != nil {
			return nil, err
		}
	}
}

// PlanFresh is what a copy called as comes to, "" for the environment itself; OpenFresh begins with it. Of o only Note is used.
func (u User) PlanFresh(f Fresh, as string, o Options) (*envs.Definition, *envs.Plan, error) {
	def, err := f.Load()
	if err != nil {
		return nil, nil, err
	}
	known, err := KnownProviders()
	if err != nil {
		return nil, nil, err
	}
	tier := cmp.Or(f.Tier, u.Getenv("EVENKEEL_TIER"))
	if _, ok := def.Tiers[FreshTier]; ok && tier == "" {
		tier = FreshTier
	}
	plan, problems := envs.MakePlan(def, envs.Options{Tier: tier, As: as, Locked: f.Locked, Providers: known})
	if err := problems.Err(); err != nil {
		return nil, nil, err
	}
	if o.Note != nil {
		o.Note([]problem.Problem(problems))
	}
	switch {
	case envs.ReadOnly(plan.Provider):
		return nil, nil, readOnly(plan)
	case plan.Protected:
		return nil, nil, &providers.Error{
			Code: providers.Denied, Op: "make", Subject: "a copy of tier " + plan.Tier, Err: errors.New("it is protected, and a copy for one use is removed without being asked for"),
			Hint: "name another tier: --tier NAME",
		}
	case plan.TTL == 0:
		plan.TTL = max(FreshTTL, f.Takes+time.Hour)
	case plan.TTL < f.Takes:
		return nil, nil, &providers.Error{
			Code: providers.Invalid, Op: "make", Subject: "a copy of tier " + plan.Tier, Err: fmt.Errorf("it is needed for %s, and its ttl is %s", f.Takes, plan.TTL),
			Hint: "raise ttl: in env.yaml",
		}
	}
	return def, plan, nil
}

// freshName is a name for a copy of env that nobody has: run- and six characters, fewer where the ID has no room for them.
func freshName(env string) (string, error) {
	const digits, least = "abcdefghijkmnpqrstuvwxyz23456789", 5 // 32 of them; a thousand copies at once meet by chance once in thirty times
	prefix, n := "run-", 6
	if room := providers.MaxEnv - len(env) - 1; room < len(prefix)+n {
		prefix = "r"
		if n = min(n, room-len(prefix)); n < least {
			return "", &providers.Error{
				Code: providers.Invalid, Op: "name", Subject: "a copy of " + env, Err: fmt.Errorf("the ID has %d characters, which leaves no room for a name of its own within %d", len(env), providers.MaxEnv),
				Hint: "shorten the tier's or the project's name",
			}
		}
	}
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	for i := range b {
		b[i] = digits[int(b[i])%len(digits)]
	}
	return prefix + string(b), nil
}

// Copy is the name of the copy that the session is of; "" for the environment itself.
func (s *Session) Copy() string {
	_, as, _ := strings.Cut(strings.TrimPrefix(s.Plan.Env, s.Plan.Name+"."), ".")
	return as
}

// Reopen opens the environment once more, as o says: for what comes after others had their turn with it.
func (u User) Reopen(ctx context.Context, s *Session, o Options) (*Session, error) {
	again, err := u.Open(ctx, s.Definition, s.Plan, o)
	if err != nil {
		return nil, err
	}
	if again.Secrets == nil {
		again.Secrets = s.Secrets
	}
	again.Image = s.Image
	return again, nil
}

// sortedByPlan are machines in the order of names.
func sortedByPlan(list []providers.Machine) []providers.Machine {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b providers.Machine) int { return envs.CompareNames(a.Name, b.Name) })
	return list
}
