// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"context"

	"github.com/evenkeel/evenkeel/providers"
)

// Diagnose checks the place itself.
func (p *provider) Diagnose(ctx context.Context) ([]providers.Finding, error) { return nil, nil }
