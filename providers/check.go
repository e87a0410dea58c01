// SPDX-License-Identifier: Apache-2.0

package providers

import "context"

// Check reports, as one Invalid error, what the provider would refuse of the machines that Up would make. It changes nothing.
func (c *Core) Check(ctx context.Context) error {
	have, err := c.found(ctx)
	if err != nil {
		return err
	}
	if c.Plugin.Traits.ReadOnly {
		return nil // Up makes none
	}
	if err := c.usable("bring up", have); err != nil {
		return err
	}
	changes := map[string]Change{}
	for _, m := range c.Plan.Machines {
		changes[m.Name] = c.compare(m, have)
	}
	return c.check(ctx, c.Plan.Machines, changes)
}
