// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/internal/progress"
	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/providers"
)

// overdue are the machines of an environment that are older than they may be.
type overdue struct {
	names   []string
	reasons map[string]string // by name
	unknown []string          // of whom that cannot be told, with why
}

// overdue judges the machines asked for by their limits: by the place's own record where it has one, else by what the machine says.
func (c *call) overdue(ctx context.Context, p *place, now time.Time) (*overdue, error) {
	list, err := p.Status(ctx, false)
	if err != nil {
		return nil, err
	}
	o := &overdue{reasons: map[string]string{}}
	judge := func(s *parity.Snapshot) {
		limit := p.Definition.RebuildAfter(p.Plan.Tier, s.Subject.Kind)
		switch old, span, source, unknown := parity.Overdue(s, limit, now); {
		case unknown != "":
			o.unknown = append(o.unknown, s.Subject.Name+": "+unknown)
		case old:
			o.names = append(o.names, s.Subject.Name)
			o.reasons[s.Subject.Name] = fmt.Sprintf("%s old by %s, allowed are %s", daysOf(span), source, daysOf(limit))
		}
	}
	var ask []providers.Status
	for _, m := range list {
		if !m.Planned || m.State == "" || len(c.args) > 0 && !slices.Contains(c.args, m.Name) && !slices.Contains(c.args, m.Kind) || p.Definition.RebuildAfter(p.Plan.Tier, m.Kind) == 0 {
			continue
		}
		if m.Created.IsZero() {
			ask = append(ask, m)
			continue
		}
		judge(&parity.Snapshot{Taken: now, Subject: parity.Subject{Tier: p.Plan.Tier, Name: m.Name, Kind: m.Kind, Created: m.Created}})
	}
	if len(ask) == 0 {
		return o, nil
	}
	groups := slices.DeleteFunc(collectors.All(), func(g collectors.Group) bool { return g.Name != "birth" && g.Name != "boot" })
	return o, c.collect(ctx, p, ask, collectOptions{groups: groups}, func(s *parity.Snapshot) error {
		judge(s)
		return nil
	})
}

// daysOf is a span in days, or hours where it is short.
func daysOf(d time.Duration) string {
	if d < 48*time.Hour {
		return fmt.Sprintf("%.0f hours", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

// limited reports whether any machine of the plan has a limit of age.
func (p *place) limited() bool {
	for _, m := range p.Plan.Machines {
		if p.Definition.RebuildAfter(p.Plan.Tier, m.Kind) > 0 {
			return true
		}
	}
	return false
}

// mayGo parts those that may be rebuilt from those that are kept back, with why.
func (o *overdue) mayGo(ctx context.Context, p *place, roll providers.RollOptions) (may []string, kept map[string]error) {
	kept = map[string]error{}
	for _, name := range o.names {
		if err := p.MayReplace(ctx, []string{name}, roll); err != nil {
			kept[name] = err
		} else {
			may = append(may, name)
		}
	}
	return may, kept
}

// rebuildStale rebuilds the machines that are older than they may be, by the rules of rebuild. Those that these rules keep back are named, and the others go.
func (c *call) rebuildStale(ctx context.Context) error {
	if c.flag.Bool("dry-run") {
		return c.rebuildStaleDry(ctx)
	}
	if done, err := c.nothingStale(ctx); done || err != nil {
		return err
	}
	kept, unknown := map[string]error{}, []string(nil)
	err := c.work(ctx, placeOptions{locked: c.flag.Bool("locked"), images: true, replaces: true, removes: replacing}, func(ctx context.Context, p *place) (*providers.Result, error) {
		o, err := c.overdue(ctx, p, time.Now())
		if err != nil {
			return nil, err
		}
		var may []string
		may, kept = o.mayGo(ctx, p, c.roll())
		unknown = o.unknown
		if len(may) == 0 && len(o.names) > 0 {
			var errs []error
			for _, name := range o.names {
				errs = append(errs, kept[name])
			}
			kept = nil
			return nil, errors.Join(errs...)
		}
		for _, name := range may {
			p.Progress.Emit(progress.Event{Detail: name + ": " + o.reasons[name]})
		}
		if len(may) == 0 { // somebody else rebuilt them meanwhile
			return &providers.Result{Env: p.Plan.Env}, nil
		}
		return p.Rebuild(ctx, may, c.roll())
	})
	if err != nil {
		return err
	}
	for _, name := range sorted(kept) {
		fmt.Fprintf(c.Stderr, "evenkeel: %s is kept, and stays older than it may be: %s\n", name, reasonOf(kept[name]))
	}
	return c.endStale(len(kept) > 0, unknown)
}

// endStale is the exit status: machines that stay too old weigh more than those of which it is not known.
func (c *call) endStale(left bool, unknown []string) error {
	for _, text := range unknown {
		fmt.Fprintf(c.Stderr, "evenkeel: it is not known how old %s\n", oneLine(text))
	}
	switch {
	case left:
		return exitStatus(exitDiffers)
	case len(unknown) > 0:
		return exitStatus(exitIncomplete)
	}
	return nil
}

// nothingStale looks before anything is locked, written or built, and says so where there is nothing to do.
func (c *call) nothingStale(ctx context.Context) (done bool, err error) {
	p, o, err := c.lookStale(ctx)
	if err != nil {
		return false, err
	}
	defer p.close()
	if len(o.names) > 0 {
		return false, nil
	}
	if err := c.printStale(p, o, nil); err != nil {
		return true, err
	}
	return true, c.endStale(false, o.unknown)
}

func (c *call) lookStale(ctx context.Context) (*place, *overdue, error) {
	d, tell := c.show()
	defer d.stop()
	p, err := c.open(ctx, placeOptions{identity: true, progress: tell})
	if err != nil {
		return nil, nil, err
	}
	if err = p.Knows(c.args); err == nil && p.Plugin.Traits.ReadOnly {
		err = providers.ReadOnlyError(p.Plugin.Name, "rebuild", "environment "+p.Plan.Env)
	}
	var o *overdue
	if err == nil {
		o, err = c.overdue(ctx, p, time.Now())
	}
	if err == nil && !p.limited() {
		e := usagef("no machine of tier %s has a limit of age, so none is stale", p.Plan.Tier)
		e.hint = "say parity: {rebuild_after: 30d} in env.yaml"
		err = e
	}
	if err != nil {
		p.close()
		return nil, nil, err
	}
	return p, o, nil
}

// rebuildStaleDry says what would be rebuilt, and why.
func (c *call) rebuildStaleDry(ctx context.Context) error {
	p, o, err := c.lookStale(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	if p.Plan.Protected && c.flag.String("yes") == p.Plan.Env {
		p.Confirmed = p.Plan.Env
	}
	_, kept := o.mayGo(ctx, p, c.roll())
	if err := c.printStale(p, o, kept); err != nil {
		return err
	}
	return c.endStale(len(o.names) > 0, o.unknown)
}

func (c *call) printStale(p *place, o *overdue, kept map[string]error) error {
	if c.json() {
		res := &providers.Result{Env: p.Plan.Env, Pending: len(o.names) > 0}
		for _, name := range o.names {
			reasons := []string{o.reasons[name]}
			if err := kept[name]; err != nil {
				reasons = append(reasons, "kept: "+reasonOf(err))
			}
			res.Changes = append(res.Changes, providers.Change{Machine: name, Action: providers.Replace, Reasons: reasons})
		}
		return c.printJSON(uppedOf(res, 0))
	}
	if len(o.names) == 0 {
		return c.printf("%s: no machine is older than it may be\n", p.Plan.Env)
	}
	var lines []string
	for _, name := range o.names {
		text := fmt.Sprintf("%s would be rebuilt: %s", name, o.reasons[name])
		if err := kept[name]; err != nil {
			text = fmt.Sprintf("%s would be kept, although it is %s: %s", name, o.reasons[name], reasonOf(err))
		}
		lines = append(lines, oneLine(text))
	}
	return c.printf("%s\n", strings.Join(lines, "\n"))
}
