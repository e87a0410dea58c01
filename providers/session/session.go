// SPDX-License-Identifier: Apache-2.0

// Package session opens an environment for its user: definition and plan, with this user's lock, secrets, keys and plugins, come to a providers.Core that
// works. It is what the command has in common with a test's helper, and with any other program.
//
// It is not for deciding what is done with an environment, which is the core's, nor for what is shown of it. The one rule: it prints nothing and asks
// nobody; who opens is told, and asked, by Options.
package session

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin"
)

// Options say what an environment is opened for. The zero value looks at the place's records.
type Options struct {
	Change       bool   // it is changed: two of this computer must not at once
	Identity     bool   // machines are logged in to
	IdentityFile string // with this private key; "": $EVENKEEL_SSH_KEY_FILE, the agent, the key made for this user
	Secrets      Need
	Progress     providers.Progress
	Log          hclog.Logger // nil: none

	// Consent is asked for commands of the definition that may not run here yet, and returns those that still may not; nil: all.
	Consent func(ctx context.Context, dir string, missing []Request) ([]Request, error)
	Waiting func(holder string)       // told for whom the lock is waited for; may be nil
	Note    func([]providers.Problem) // told what is no error; may be nil
}

// Session is an environment with its provider opened. Close it.
type Session struct {
	*providers.Core
	Definition *envs.Definition

	launched *plugin.Launched
	lock     *Lock
	closed   bool
}

// Open opens the environment of a plan that was made from def. Secrets are read, and the lock is taken, before a provider is started; after an error, or when
// ctx ends, nothing is open.
func (u User) Open(ctx context.Context, def *envs.Definition, plan *envs.Plan, o Options) (_ *Session, err error) {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	s := &Session{Definition: def}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if o.Change && envs.ReadOnly(plan.Provider) { // before a secret is read, or a lock written
		return nil, readOnly(plan)
	}
	values, err := u.secrets(ctx, def, plan, o)
	if err != nil {
		return nil, err
	}
	var hold *os.File
	if o.Change {
		if s.lock, err = u.Lock(ctx, plan.Env, o.Waiting); err != nil {
			return nil, err
		}
		hold = s.lock.file
	}
	if s.launched, err = plugin.Launch(ctx, plan.Provider, hold, o.Log); err != nil {
		return nil, err
	}
	if err := checkLocal(def, plan, s.launched.Traits.Local); err != nil {
		return nil, err
	}
	if o.Change && s.launched.Traits.ReadOnly {
		return nil, readOnly(plan)
	}
	config, err := u.Config(ctx, def, plan, o)
	if err != nil {
		return nil, err
	}
	provider, err := s.launched.Open(ctx, config, o.Log)
	if err != nil {
		return nil, err
	}
	s.Core = &providers.Core{
		Plan: plan, Plugin: s.launched.Plugin, Provider: providers.Retry(provider), Owner: u.Owner(), Progress: o.Progress, Log: o.Log,
		Secrets: values,
	}
	if s.CodeDir, err = u.StateDir(); err != nil {
		return nil, err
	}
	s.TLSDir = tlsDir(s.CodeDir, plan.Project, plan.Env)
	if o.Identity {
		if s.Identity, err = u.Identity(o.IdentityFile); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func tlsDir(state, project, env string) string {
	return filepath.Join(state, "tls", project+"-"+env)
}

// Close ends the provider's process and gives the lock back. Machines go on. Repeated, it does nothing.
func (s *Session) Close() {
	if s.closed {
		return
	}
	s.closed = true
	if s.Core != nil {
		_ = s.Provider.Close() // the process ends next
	}
	if s.launched != nil {
		_ = s.launched.Close() // its work is done, or its failure told
	}
	if s.lock != nil {
		s.lock.Release()
	}
}

// readOnly is the refusal of what changes something where machines are only read.
func readOnly(plan *envs.Plan) error {
	return providers.ReadOnlyError(plan.Provider, "change", "environment "+plan.Env)
}

// checkLocal refuses what is for places on this computer only, now that the provider has said what it is.
func checkLocal(def *envs.Definition, plan *envs.Plan, local bool) error {
	if local {
		return nil
	}
	if plan.Local != "" {
		return fmt.Errorf("cannot use %s: it changes tier %s, but provider %s is not on this computer; only local tiers may be changed there", plan.Local, plan.Tier, plan.Provider)
	}
	if def.Default == plan.Tier {
		return &providers.Error{
			Code: providers.Invalid, Op: "use", Subject: "tier " + plan.Tier + " as the default",
			Err:  fmt.Errorf("provider %s is not on this computer, and nobody should reach it by leaving out a word", plan.Provider),
			Hint: "take the line default: out of env.yaml and say --tier " + plan.Tier,
		}
	}
	return nil
}
