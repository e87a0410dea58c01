// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"context"
	"slices"
	"strings"
)

// carry does what was decided, and keeps what is alike afterwards.
func (w *work) carry(ctx context.Context) (*Result, error) {
	res := &Result{
		Machine: w.pair.Machine, From: w.pair.From, To: w.pair.To, Conflicts: append([]Conflict{}, w.todo.conflicts...), Foreign: len(w.todo.foreign),
		Skipped: w.skipped(),
	}
	if err := w.toHost(ctx, res); err != nil {
		return nil, err
	}
	if err := w.toMachine(ctx, res); err != nil {
		return nil, err
	}
	for _, p := range w.todo.alike {
		r := w.base.Records[p]
		if sum, known := w.sides.hostSums[p]; known {
			r.Sum = sum
		}
		if here := w.here[p].Time; r.Host != here {
			r.Host = settled(here, w.clock)
		}
		if there := w.there.tree[p].Time; r.Machine != there {
			r.Machine = settled(there, w.clockThere())
		}
		w.note(p, r, w.here[p])
	}
	for _, p := range w.todo.gone {
		w.forget(p)
	}
	for p := range w.ignored { // both sides keep theirs
		w.forget(p)
	}
	res.Files = len(w.base.Records)
	slices.SortFunc(res.Conflicts, func(a, b Conflict) int { return strings.Compare(a.Path, b.Path) })
	if !w.dirty && !w.first {
		return res, nil
	}
	return res, w.base.save(w.pair.State)
}

// note keeps that both sides hold e at p.
func (w *work) note(p string, r record, e entry) {
	r.Kind, r.Exec, r.Size, r.Link = e.Kind, e.Exec, e.Size, e.Link
	if w.base.Records[p] != r {
		w.base.Records[p], w.dirty = r, true
	}
}

func (w *work) forget(p string) {
	if _, was := w.base.Records[p]; was {
		delete(w.base.Records, p)
		w.dirty = true
	}
}

// clockThere is the machine's clock before its scan.
func (w *work) clockThere() int64 {
	ns, _ := nanoseconds(w.there.started) // checked when it came
	return ns
}

// skipped is what cannot be synced, for people.
func (w *work) skipped() map[string]string {
	all := map[string]string{}
	for p, why := range w.skipHere {
		all[p] = "on this computer: " + why
	}
	for p, why := range w.there.skip {
		if !w.ignored[strings.TrimSuffix(p, "/")] {
			all[p] = "on the machine: " + why
		}
	}
	return all
}

// toHost carries what the machine changed.
func (w *work) toHost(ctx context.Context, res *Result) error {
	paths := w.todo.pull
	for _, p := range w.todo.dropHere { // before the rest: a file may make room for a folder
		if err := w.host.remove(p, w.here[p]); err != nil {
			w.failed(res, p, "cannot delete it on this computer: "+err.Error())
			continue
		}
		res.Removed++
		w.forget(p)
	}
	done, left, err := pull(ctx, w.host, w.machine, w.here, w.there.tree, paths, w.measure("from the machine", len(paths)))
	if err != nil {
		return err
	}
	for p, got := range done {
		res.Pulled++
		res.Bytes += got.entry.Size
		w.note(p, record{Sum: got.sum, Host: got.entry.Time, Machine: settled(w.there.tree[p].Time, w.clockThere())}, got.entry)
	}
	for p, why := range left {
		w.failed(res, p, why)
	}
	return nil
}

// toMachine carries what the host changed. The first time it also marks the machine's folder with the baseline's id.
func (w *work) toMachine(ctx context.Context, res *Result) error {
	id := ""
	if w.first {
		id = w.base.ID
	}
	if len(w.todo.push)+len(w.todo.dropThere) == 0 && id == "" {
		return nil
	}
	p := &push{host: w.host, machine: w.machine, have: w.there, keep: w.here, drop: w.todo.dropThere, tell: w.measure("to the machine", len(w.todo.push))}
	if err := p.send(ctx, w.here, w.todo.push); err != nil {
		return err
	}
	left, err := p.commit(ctx, id)
	if err != nil {
		return err
	}
	for name, s := range p.sent {
		if why, ok := reason(left, name); ok {
			w.failed(res, name, why)
			continue
		}
		res.Pushed++
		res.Bytes += s.entry.Size
		w.note(name, record{Sum: s.sum, Host: settled(s.entry.Time, w.clock), Machine: s.entry.Time}, s.entry)
	}
	for name, why := range p.failed {
		w.failed(res, name, "cannot read it on this computer: "+why)
	}
	for _, name := range w.todo.dropThere {
		if why, ok := left[name]; ok {
			w.failed(res, name, why)
			continue
		}
		res.Removed++
		w.forget(name)
	}
	return nil
}

// reason finds why name, or a folder above it, was left.
func reason(left map[string]string, name string) (why string, ok bool) {
	if why, ok = left[name]; ok {
		return why, true
	}
	parents(name, func(dir string) bool {
		why, ok = left[dir+"/"]
		return !ok
	})
	return why, ok
}

// failed tells of a path that could not be carried. The next sync tries again.
func (w *work) failed(res *Result, p, why string) {
	c := Conflict{Path: p, Why: why, Again: true}
	if e, ok := w.here[p]; ok && e.Kind == file {
		c.Host = timeOf(e.Time)
	}
	if e, ok := w.there.tree[p]; ok && e.Kind == file {
		c.Machine = timeOf(e.Time)
	}
	res.Conflicts = append(res.Conflicts, c)
}
