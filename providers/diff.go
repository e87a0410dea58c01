// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"fmt"
	"slices"

	"github.com/evenkeel/evenkeel/envs"
)

// Diff says what Up would do, from the place's records alone (no machine is contacted), and changes nothing. Where Up would refuse an expired environment it does too. Machines are sorted as in the plan,
// extra ones follow by name.
func (c *Core) Diff(ctx context.Context) ([]Change, error) {
	have, err := c.found(ctx)
	if err != nil {
		return nil, err
	}
	if c.Plugin.Traits.ReadOnly {
		return c.hostDiff(ctx, have)
	}
	if err := c.usable("bring up", have); err != nil {
		return nil, err
	}
	var changes []Change
	for _, m := range c.Plan.Machines {
		changes = append(changes, c.compare(m, have))
	}
	return append(changes, c.extra(have)...), nil
}

// compare judges one planned machine by the place's records.
func (c *Core) compare(m envs.Machine, have held) Change {
	ch := Change{Machine: m.Name, Action: Same}
	there, ok := have.now[m.Name]
	_, second := have.spare[m.Name]
	switch {
	case !ok:
		ch.Action = Create
	case there.State == Unknown: // before anything is read from it: what its place does not say is not different either
		ch.Action, ch.Reasons = Await, []string{"its place does not say whether it runs; another run may be making it"}
	case there.State == Partial:
		ch.Action, ch.Reasons = Remake, []string{"left half-made by a run that did not end well"}
	case there.Labels[LabelSpec] != c.spec(m).Digest():
		ch.Action, ch.Reasons = Replace, c.differences(m, there)
	case there.State == Stopped || there.State == Suspended:
		ch.Action, ch.Reasons = Start, []string{"it is " + string(there.State)}
	case !c.portsMatch(m, there.Ports):
		ch.Action, ch.Reasons = Settle, []string{"published ports differ"}
	case second:
		ch.Action, ch.Reasons = Settle, []string{twice}
	}
	return ch
}

const twice = "two machines had its role, since a replacement did not end: one of them goes"

// extra are machines of the environment that the plan does not have.
func (c *Core) extra(have held) []Change {
	var changes []Change
	for _, name := range sortedKeys(have.now) {
		if _, ok := c.planned(name); !ok {
			changes = append(changes, Change{Machine: name, Action: Extra, Reasons: []string{fmt.Sprintf("not in the definition; left alone (%s); `evenkeel down %s` removes it", have.now[name].State, name)}})
		}
	}
	return changes
}

// portsMatch: every port of m is published where it is wanted, and no other is. Only local places publish.
func (c *Core) portsMatch(m envs.Machine, have []Port) bool {
	want := publish(m)
	if !c.Plugin.Traits.Local {
		return true
	}
	if len(want) != len(have) {
		return false
	}
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h Port) bool {
			return h.Port == w.Port && h.Proto == w.Proto && (w.HostPort == 0 || h.HostPort == w.HostPort)
		}) {
			return false
		}
	}
	return true
}
