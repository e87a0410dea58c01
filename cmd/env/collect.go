// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/parity/facts"
	"github.com/evenkeel/evenkeel/providers"
)

// collectOptions say what is read of machines.
type collectOptions struct {
	groups   []collectors.Group // nil: all
	parallel int                // machines at once; 0: facts' default
	deadline time.Duration      // of one machine; 0: facts' default
	cache    facts.Cache        // nil: every body travels
}

// collect reads machines of an opened place (placeOptions.identity) and gives each one's snapshot to take: one call at a time, in the order in which they come. A machine
// that cannot be reached, or does not exist yet, has a snapshot that says so. machines are those of Core.Status. It returns take's error, which ends it, or ctx's.
func (c *call) collect(ctx context.Context, p *place, machines []providers.Status, o collectOptions, take func(*parity.Snapshot) error) error {
	return errors.New("cannot read machines: not written yet")
}
