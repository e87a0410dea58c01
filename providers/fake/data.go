// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/providers"
)

// A data disk is a folder that its machine mounts. It exists, with all that belongs to it, from the moment it has its name; what has one of these
// prefixes is half-made or half-removed, and nobody takes it for a disk or a snapshot. Whoever changes a disk holds its machine's lock.
const (
	half = ".half-"
	gone = ".gone-"
)

// dataDisk is what is written down of one; its key is its folder's name.
type dataDisk struct {
	ref     providers.DataRef
	Size    int64     `json:"size"` // nothing enforces it: a folder is as large as its file system
	Project string    `json:"project"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // of the machine that it was made with; zero: never
}

func (w world) data(env string) string { return filepath.Join(w.env(env), "data") }
func (w world) disk(d providers.DataRef) string {
	return filepath.Join(w.data(d.Env), d.Machine+"@"+d.Name)
}
func (w world) content(d providers.DataRef) string { return filepath.Join(w.disk(d), "content") }

// readDisk returns fs.ErrNotExist where there is no such disk.
func (w world) readDisk(d providers.DataRef) (dataDisk, error) {
	disk := dataDisk{ref: d}
	err := readJSON(filepath.Join(w.disk(d), "disk.json"), &disk)
	return disk, err
}

// disks lists an environment's data disks by machine and name.
func (w world) disks(env string) ([]dataDisk, error) {
	entries, err := os.ReadDir(w.data(env))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []dataDisk
	for _, e := range entries {
		machine, name, ok := strings.Cut(e.Name(), "@")
		if !ok || strings.HasPrefix(machine, ".") {
			continue
		}
		disk, err := w.readDisk(providers.DataRef{Env: env, Machine: machine, Name: name})
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err != nil {
			return nil, err
		}
		list = append(list, disk)
	}
	slices.SortFunc(list, func(a, b dataDisk) int {
		return cmp.Or(strings.Compare(a.ref.Machine, b.ref.Machine), strings.Compare(a.ref.Name, b.ref.Name))
	})
	return list, nil
}

func refOf(spec providers.Spec, d providers.Data) providers.DataRef {
	return providers.DataRef{Env: spec.Env, Machine: spec.Name, Name: d.Name}
}

// unfit is the first data disk of spec that is there and cannot be what spec wants, and why not.
func (w world) unfit(spec providers.Spec) (name string, err error) {
	for _, d := range spec.Data {
		have, err := w.readDisk(refOf(spec, d))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return d.Name, err
		}
		if is := spec.Labels[providers.LabelProject]; have.Project != is {
			return d.Name, &providers.Error{Code: providers.Conflict, Err: fmt.Errorf("data disk %s belongs to project %q, this is %q", d.Name, have.Project, is),
				Hint: "give this project another name, or use --as"}
		}
		if d.Size < have.Size {
			return d.Name, &providers.Error{Code: providers.Denied, Err: fmt.Errorf("data disk %s has %d bytes and is not made smaller, %d", d.Name, have.Size, d.Size),
				Hint: "a data disk only grows; a smaller one is another one: give it another name"}
		}
	}
	return "", nil
}

// putDisks makes the machine's data disks that are absent, and grows those that are smaller. It returns those it made, after a failure too.
func (w world) putDisks(spec providers.Spec) (made []providers.DataRef, err error) {
	for _, d := range spec.Data {
		ref := refOf(spec, d)
		have, err := w.readDisk(ref)
		if err == nil {
			err = sweep(w.disk(ref), "") // a restore that was killed
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := w.makeDisk(ref, dataDisk{
				Size: d.Size, Project: spec.Labels[providers.LabelProject], Created: time.Now().UTC(), Expires: spec.Labels.Time(providers.LabelExpires),
			}); err != nil {
				return made, err
			}
			made = append(made, ref)
		case err != nil:
			return made, err
		case have.Size < d.Size:
			have.Size = d.Size
			if err := writeJSON(filepath.Join(w.disk(ref), "disk.json"), have); err != nil {
				return made, err
			}
		}
	}
	return made, nil
}

func (w world) makeDisk(ref providers.DataRef, disk dataDisk) error {
	return makeWhole(w.disk(ref), func(temp string) error {
		if err := os.Mkdir(filepath.Join(temp, "content"), 0o755); err != nil {
			return err
		}
		return writeJSON(filepath.Join(temp, "disk.json"), disk)
	})
}

// makeWhole makes folder, which must not exist, in one step: fill is given one beside it. What an earlier run left half-made goes.
func makeWhole(folder string, fill func(temp string) error) error {
	if err := sweep(filepath.Dir(folder), filepath.Base(folder)); err != nil {
		return err
	}
	temp := halfMade(folder)
	if err := os.MkdirAll(temp, 0o700); err != nil {
		return err
	}
	if err := fill(temp); err != nil {
		return undone(err, os.RemoveAll(temp))
	}
	if err := os.Rename(temp, folder); err != nil {
		return undone(err, os.RemoveAll(temp))
	}
	return nil
}

// halfMade is a new name beside path, for what is to take its place. No two are the same: a program that a killed run started may go on writing to the
// last one for a while.
func halfMade(path string) string {
	return filepath.Join(filepath.Dir(path), half+filepath.Base(path)+"."+nonce())
}

// removeWhole removes folder such that a kill on the way leaves nothing that passes for it. Absent is success.
func removeWhole(folder string) error {
	temp := filepath.Join(filepath.Dir(folder), gone+filepath.Base(folder))
	if err := os.RemoveAll(temp); err != nil {
		return err
	}
	if err := os.Rename(folder, temp); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return os.RemoveAll(temp)
}

// sweep removes what killed runs left in folder: half-made or half-removed, of names that begin with prefix.
func sweep(folder, prefix string) error {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, half+prefix) || strings.HasPrefix(name, gone+prefix) {
			if err := os.RemoveAll(filepath.Join(folder, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeData removes every data disk of an environment, with its snapshots.
func (p *provider) removeData(ctx context.Context, env string) error {
	list, err := p.world.disks(env)
	if err != nil {
		return err
	}
	for _, d := range list {
		unlock, err := p.world.lock(ctx, "machine "+env+"/"+d.ref.Machine)
		if err != nil {
			return err
		}
		p.log.Info("removing", "data", d.ref)
		err = removeWhole(p.world.disk(d.ref))
		unlock()
		if err != nil {
			return err
		}
	}
	return nil
}
