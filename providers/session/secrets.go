// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/internal/trust"
	"github.com/evenkeel/evenkeel/providers"
)

// Need says what is done with secrets.
type Need int

const (
	NoSecrets   Need = iota
	IfReadable       // machines are looked at: what cannot be read is not known, and told to Options.Note
	EverySecret      // they are laid on machines: one that is missing is an error, before anything is opened
)

// Request is a command of a definition that may not run here yet, and why not.
type Request = trust.Request

// secrets reads the plan's secrets. Commands that may not run yet are asked for where every secret is needed.
func (u User) secrets(ctx context.Context, def *envs.Definition, plan *envs.Plan, o Options) (envs.Values, error) {
	if o.Secrets == NoSecrets {
		return nil, nil
	}
	refused, err := u.refused(ctx, def.Dir, plan.Commands(), o.Secrets == EverySecret, o)
	if err != nil {
		return nil, err
	}
	values, problems := envs.ReadSecrets(ctx, plan, envs.SecretReader{
		Dir: def.Dir, Env: u.Env, Allowed: func(command string) bool { return !slices.Contains(refused, command) },
	})
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if o.Secrets == IfReadable {
		for i := range problems {
			problems[i].Severity = problem.Note
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if o.Note != nil {
		o.Note([]providers.Problem(problems))
	}
	return values, nil
}

// refused is which of commands may not run in the project at dir: after asking, where that is wanted and somebody can be asked.
func (u User) refused(ctx context.Context, dir string, commands []string, ask bool, o Options) ([]string, error) {
	if len(commands) == 0 {
		return nil, nil
	}
	store, err := u.Trusted()
	if err != nil {
		return nil, err
	}
	missing, err := store.Missing(dir, commands)
	if err == nil && len(missing) > 0 && ask && o.Consent != nil {
		missing, err = o.Consent(ctx, dir, missing)
	}
	if err != nil {
		return nil, err
	}
	var list []string
	for _, r := range missing {
		list = append(list, r.Command)
	}
	return list, nil
}

// Config is the provider's block of the plan's tier. Where machines are named by a command, it has run: with the user's consent, for which o.Consent is asked.
func (u User) Config(ctx context.Context, def *envs.Definition, plan *envs.Plan, o Options) (json.RawMessage, error) {
	line := plan.InventoryCommand()
	if line == "" {
		return plan.Config, nil
	}
	refused, err := u.refused(ctx, def.Dir, []string{line}, true, o)
	if err != nil {
		return nil, err
	}
	config, problems := envs.ReadInventory(ctx, plan, envs.SecretReader{
		Dir: def.Dir, Env: u.Env, Allowed: func(command string) bool { return !slices.Contains(refused, command) },
	})
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return config, problems.Err()
}
