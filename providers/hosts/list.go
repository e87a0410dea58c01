// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"context"
	"maps"
	"slices"

	"github.com/evenkeel/evenkeel/providers"
)

// ListMachines implements providers.Provider: the machines are those of the configuration, whatever env is called. None was asked whether it runs.
func (p *provider) ListMachines(ctx context.Context, env string) ([]providers.Machine, error) {
	all := slices.Clone(p.machines)
	for i := range all {
		all[i].Env = env
		all[i].Labels = maps.Clone(all[i].Labels)
		all[i].Labels[providers.LabelEnv] = env
	}
	return all, ctx.Err()
}

// ListEnvs implements providers.Provider: nothing here is of an environment.
func (p *provider) ListEnvs(ctx context.Context) ([]providers.EnvInfo, error) { return nil, ctx.Err() }
