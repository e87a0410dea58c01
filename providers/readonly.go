// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// Where machines are only read (Traits.ReadOnly) a plan says how many machines of a kind there should be, and the place which they are: their names are
// not of our making, so a machine is planned where the plan has its name or its kind.

// kindIn is the kind of a machine that was there before us: what its place says, else the plan's for its name.
func (c *Core) kindIn(m Machine) (kind string, planned bool) {
	if p, ok := c.planned(m.Name); ok && (m.Host.Kind == "" || m.Host.Kind == p.Kind) {
		return p.Kind, true
	}
	for _, p := range c.Plan.Machines {
		if p.Kind == m.Host.Kind {
			return p.Kind, true
		}
	}
	return m.Host.Kind, false
}

// pickExisting resolves names and kinds against what is there; none means all. Unknown ones are Invalid.
func (c *Core) pickExisting(ctx context.Context, names []string) (picked []envs.Machine, have held, err error) {
	if have, err = c.found(ctx); err != nil {
		return nil, held{}, err
	}
	known := map[string]bool{}
	for _, name := range sortedKeys(have.now) {
		kind, _ := c.kindIn(have.now[name])
		if len(names) == 0 || slices.Contains(names, name) || slices.Contains(names, kind) {
			picked = append(picked, envs.Machine{Name: name, Kind: kind})
		}
		known[name], known[kind] = true, true
	}
	for _, n := range names {
		if !known[n] {
			return nil, held{}, &Error{
				Code: Invalid, Op: "find", Subject: "machine " + n, Err: fmt.Errorf("provider %s lists no machine or kind of that name for environment %s", c.Plugin.Name, c.Plan.Env),
				Hint: "evenkeel status --tier " + c.Plan.Tier,
			}
		}
	}
	return picked, have, nil
}

// hostStatus lists the machines that are there, then for each kind those that are missing to the plan's number: under names of the plan that none there has.
func (c *Core) hostStatus(ctx context.Context, have held, check bool) ([]Status, error) {
	var list []Status
	count := map[string]int{}
	for _, name := range sortedKeys(have.now) {
		s := Status{Machine: have.now[name]}
		s.Kind, s.Planned = c.kindIn(s.Machine)
		s.Reason = s.Host.Trouble
		s.Unreachable = s.Reason != ""
		count[s.Kind]++
		list = append(list, s)
	}
	there := len(list)
	for i := len(c.Plan.Machines) - 1; i >= 0; i-- { // what is too much goes from the front: the last numbers are missing
		m := c.Plan.Machines[i]
		if _, ok := have.now[m.Name]; ok {
			continue
		}
		if total := c.countOf(m.Kind); count[m.Kind] < total {
			count[m.Kind]++
			list = append(list, Status{Machine: Machine{Env: c.Plan.Env, Name: m.Name}, Kind: m.Kind, Planned: true})
		}
	}
	slices.SortFunc(list[there:], func(a, b Status) int { return envs.CompareNames(a.Name, b.Name) })
	if !check {
		return list, nil
	}
	var group errgroup.Group
	group.SetLimit(hostsAtOnce)
	for i := range there {
		group.Go(func() error { return c.checkHost(ctx, &list[i]) })
	}
	return list, group.Wait()
}

// hostsAtOnce bounds the connections of one check: an inventory may have ten thousand machines, and one jump host before them all.
const hostsAtOnce = 32

// checkHost asks one machine: it is ready where it answers as one that is trusted, and lets us in.
func (c *Core) checkHost(ctx context.Context, s *Status) error {
	client, err := c.Dial(ctx, s.Machine, "")
	if err == nil {
		err = client.Close()
	}
	ok := err == nil
	if !errors.Is(err, ssh.ErrUnreachable) && s.Host.Trouble == "" {
		s.Ready = &ok
	}
	if err != nil {
		s.Reason, s.Unreachable = err.Error(), true
	}
	return ctx.Err()
}

func (c *Core) countOf(kind string) (n int) {
	for _, m := range c.Plan.Machines {
		if m.Kind == kind {
			n++
		}
	}
	return n
}

// hostDiff is Diff where machines are only read: nothing would be done, and what is missing is said.
func (c *Core) hostDiff(ctx context.Context, have held) ([]Change, error) {
	list, err := c.hostStatus(ctx, have, false)
	if err != nil {
		return nil, err
	}
	var changes []Change
	for _, s := range list {
		ch := Change{Machine: s.Name, Action: Same}
		switch {
		case s.State == "":
			ch.Action = Missing
			ch.Reasons = []string{fmt.Sprintf("provider %s lists %d of %d machines %s, and makes none", c.Plugin.Name, c.countOf(s.Kind)-missing(list, s.Kind), c.countOf(s.Kind), s.Kind)}
		case !s.Planned:
			ch.Action, ch.Reasons = Extra, []string{"of no kind that the definition has"}
		}
		changes = append(changes, ch)
	}
	return changes, nil
}

func missing(list []Status, kind string) (n int) {
	for _, s := range list {
		if s.Kind == kind && s.State == "" {
			n++
		}
	}
	return n
}
