// SPDX-License-Identifier: Apache-2.0

package providers

import "time"

// At makes c take the time of certificates from now.
func (c *Core) At(now func() time.Time) { c.clock = now }
