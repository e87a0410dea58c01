// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/evenkeel/evenkeel/providers"
)

// DeleteMachine follows the contract. The record goes last, so that a delete that was killed can be repeated.
func (p *provider) DeleteMachine(ctx context.Context, id string) error {
	err := func() error {
		if err := p.begin(ctx, "delete_machine"); err != nil {
			return err
		}
		env, name, ok := parseID(id)
		if !ok {
			return nil
		}
		if _, err := os.Stat(p.world.env(env)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		unlock, err := p.world.lock(ctx, "machine "+env+"/"+name)
		if err != nil {
			return err
		}
		defer unlock()
		r, err := p.world.readRecord(env, name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && r.ID != id {
			return nil
		}
		if err != nil {
			return err
		}
		return p.remove(ctx, r)
	}()
	return wrap("delete", "machine "+id, err)
}

// DeleteEnv follows the contract.
func (p *provider) DeleteEnv(ctx context.Context, env string, keepData bool) error {
	err := func() error {
		if err := p.begin(ctx, "delete_env"); err != nil {
			return err
		}
		if !validEnv(env) {
			return nil
		}
		if _, err := os.Stat(p.world.env(env)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		list, err := p.world.records(env)
		if err != nil {
			return err
		}
		for _, r := range list {
			if err := p.removeLocked(ctx, r); err != nil {
				return err
			}
		}
		if !keepData {
			if err := p.removeData(ctx, env); err != nil {
				return err
			}
		}
		return p.dropEmpty(ctx, env)
	}()
	return wrap("delete", "environment "+env, err)
}

func (p *provider) removeLocked(ctx context.Context, r record) error {
	unlock, err := p.world.lock(ctx, "machine "+r.Env+"/"+r.Name)
	if err != nil {
		return err
	}
	defer unlock()
	r, err = p.world.readRecord(r.Env, r.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return p.remove(ctx, r)
}

// remove ends a machine and removes all of it but its data disks, and its environment with the last one. The machine must be locked.
func (p *provider) remove(ctx context.Context, r record) error {
	p.log.Info("removing", "machine", r.ID)
	r.Complete = false
	if err := p.world.replace(r); err != nil {
		return err
	}
	if err := vacateAndRemove(p.world.folder(r), p.world.folder(r)); err != nil {
		return err
	}
	if err := sweep(p.world.data(r.Env), r.Name+"@"); err != nil {
		return err
	}
	if err := os.Remove(p.world.record(r.Env, r.Name)); err != nil {
		return err
	}
	return p.dropEmpty(ctx, r.Env)
}

// undo removes what this call made, whatever became of its context: the machine, and the data disks that nobody ever had.
func (p *provider) undo(ctx context.Context, r record, made []providers.DataRef) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	if err := p.remove(ctx, r); err != nil {
		return err
	}
	for _, d := range made {
		if err := removeWhole(p.world.disk(d)); err != nil {
			return err
		}
	}
	return p.dropEmpty(ctx, r.Env)
}

// dropEmpty removes an environment's network once it has no machine, and all of it once it has no data disk either.
func (p *provider) dropEmpty(ctx context.Context, env string) error {
	unlock, err := p.world.lock(ctx, "env "+env)
	if err != nil {
		return err
	}
	defer unlock()
	list, err := p.world.records(env)
	if err != nil || len(list) > 0 {
		return err
	}
	kept, err := p.world.disks(env)
	if err != nil {
		return err
	}
	tree := p.world.env(env)
	if len(kept) > 0 {
		tree = p.world.network(env)
		if err := sweep(p.world.data(env), ""); err != nil {
			return err
		}
	}
	return vacateAndRemove(p.world.network(env), tree)
}

// vacateAndRemove ends the process that holds folder and removes tree, in which it is.
func vacateAndRemove(folder, tree string) error {
	release, err := vacate(folder)
	if err != nil {
		return err
	}
	defer release()
	return os.RemoveAll(tree)
}

func validEnv(env string) bool {
	return (providers.Spec{Env: env, Name: "a", CPUs: 1, Memory: 1 << 30}).Validate() == nil
}
