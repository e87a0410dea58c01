// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
)

func (a *App) refreshVerb() verb {
	return verb{
		name: "refresh", args: "[NAME...]", about: "move to today's packages: new locks, new images, machines replaced as `rebuild` does",
		more: "Without a NAME it is about all kinds. The packages that change are shown first; where none does, no lock is touched. Machines whose image is the newest already are left alone. " +
			"Where replacing fails the new locks stay: `refresh` again goes on, and your version control takes them back.",
		flags: append(rollFlags(), boolFlag("dry-run", "show what would change, and change nothing; exit status 2 where something would", "n"), withinFlag()),
		run:   runRefresh,
	}
}

// refreshed is what `refresh` prints with --json.
type refreshed struct {
	upped
	Locks []relocked `json:"locks"`
}

// relocked is what became of one recipe's lock.
type relocked struct {
	Recipe   string                 `json:"recipe"`
	Lock     string                 `json:"lock"`
	Packages []images.PackageChange `json:"packages"`

	recipe *images.Recipe
	lock   *images.Lock
}

func runRefresh(ctx context.Context, c *call) error {
	if c.cut {
		return usagef("refresh takes machine names, got -- besides")
	}
	if c.flag.Bool("dry-run") {
		return c.refreshDry(ctx)
	}
	var locks []relocked
	print := func(p *place, res *providers.Result, span time.Duration) error {
		if c.json() {
			return c.printJSON(refreshed{uppedOf(res, span), locks})
		}
		if !res.Changed() {
			return c.printf("%s: nothing to replace; every machine has the newest image\n", p.Plan.Env)
		}
		return c.printUp(p, res, span)
	}
	return c.workOn(ctx, placeOptions{images: true, replaces: true, removes: replacing}, func(ctx context.Context, p *place, d display) (*providers.Result, error) {
		var err error
		if locks, err = c.relock(ctx, p); err != nil {
			return nil, err
		}
		if err := p.MayReplace(ctx, c.affected(p, locks), c.roll()); err != nil {
			return nil, err
		}
		moved, err := c.saveLocks(ctx, p, locks, d)
		if err != nil {
			return nil, err
		}
		res, err := p.Refresh(ctx, c.args, c.roll())
		if err != nil && moved {
			d.note("the new locks stay; `evenkeel refresh` goes on from here")
		}
		return res, err
	}, print)
}

// relock resolves the recipes of the machines asked for anew; it writes nothing.
func (c *call) relock(ctx context.Context, p *place) ([]relocked, error) {
	store, err := c.store(ctx)
	if err != nil {
		return nil, err
	}
	locks := []relocked{}
	for _, m := range p.Plan.Machines {
		if !c.asks(m) || slices.ContainsFunc(locks, func(l relocked) bool { return l.Recipe == m.Image }) {
			continue
		}
		r := p.Plan.Recipes[m.Image]
		lock, err := store.NewLock(ctx, r, p.Progress)
		if err != nil {
			return nil, err
		}
		locks = append(locks, relocked{m.Image, r.LockFile(), r.Lock.Changes(lock), r, lock})
	}
	return locks, nil
}

// asks reports whether the command names m, or nothing and so all.
func (c *call) asks(m envs.Machine) bool {
	return len(c.args) == 0 || slices.Contains(c.args, m.Name) || slices.Contains(c.args, m.Kind)
}

// affected are the machines asked for whose packages change.
func (c *call) affected(p *place, locks []relocked) []string {
	var names []string
	for _, m := range p.Plan.Machines {
		i := slices.IndexFunc(locks, func(l relocked) bool { return l.Recipe == m.Image })
		if c.asks(m) && i >= 0 && len(locks[i].Packages) > 0 {
			names = append(names, m.Name)
		}
	}
	return names
}

// saveLocks writes those locks that change a package, says which packages, and plans anew.
func (c *call) saveLocks(ctx context.Context, p *place, locks []relocked, d display) (moved bool, err error) {
	store, err := c.store(ctx)
	if err != nil {
		return false, err
	}
	for _, l := range locks {
		if len(l.Packages) == 0 {
			continue
		}
		for _, text := range packageLines(l) {
			d.note(text)
		}
		if _, err := store.SaveLock(l.recipe, l.lock); err != nil {
			return moved, err
		}
		moved = true
		d.note(fmt.Sprintf("wrote %s; commit it", c.shown(l.Lock)))
	}
	if !moved {
		return false, nil
	}
	if p.Definition, err = c.definition(); err != nil {
		return true, err
	}
	p.Plan, err = c.planOf(p.Definition, false)
	return true, err
}

// packageLines are a lock's changes for people.
func packageLines(l relocked) []string {
	var lines []string
	for _, ch := range l.Packages {
		switch {
		case ch.From == "":
			lines = append(lines, fmt.Sprintf("%s: %s %s is new", l.Recipe, ch.Name, ch.To))
		case ch.To == "":
			lines = append(lines, fmt.Sprintf("%s: %s %s goes", l.Recipe, ch.Name, ch.From))
		case ch.From == ch.To:
			lines = append(lines, fmt.Sprintf("%s: %s %s, with other content", l.Recipe, ch.Name, ch.To))
		default:
			lines = append(lines, fmt.Sprintf("%s: %s %s to %s", l.Recipe, ch.Name, ch.From, ch.To))
		}
	}
	return lines
}

// refreshDry shows what refresh would do.
func (c *call) refreshDry(ctx context.Context) error {
	d, tell := c.show()
	defer d.stop()
	p, err := c.open(ctx, placeOptions{progress: tell})
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.Knows(c.args); err != nil {
		return err
	}
	locks, err := c.relock(ctx, p)
	if err != nil {
		return err
	}
	d.stop()
	res := &providers.Result{Env: p.Plan.Env}
	have, err := p.Status(ctx, false)
	if err != nil {
		return err
	}
	for _, m := range p.Plan.Machines {
		i := slices.IndexFunc(locks, func(l relocked) bool { return l.Recipe == m.Image })
		at := slices.IndexFunc(have, func(s providers.Status) bool { return s.Name == m.Name })
		if i < 0 || at < 0 || have[at].State == "" || !c.asks(m) {
			continue
		}
		n := len(locks[i].Packages)
		if n == 0 && have[at].Labels[providers.LabelImageKey] == m.ImageKey {
			continue
		}
		reason := "its image is not the newest"
		if n > 0 {
			reason = counted(n, "package") + " of " + m.Image + " change"
		}
		res.Changes = append(res.Changes, providers.Change{Machine: m.Name, Action: providers.Replace, Reasons: []string{reason}})
		res.Pending = true
	}
	if err := c.printDry(p, locks, res); err != nil {
		return err
	}
	if res.Pending || slices.ContainsFunc(locks, func(l relocked) bool { return len(l.Packages) > 0 }) {
		return exitStatus(exitDiffers)
	}
	return nil
}

func (c *call) printDry(p *place, locks []relocked, res *providers.Result) error {
	if c.json() {
		return c.printJSON(refreshed{uppedOf(res, 0), locks})
	}
	var lines []string
	for _, l := range locks {
		lines = append(lines, packageLines(l)...)
	}
	for _, ch := range res.Changes {
		lines = append(lines, fmt.Sprintf("%s would be replaced: %s", ch.Machine, listed(ch.Reasons)))
	}
	if len(lines) == 0 {
		lines = []string{p.Plan.Env + ": nothing is new"}
	}
	for _, text := range lines {
		if err := c.printf("%s\n", oneLine(text)); err != nil {
			return err
		}
	}
	return nil
}
