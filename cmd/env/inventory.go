// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/evenkeel/evenkeel/envs"
)

// placeConfig is the provider's block of the plan's tier. Where machines are named by a command, it has run: with the user's consent, which is asked for on
// a terminal.
func (c *call) placeConfig(ctx context.Context, def *envs.Definition, plan *envs.Plan) (json.RawMessage, error) {
	line := plan.InventoryCommand()
	if line == "" {
		return plan.Config, nil
	}
	missing, err := c.consent(ctx, def.Dir, []string{line}, everySecret)
	if err != nil {
		return nil, err
	}
	refused := commandsOf(missing)
	config, problems := envs.ReadInventory(ctx, plan, envs.SecretReader{
		Dir: def.Dir, Env: c.Env, Allowed: func(command string) bool { return !slices.Contains(refused, command) },
	})
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return config, problems.Err()
}
