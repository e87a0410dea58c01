// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"time"

	"github.com/evenkeel/evenkeel/envs"
)

// At makes c take the time of certificates from now.
func (c *Core) At(now func() time.Time) { c.clock = now }

// Look reads what a machine said, says whether c would keep its certificate, and gives the record as it is laid.
func (c *Core) Look(said string, m envs.Machine, there Machine) (record string, kept bool) {
	l := parseLook(said, c.now(), c.now())
	files, reason := c.keeps(seat{m, there}, l)
	return l.record.String(), reason == "" && files != nil
}

// ExpiryUnits are the units laid on a machine that expires then, by their names in the payload.
func ExpiryUnits(at time.Time) map[string]string {
	units := map[string]string{}
	for _, f := range expiryUnits(at) {
		units[f.name] = string(f.content)
	}
	return units
}
