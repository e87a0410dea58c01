// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/providers"
)

func (a *App) snapshotVerb() verb {
	machine := &cli.StringFlag{Name: "machine", Usage: "the data disks of `MACHINE` only"}
	return verb{name: "snapshot", args: "save|list|restore|delete", about: "keep points in time of data disks, and go back to them", sub: []verb{
		{
			name: "save", args: "[NAME]", about: "keep the data disks as they are now, on running machines too",
			more: "What the machines hold in memory is written first; it is one point in time of each disk, as after a loss of power, which file systems and databases recover from. " +
				"Without NAME it is called by its time, 20261121t150405z. Afterwards `snapshots: {keep: ...}` of the definition decides which of those that are called by their time go; " +
				"one that you gave a name stays until you delete it.",
			flags: []cli.Flag{machine}, run: runSnapshotSave,
		},
		{name: "list", about: "list what is kept", flags: []cli.Flag{machine}, run: runSnapshotList},
		{
			name: "restore", args: "NAME", about: "bring data disks back to a snapshot",
			more:  "What was written since is lost: save a snapshot first if it may be wanted. Machines that run with these disks are stopped and started again. A protected environment asks for its ID.",
			flags: []cli.Flag{machine, yesFlag(), withinFlag()}, run: runSnapshotRestore,
		},
		{name: "delete", args: "NAME", about: "remove a snapshot", flags: []cli.Flag{machine, yesFlag()}, run: runSnapshotDelete},
	}}
}

// snapshotsLine is what `snapshot list` and `snapshot delete` print with --json.
type snapshotsLine struct {
	Env       string               `json:"env"`
	Snapshots []providers.Snapshot `json:"snapshots"`
}

func runSnapshotSave(ctx context.Context, c *call) error {
	if err := c.maxArgs(1); err != nil {
		return err
	}
	name := ""
	if len(c.args) == 1 {
		name = c.args[0]
	}
	var saved *providers.Saved
	p, err := c.snapshots(ctx, placeOptions{change: true, identity: true}, func(ctx context.Context, p *place) (err error) {
		saved, err = p.SaveSnapshot(ctx, name, c.flag.String("machine"), time.Now())
		return err
	})
	if err != nil {
		return err
	}
	if c.json() {
		return c.printJSON(struct {
			Env string `json:"env"`
			*providers.Saved
		}{p.Plan.Env, saved})
	}
	for _, m := range saved.Unflushed {
		if err := c.printf("%s: %s could not be told to write what it holds in memory; its last writes may be missing\n", p.Plan.Env, m); err != nil {
			return err
		}
	}
	if err := c.printSnapshots(saved.Snapshots); err != nil {
		return err
	}
	if n := len(saved.Pruned); n > 0 {
		return c.printf("%s: %s went, by snapshots.keep\n", p.Plan.Env, counted(n, "older snapshot"))
	}
	return nil
}

func runSnapshotList(ctx context.Context, c *call) error {
	if err := c.noArgs(); err != nil {
		return err
	}
	var list []providers.Snapshot
	p, err := c.snapshots(ctx, placeOptions{}, func(ctx context.Context, p *place) (err error) {
		list, err = p.Snapshots(ctx, c.flag.String("machine"))
		return err
	})
	switch {
	case err != nil:
		return err
	case c.json():
		return c.printJSON(snapshotsLine{p.Plan.Env, append([]providers.Snapshot{}, list...)})
	case len(list) == 0:
		return c.printf("%s: no snapshots\n", p.Plan.Env)
	}
	return c.printSnapshots(list)
}

func runSnapshotRestore(ctx context.Context, c *call) error {
	if err := c.oneName(); err != nil {
		return err
	}
	name := c.args[0]
	c.args = nil // they are no machines
	return c.work(ctx, placeOptions{removes: "restore data"}, func(ctx context.Context, p *place) (*providers.Result, error) {
		return p.RestoreSnapshot(ctx, name, c.flag.String("machine"))
	})
}

func runSnapshotDelete(ctx context.Context, c *call) error {
	if err := c.oneName(); err != nil {
		return err
	}
	var gone []providers.Snapshot
	p, err := c.snapshots(ctx, placeOptions{change: true, removes: "delete snapshots"}, func(ctx context.Context, p *place) (err error) {
		gone, err = p.DeleteSnapshot(ctx, c.args[0], c.flag.String("machine"))
		return err
	})
	switch {
	case err != nil:
		return err
	case c.json():
		return c.printJSON(snapshotsLine{p.Plan.Env, gone})
	}
	return c.printf("%s: deleted snapshot %s of %s\n", p.Plan.Env, c.args[0], counted(len(gone), "data disk"))
}

// snapshots runs f on the environment, for the verbs that start no machine.
func (c *call) snapshots(ctx context.Context, o placeOptions, f func(context.Context, *place) error) (*place, error) {
	d, tell := c.show()
	defer d.stop()
	defer c.tellInterrupt(ctx, d, "ending")()
	o.progress = tell
	p, err := c.open(ctx, o)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := c.confirm(ctx, p, o.removes); err != nil {
		return nil, err
	}
	return p, f(ctx, p)
}

func (c *call) oneName() error {
	if len(c.args) != 1 || c.cut {
		e := usagef("%s takes the name of one snapshot", c.flag.Command.HelpName)
		e.hint = "evenkeel snapshot list"
		return e
	}
	return nil
}

func (c *call) printSnapshots(list []providers.Snapshot) error {
	t := newTable("SNAPSHOT", "MACHINE", "DISK", "TAKEN", "AGE", "ON DISK")
	for _, s := range list {
		t.add(s.Name, s.Disk.Machine, s.Disk.Name, s.Taken.UTC().Format(time.RFC3339), age(s.Taken), size(s.Size))
	}
	return t.print(c.Stdout)
}
