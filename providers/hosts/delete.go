// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"context"

	"github.com/evenkeel/evenkeel/providers"
)

// DeleteMachine implements providers.Provider: it refuses.
func (p *provider) DeleteMachine(_ context.Context, id string) error {
	return providers.ReadOnlyError(name, "delete", "machine "+id)
}

// DeleteEnv implements providers.Provider: it refuses.
func (p *provider) DeleteEnv(_ context.Context, env string, _ bool) error {
	return providers.ReadOnlyError(name, "delete", "environment "+env)
}
