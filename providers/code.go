// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"

	"github.com/evenkeel/evenkeel/envs"
)

// deliver brings the project's code to a settled machine, before its health is asked for.
func (r *run) deliver(_ context.Context, _ envs.Machine, _ Machine) error { return nil }
