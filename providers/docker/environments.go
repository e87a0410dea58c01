// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/providers"
)

func (p *provider) ListEnvs(ctx context.Context) ([]providers.EnvInfo, error) {
	list, err := p.listEnvs(ctx)
	return list, wrap("list", "environments", err)
}

func (p *provider) listEnvs(ctx context.Context) ([]providers.EnvInfo, error) {
	envs := map[string]*providers.EnvInfo{}
	at := func(labels map[string]string) *providers.EnvInfo {
		env := labels[labelEnv]
		if envs[env] == nil {
			envs[env] = &providers.EnvInfo{Env: env}
		}
		oldest(envs[env], madeAt(labels))
		return envs[env]
	}
	expiries := map[string][]time.Time{}
	there, err := p.look(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, b := range there.machines {
		m := p.machine(b, there)
		e := at(b.Labels)
		e.Machines++
		e.Partial = e.Partial || m.State == providers.Partial
		e.Project = cmp.Or(e.Project, m.Labels[providers.LabelProject])
		e.Owner = cmp.Or(e.Owner, m.Labels[providers.LabelOwner])
		expiries[e.Env] = append(expiries[e.Env], m.Labels.Time(providers.LabelExpires))
	}
	networks, err := p.networks(ctx, "")
	if err != nil {
		return nil, err
	}
	// What stands without a machine a dead run left, or a run that is still at it.
	own := func(labels map[string]string) {
		e := at(labels)
		e.Partial = e.Partial || e.Machines == 0
		e.Project, e.Owner = cmp.Or(e.Project, labels[labelProject]), cmp.Or(e.Owner, labels[labelOwner])
	}
	for _, n := range networks {
		own(n.Labels)
	}
	for _, b := range there.forwards {
		own(b.Labels)
	}
	disks, err := p.disks(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, d := range disks {
		if d.size == 0 {
			own(d.labels)
			continue
		}
		e := at(d.labels)
		e.Project, e.Owner = cmp.Or(e.Project, d.labels[labelProject]), cmp.Or(e.Owner, d.labels[labelOwner])
		e.Data = append(e.Data, providers.DataDisk{DataRef: d.ref, Size: d.size})
		expiries[e.Env] = append(expiries[e.Env], coreLabels(d.labels).Time(providers.LabelExpires))
	}
	infos := make([]providers.EnvInfo, 0, len(envs))
	for _, e := range envs {
		e.Expires = providers.Expiry(expiries[e.Env])
		infos = append(infos, *e)
	}
	slices.SortFunc(infos, func(a, b providers.EnvInfo) int { return cmp.Compare(a.Env, b.Env) })
	return infos, nil
}

func oldest(e *providers.EnvInfo, t time.Time) {
	if !t.IsZero() && (e.Created.IsZero() || t.Before(e.Created)) {
		e.Created = t
	}
}
