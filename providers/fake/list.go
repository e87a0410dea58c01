// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/evenkeel/evenkeel/providers"
)

// ListMachines follows the contract.
func (p *provider) ListMachines(ctx context.Context, env string) ([]providers.Machine, error) {
	list, err := func() ([]providers.Machine, error) {
		if err := p.begin(ctx, "list_machines"); err != nil {
			return nil, err
		}
		if !validEnv(env) {
			return nil, nil
		}
		records, err := p.world.records(env)
		if err != nil {
			return nil, err
		}
		var list []providers.Machine
		for _, r := range records {
			m, err := p.describe(r)
			if err != nil {
				return nil, err
			}
			list = append(list, m)
		}
		return list, nil
	}()
	return list, wrap("list", "machines of "+env, err)
}

// ListEnvs follows the contract.
func (p *provider) ListEnvs(ctx context.Context) ([]providers.EnvInfo, error) {
	list, err := func() ([]providers.EnvInfo, error) {
		if err := p.begin(ctx, "list_envs"); err != nil {
			return nil, err
		}
		entries, err := os.ReadDir(filepath.Dir(p.world.env("x")))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		var list []providers.EnvInfo
		for _, e := range entries {
			info, err := p.info(e.Name())
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed since
			}
			if err != nil {
				return nil, err
			}
			list = append(list, info)
		}
		return list, nil
	}()
	return list, wrap("list", "environments", err)
}

// info sums up an environment. One without a machine and without data was left by a delete that was killed.
func (p *provider) info(env string) (providers.EnvInfo, error) {
	records, err := p.world.records(env)
	if err != nil {
		return providers.EnvInfo{}, err
	}
	disks, err := p.world.disks(env)
	if err != nil {
		return providers.EnvInfo{}, err
	}
	info := providers.EnvInfo{Env: env, Machines: len(records), Partial: len(records) == 0 && len(disks) == 0}
	if info.Partial {
		stat, err := os.Stat(p.world.env(env))
		if err != nil {
			return info, err
		}
		info.Created = stat.ModTime().UTC()
	}
	var expiries []time.Time
	for _, r := range records {
		if !r.Complete {
			info.Partial = true
		}
		if info.Created.IsZero() || r.Created.Before(info.Created) {
			info.Created, info.Project, info.Owner = r.Created, r.Labels[providers.LabelProject], r.Labels[providers.LabelOwner]
		}
		expiries = append(expiries, r.Labels.Time(providers.LabelExpires))
	}
	for _, d := range disks {
		info.Data = append(info.Data, providers.DataDisk{DataRef: d.ref, Size: d.Size})
		expiries = append(expiries, d.Expires)
		if info.Project == "" {
			info.Project = d.Project
		}
		if info.Created.IsZero() || d.Created.Before(info.Created) {
			info.Created = d.Created
		}
	}
	info.Expires = providers.Expiry(expiries)
	return info, nil
}

// Console returns the last max bytes at most of what the machine's processes printed.
func (p *provider) Console(ctx context.Context, id string, max int64) ([]byte, error) {
	b, err := func() ([]byte, error) {
		if err := p.begin(ctx, "console"); err != nil {
			return nil, err
		}
		env, name, ok := parseID(id)
		if !ok {
			return nil, fail(providers.NotFound, "no machine has this ID")
		}
		r, err := p.world.readRecord(env, name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && r.ID != id {
			return nil, fail(providers.NotFound, "no machine has this ID")
		}
		if err != nil {
			return nil, err
		}
		return tail(consoleFile(p.world.folder(r)), max)
	}()
	return b, wrap("read console of", "machine "+id, err)
}

func tail(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(max(0, end-max(0, most)), io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, max(0, most)))
}
