// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// Saved is what SaveSnapshot came to.
type Saved struct {
	Name      string     `json:"name"`
	Snapshots []Snapshot `json:"snapshots"` // one for each disk
	Pruned    []Snapshot `json:"pruned"`    // that the definition's keep let go
	// Unflushed are running machines that could not be told to write what they hold in memory: theirs is as after a loss of power a moment ago.
	Unflushed []string `json:"unflushed"`
}

// snapshotTime is how a snapshot is called that nobody gave a name: its time. Only those are pruned.
const snapshotTime = "20060102t150405z"

var snapshotName = lazyregexp.New(`^[a-z0-9-]+$`)

// maxSnapshotName is the contract's.
const maxSnapshotName = 32

// SaveSnapshot keeps all data disks of the environment, or of one machine, as they are at now, under one name; "": the time. What running machines hold
// in memory is written to the disks first. Where one disk fails none is kept. Then it prunes by the plan's Keep: of each disk, those whose name is a
// time. A name that is taken is Conflict before anything is done.
func (c *Core) SaveSnapshot(ctx context.Context, name, machine string, now time.Time) (*Saved, error) {
	now = now.UTC().Truncate(time.Second)
	if name == "" {
		name = now.Format(snapshotTime)
	}
	if len(name) > maxSnapshotName || !snapshotName.MatchString(name) {
		return nil, &Error{Code: Invalid, Op: "save", Subject: "snapshot " + name, Err: fmt.Errorf("a name is at most %d of a-z, 0-9 and -", maxSnapshotName)}
	}
	s, have, disks, err := c.disks(ctx, "save", machine)
	if err != nil {
		return nil, err
	}
	there, err := s.ListSnapshots(ctx, c.Plan.Env)
	if err != nil {
		return nil, err
	}
	for _, t := range there {
		if t.Name == name && slices.ContainsFunc(disks, func(d DataDisk) bool { return d.DataRef == t.Disk }) {
			return nil, &Error{Code: Conflict, Op: "save", Subject: "snapshot " + name, Err: fmt.Errorf("data disk %s of %s has one of that name, taken %s", t.Disk.Name, t.Disk.Machine, t.Taken.Format(time.RFC3339)), Hint: "choose another name, or evenkeel snapshot delete " + name}
		}
	}
	saved := &Saved{Name: name, Snapshots: make([]Snapshot, len(disks)), Pruned: []Snapshot{}, Unflushed: c.flush(ctx, have, disks)}
	err = each(indexes(disks), func(i int) (err error) {
		c.Progress.Emit(Event{Subject: disks[i].Machine, Stage: "save", Detail: disks[i].Name})
		saved.Snapshots[i], err = s.SaveSnapshot(ctx, disks[i].DataRef, name)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, c.unsave(ctx, s, saved.Snapshots))
	}
	if saved.Pruned, err = c.prune(ctx, s, disks); err != nil {
		return saved, fmt.Errorf("snapshot %s is kept, but not all were removed that snapshots.keep lets go: %w", name, err)
	}
	return saved, nil
}

// unsave removes what a save that failed has kept already.
func (c *Core) unsave(ctx context.Context, s Snapshotter, made []Snapshot) error {
	ctx, cancel := undo(ctx)
	defer cancel()
	return each(made, func(m Snapshot) error {
		if m.Name == "" {
			return nil // this one failed
		}
		return s.DeleteSnapshot(ctx, m.Disk, m.Name)
	})
}

// prune removes those snapshots of disks that the plan does not keep.
func (c *Core) prune(ctx context.Context, s Snapshotter, disks []DataDisk) ([]Snapshot, error) {
	pruned := []Snapshot{}
	if c.Plan.Keep == nil {
		return pruned, nil
	}
	all, err := s.ListSnapshots(ctx, c.Plan.Env)
	if err != nil {
		return pruned, err
	}
	for _, d := range disks {
		var list []Snapshot
		var times []time.Time
		for _, t := range all {
			if _, err := time.Parse(snapshotTime, t.Name); err == nil && t.Disk == d.DataRef {
				list, times = append(list, t), append(times, t.Taken)
			}
		}
		for i, kept := range Kept(times, *c.Plan.Keep) {
			if kept {
				continue
			}
			if err := s.DeleteSnapshot(ctx, list[i].Disk, list[i].Name); err != nil {
				return pruned, err
			}
			pruned = append(pruned, list[i])
		}
	}
	return pruned, nil
}

// flushTime bounds writing a machine's dirty pages: a disk of 100 MB/s takes 3 GB meanwhile.
const flushTime = 30 * time.Second

// flush has running machines write their data disks' file systems, and names those that did not within flushTime.
func (c *Core) flush(ctx context.Context, have held, disks []DataDisk) []string {
	mounts := map[string][]string{}
	for _, d := range disks {
		if m, ok := c.planned(d.Machine); ok {
			for _, pd := range m.Data {
				if pd.Name == d.Name {
					mounts[m.Name] = append(mounts[m.Name], ssh.Quote(pd.Mount))
				}
			}
		}
	}
	unflushed := []string{}
	var mu sync.Mutex
	_ = each(sortedKeys(mounts), func(role string) error {
		there := have.now[role]
		if there.State != Running && there.State != Unknown {
			return nil
		}
		c.Progress.Emit(Event{Subject: role, Stage: "flush"})
		ctx, cancel := context.WithTimeout(ctx, flushTime)
		defer cancel()
		err := func() error {
			client, err := c.Dial(ctx, there, "")
			if err != nil {
				return err
			}
			defer client.Close()
			return client.Run(ctx, ssh.Command{Line: "sudo -n sync -f " + strings.Join(mounts[role], " ")})
		}()
		if err != nil {
			c.log().Info("not flushed before the snapshot", "machine", role, "error", err)
			mu.Lock()
			defer mu.Unlock()
			unflushed = append(unflushed, role)
		}
		return nil
	})
	slices.Sort(unflushed)
	return unflushed
}

// Snapshots lists those of the environment's data disks, or of one machine's: by machine and disk, oldest first.
func (c *Core) Snapshots(ctx context.Context, machine string) ([]Snapshot, error) {
	s, err := c.snapshotter("list")
	if err != nil {
		return nil, err
	}
	if _, err := c.found(ctx); err != nil {
		return nil, err
	}
	list, err := s.ListSnapshots(ctx, c.Plan.Env)
	return slices.DeleteFunc(list, func(t Snapshot) bool { return machine != "" && t.Disk.Machine != machine }), err
}

// RestoreSnapshot brings the data disks that have a snapshot of that name back to it, all of the environment's or one machine's. Machines that run with
// one of them are stopped before and started again after, whatever happened in between; it ends as Start does. A suspended machine is
// refused: what it holds in memory belongs to the disk as it is now. After failure each disk is as it was before or as in the snapshot; the error says
// which. The snapshot stays. A protected environment needs Confirmed.
func (c *Core) RestoreSnapshot(ctx context.Context, name, machine string) (*Result, error) {
	s, have, disks, err := c.disks(ctx, "restore", machine)
	if err != nil {
		return nil, err
	}
	disks, err = c.having(ctx, s, disks, name)
	if err != nil {
		return nil, err
	}
	if err := c.confirmed("restore data of"); err != nil {
		return nil, err
	}
	stopped, err := c.holders(have, disks)
	if err != nil {
		return nil, err
	}
	starter, ok := As[Starter](c.Provider)
	if !ok && len(stopped) > 0 {
		return nil, &Error{Code: Unsupported, Op: "restore", Subject: "snapshot " + name, Err: fmt.Errorf("provider %s cannot stop machines, and %s runs", c.Plugin.Name, stopped[0].Name)}
	}
	r := c.newRun()
	defer r.close()
	err = each(stopped, func(m Machine) error {
		return c.stage(ctx, m.Name, "stop", func() error { return starter.StopMachine(ctx, m.ID) })
	})
	if err == nil {
		err = each(disks, func(d DataDisk) error {
			r.note(Change{d.Machine, Restore, []string{"data " + d.Name + " as in snapshot " + name}})
			return c.stage(ctx, d.Machine, "restore", func() error { return s.RestoreSnapshot(ctx, d.DataRef, name) })
		})
	}
	if err != nil { // the machines go on, with the disks as they are
		after, cancel := undo(ctx)
		defer cancel()
		return nil, errors.Join(err, each(stopped, func(m Machine) error { _, err := c.start(after, m); return err }))
	}
	machines, err := r.restart(ctx, stopped)
	if err != nil {
		return nil, err
	}
	return r.result(machines), nil
}

// restart starts machines that this run stopped, and ends with everybody settled and these healthy.
func (r *run) restart(ctx context.Context, stopped []Machine) ([]Machine, error) {
	var await []envs.Machine
	for _, there := range stopped {
		if m, ok := r.core.planned(there.Name); ok {
			await = append(await, m)
		}
	}
	err := each(stopped, func(m Machine) error {
		there, err := r.core.start(ctx, m)
		if err != nil {
			return err
		}
		client, err := r.core.bootAndContact(ctx, there, nil)
		if err != nil {
			return err
		}
		r.keep(there, client)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r.finish(ctx, await)
}

// having are those of disks that have a snapshot of that name; none is NotFound.
func (c *Core) having(ctx context.Context, s Snapshotter, disks []DataDisk, name string) ([]DataDisk, error) {
	all, err := s.ListSnapshots(ctx, c.Plan.Env)
	if err != nil {
		return nil, err
	}
	var found []DataDisk
	var names []string
	for _, d := range disks {
		for _, t := range all {
			if t.Disk == d.DataRef && t.Name == name {
				found = append(found, d)
			}
			if t.Disk == d.DataRef && !slices.Contains(names, t.Name) {
				names = append(names, t.Name)
			}
		}
	}
	if len(found) == 0 {
		err := errors.New("there is none")
		if len(names) > 0 {
			slices.Sort(names)
			err = fmt.Errorf("there is none of that name; there are %s", strings.Join(names[max(0, len(names)-10):], ", "))
		}
		return nil, &Error{Code: NotFound, Op: "find", Subject: "snapshot " + name, Err: err, Hint: "evenkeel snapshot list"}
	}
	return found, nil
}

// holders are the running machines that hold one of disks.
func (c *Core) holders(have held, disks []DataDisk) ([]Machine, error) {
	var list []Machine
	for _, d := range disks {
		there := have.now[d.Machine]
		switch there.State {
		case Running:
			if !slices.ContainsFunc(list, func(m Machine) bool { return m.ID == there.ID }) {
				list = append(list, there)
			}
		case Suspended:
			return nil, &Error{Code: Conflict, Op: "restore", Subject: "data disk " + d.Name, Err: fmt.Errorf("machine %s is suspended, and what it holds in memory belongs to the disk as it is", d.Machine), Hint: "evenkeel resume " + d.Machine + ", then restore"}
		case Unknown:
			_, err := c.target(there, "")
			return nil, err
		}
	}
	return list, nil
}

// DeleteSnapshot removes the snapshots of that name, of all data disks or of one machine's, and returns them. None of that name is NotFound.
func (c *Core) DeleteSnapshot(ctx context.Context, name, machine string) ([]Snapshot, error) {
	list, err := c.Snapshots(ctx, machine)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(t Snapshot) bool { return t.Name != name })
	if len(list) == 0 {
		return nil, &Error{Code: NotFound, Op: "delete", Subject: "snapshot " + name, Err: errors.New("there is none of that name"), Hint: "evenkeel snapshot list"}
	}
	if err := c.confirmed("delete snapshots of"); err != nil {
		return nil, err
	}
	s, err := c.snapshotter("delete")
	if err != nil {
		return nil, err
	}
	return list, each(list, func(t Snapshot) error { return s.DeleteSnapshot(ctx, t.Disk, t.Name) })
}

// disks are the environment's data disks, or one machine's, attached or not. None is NotFound.
func (c *Core) disks(ctx context.Context, op, machine string) (Snapshotter, held, []DataDisk, error) {
	s, err := c.snapshotter(op)
	if err != nil {
		return nil, held{}, nil, err
	}
	have, err := c.found(ctx)
	if err != nil {
		return nil, have, nil, err
	}
	if op == "restore" {
		if err := c.usable("restore data of", have); err != nil {
			return nil, have, nil, err
		}
	}
	left, err := c.left(ctx)
	if err != nil {
		return nil, have, nil, err
	}
	disks := slices.DeleteFunc(left.Data, func(d DataDisk) bool { return machine != "" && d.Machine != machine })
	if len(disks) == 0 {
		what := "environment " + c.Plan.Env
		if machine != "" {
			what = "machine " + machine
		}
		return nil, have, nil, &Error{Code: NotFound, Op: op, Subject: "data disks of " + what, Err: errors.New("there are none"), Hint: "data: in env.yaml declares them, `evenkeel up` makes them"}
	}
	return s, have, disks, nil
}

func (c *Core) snapshotter(op string) (Snapshotter, error) {
	s, ok := As[Snapshotter](c.Provider)
	if !ok {
		return nil, &Error{Code: Unsupported, Op: op, Subject: "snapshots of environment " + c.Plan.Env, Err: fmt.Errorf("provider %s keeps none", c.Plugin.Name)}
	}
	return s, nil
}
