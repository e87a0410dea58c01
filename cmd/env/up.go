// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/session"
)

func (a *App) upVerb() verb {
	return verb{
		name: "up", args: "[NAME...]", about: "make the environment exist, run and be as defined",
		more: "Without a NAME it is about all machines. It destroys nothing: where a machine would have to be replaced it says so and ends with exit status 2; " +
			"--replace does it. A missing image lock is written, a missing image is built.",
		flags: slices.Concat(
			[]cli.Flag{boolFlag("replace", "replace machines that differ from the definition: on local tiers all at once, elsewhere as rebuild does it")},
			rollFlags(), []cli.Flag{lockedFlag(), withinFlag()},
		),
		run: runUp,
	}
}

func withinFlag() cli.Flag {
	return &cli.StringFlag{Name: "within", Usage: "give a machine `TIME` to its first answer (else $EVENKEEL_BOOT_DEADLINE, else " + providers.DefaultDeadline.String() + ")"}
}

// upped is what the verbs that bring machines to ready print with --json. docs/json.md describes it.
type upped struct {
	Env      string             `json:"env"`
	Changed  bool               `json:"changed"`
	Pending  bool               `json:"pending"`
	Seconds  float64            `json:"seconds"`
	Changes  []providers.Change `json:"changes"`
	Machines []machineLine      `json:"machines"`

	Code []providers.CodeResult `json:"code,omitempty"`
}

// machineLine is a machine as every verb prints it.
type machineLine struct {
	Name    string           `json:"name"`
	State   providers.State  `json:"state"` // "" for one that does not exist
	Address string           `json:"address,omitempty"`
	SSH     string           `json:"ssh,omitempty"`
	Ports   []providers.Port `json:"ports"`
	URLs    []string         `json:"urls"`
	Created time.Time        `json:"created,omitzero"`
}

func lineOf(m providers.Machine) machineLine {
	return machineLine{
		Name: m.Name, State: m.State, Address: m.Address, SSH: m.SSH,
		Ports: append([]providers.Port{}, m.Ports...), URLs: urls(m), Created: m.Created,
	}
}

func runUp(ctx context.Context, c *call) error {
	if c.cut {
		return usagef("up takes machine names, got -- besides")
	}
	if err := c.onlyWith("replace", "max", "allow-downtime", "destroy-data"); err != nil {
		return err
	}
	o := providers.UpOptions{Only: c.args, Replace: c.flag.Bool("replace"), Roll: c.roll()}
	opt := placeOptions{locked: c.flag.Bool("locked"), images: true, undoes: true, replaces: o.Replace}
	if o.Replace {
		opt.removes = replacing
	}
	return c.work(ctx, opt, func(ctx context.Context, p *place) (*providers.Result, error) { return p.Up(ctx, o) })
}

// work is what the verbs have in common that bring machines to ready: locks, images, progress, result.
func (c *call) work(ctx context.Context, o placeOptions, f func(context.Context, *place) (*providers.Result, error)) error {
	return c.workOn(ctx, o, func(ctx context.Context, p *place, _ display) (*providers.Result, error) { return f(ctx, p) }, c.printUp)
}

// workOn is work for verbs that have something to say meanwhile, or print the result in their own way.
func (c *call) workOn(ctx context.Context, o placeOptions, f func(context.Context, *place, display) (*providers.Result, error),
	print func(*place, *providers.Result, time.Duration) error,
) error {
	began := time.Now()
	within, err := c.deadline()
	if err != nil {
		return err
	}
	d, tell := c.show()
	defer d.stop()
	doing := "ending"
	if o.undoes {
		doing = "undoing what this run created"
	}
	defer c.tellInterrupt(ctx, d, doing)()
	o.change, o.identity, o.secrets, o.progress = true, true, session.EverySecret, tell
	p, err := c.open(ctx, o)
	if err != nil {
		return err
	}
	defer p.close()
	p.Deadline, p.AllowDirty = within, c.flag.Bool("allow-dirty")
	if err := p.Knows(c.args); err != nil {
		return err
	}
	if err := c.confirm(ctx, p, o.removes); err != nil {
		return err
	}
	if o.images {
		if err := c.withImages(ctx, p, o.locked, d); err != nil {
			return err
		}
	}
	res, err := f(ctx, p, d)
	d.stop()
	c.refreshSSH(ctx, p)
	if err != nil {
		if isCancel(err) && len(notCancels(err)) == 0 {
			d.note(ended(o))
		}
		return err
	}
	if err := print(p, res, time.Since(began)); err != nil {
		return err
	}
	c.printConflicts(res.Code)
	if res.Pending || conflicts(res.Code) > 0 {
		return exitStatus(exitDiffers)
	}
	return nil
}

// ended says what an interrupted run has left behind.
func ended(o placeOptions) string {
	switch {
	case o.undoes && o.replaces:
		return "undone: what this run created is gone; a machine that it had removed already comes back, new, with `evenkeel up`"
	case o.undoes:
		return "undone: what this run created is gone, what was there before is as it was"
	case o.replaces:
		return "ended: a machine that this run had removed already comes back, new, with `evenkeel up`; data disks are kept"
	}
	return "ended; `evenkeel up` settles what is left to do"
}

// tellInterrupt says, as soon as ctx is cancelled, that this was heard and what is being done about it.
func (c *call) tellInterrupt(ctx context.Context, d display, doing string) func() bool {
	return context.AfterFunc(ctx, func() {
		text := context.Cause(ctx).Error() + ": " + doing + "; once more stops at once"
		if c.quiet() {
			fmt.Fprintln(c.Stderr, "evenkeel: "+text)
			return
		}
		d.note(text)
	})
}

func uppedOf(res *providers.Result, span time.Duration) upped {
	u := upped{
		Env: res.Env, Changed: res.Changed(), Pending: res.Pending, Seconds: span.Seconds(),
		Changes: append([]providers.Change{}, res.Changes...), Machines: []machineLine{}, Code: res.Code,
	}
	for _, m := range res.Machines {
		u.Machines = append(u.Machines, lineOf(m))
	}
	return u
}

func (c *call) printUp(p *place, res *providers.Result, span time.Duration) error {
	if c.json() {
		return c.printJSON(uppedOf(res, span))
	}
	if !res.Changed() && !res.Pending {
		return c.printf("%s: nothing to do; %s ready\n", res.Env, machinesOf(len(res.Changes)-extras(res)))
	}
	if err := c.printMachines(res.Machines); err != nil {
		return err
	}
	for _, ch := range res.Changes {
		var err error
		switch {
		case ch.Action == providers.Replace && res.Pending:
			err = c.printf("%s would have to be replaced (%s): evenkeel up --replace\n", ch.Machine, listed(ch.Reasons))
		case ch.Action == providers.Extra:
			err = c.printf("%s: %s\n", ch.Machine, listed(ch.Reasons))
		}
		if err != nil {
			return err
		}
	}
	if res.Pending {
		return nil
	}
	if err := c.printf("%s: %s ready after %s\n", res.Env, machinesOf(len(res.Changes)-extras(res)), took(span)); err != nil || c.quiet() || len(res.Machines) == 0 {
		return err
	}
	of := c.chosen()
	return c.printf("try: evenkeel ssh %s%s, evenkeel status%s, evenkeel down%s\n", p.Plan.Machines[0].Name, of, of, of)
}

// chosen are the options by which this call came to its environment, as the next one needs them.
func (c *call) chosen() string {
	var words strings.Builder
	if file := c.flag.String("file"); file != "" {
		words.WriteString(" -f " + quote(file))
	}
	for _, name := range []string{"tier", "as"} {
		if value := c.flag.String(name); value != "" {
			words.WriteString(" --" + name + " " + value) // labels, or there is no plan
		}
	}
	return words.String()
}

func extras(res *providers.Result) int {
	n := 0
	for _, ch := range res.Changes {
		if ch.Action == providers.Extra {
			n++
		}
	}
	return n
}

func (c *call) printMachines(machines []providers.Machine) error {
	t := newTable("MACHINE", "STATE", "ADDRESS", "PUBLISHED")
	for _, m := range machines {
		t.add(m.Name, string(m.State), m.Address, published(m))
	}
	return t.print(c.Stdout)
}
