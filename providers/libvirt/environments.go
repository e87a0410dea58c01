// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	lv "libvirt.org/go/libvirt"

	"github.com/evenkeel/evenkeel/providers"
)

func (p *provider) ListEnvs(ctx context.Context) ([]providers.EnvInfo, error) {
	list, err := p.listEnvs(ctx)
	return list, wrap("list", "environments", err)
}

func (p *provider) listEnvs(ctx context.Context) ([]providers.EnvInfo, error) {
	envs := map[string]*providers.EnvInfo{}
	at := func(env string) *providers.EnvInfo {
		if envs[env] == nil {
			envs[env] = &providers.EnvInfo{Env: env}
		}
		return envs[env]
	}
	expiries := map[string][]time.Time{}
	machines, err := p.domains(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, d := range machines {
		m := d.machine()
		e := at(m.Env)
		e.Machines++
		e.Partial = e.Partial || m.State == providers.Partial
		e.Project = cmp.Or(e.Project, m.Labels[providers.LabelProject])
		e.Owner = cmp.Or(e.Owner, m.Labels[providers.LabelOwner])
		oldest(e, m.Created)
		expiries[m.Env] = append(expiries[m.Env], m.Labels.Time(providers.LabelExpires))
	}
	wires, err := p.wires()
	if err != nil {
		return nil, err
	}
	for _, w := range wires {
		e := at(w.Env)
		e.Partial = e.Partial || e.Machines == 0
		e.Project, e.Owner = cmp.Or(e.Project, w.Project), cmp.Or(e.Owner, w.Owner)
		t, _ := time.Parse(time.RFC3339, w.Made) // ours; zero where somebody changed it
		oldest(e, t)
	}
	if err := p.volumeEnvs(ctx, at, expiries); err != nil {
		return nil, err
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

// wires lists the environments' own objects.
func (p *provider) wires() ([]networkRecord, error) {
	descriptions := p.networkDescriptions
	if p.config.session() {
		descriptions = p.switchDescriptions
	}
	texts, err := descriptions()
	if err != nil {
		return nil, err
	}
	var list []networkRecord
	for _, t := range texts {
		r, ok, err := parseNetworkRecord(t)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, r)
		}
	}
	return list, nil
}

func (p *provider) networkDescriptions() ([]string, error) {
	all, err := p.conn.ListAllNetworks(0)
	if err != nil {
		return nil, err
	}
	return describeOwn(all, lv.ERR_NO_NETWORK, func(n *lv.Network) (string, error) { return n.GetXMLDesc(0) })
}

func (p *provider) switchDescriptions() ([]string, error) {
	all, err := p.conn.ListAllDomains(0)
	if err != nil {
		return nil, err
	}
	return describeOwn(all, lv.ERR_NO_DOMAIN, func(d *lv.Domain) (string, error) { return d.GetXMLDesc(lv.DOMAIN_XML_INACTIVE) })
}

// describeOwn describes those of all that are an environment's own object, and frees all. One that is gone by now has no description.
func describeOwn[T any, P interface {
	*T
	GetName() (string, error)
	Free() error
}](all []T, gone lv.ErrorNumber, describe func(P) (string, error)) (texts []string, err error) {
	for i := range all {
		defer func() { _ = P(&all[i]).Free() }() // only a reference count
	}
	for i := range all {
		name, err := P(&all[i]).GetName()
		if err != nil {
			return nil, err
		}
		if _, machine, ours := parseName(name); !ours || machine != "" {
			continue
		}
		text, err := describe(&all[i])
		if is(err, gone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// volumeEnvs adds data disks, and the environments of volumes that stayed behind.
func (p *provider) volumeEnvs(ctx context.Context, at func(string) *providers.EnvInfo, expiries map[string][]time.Time) error {
	pool, err := p.existingPool()
	if err != nil || pool == nil {
		return err
	}
	names, err := pool.names()
	if err != nil {
		return err
	}
	for _, n := range names {
		env, machine, ours := parseName(n)
		d, data := dataOf(n)
		switch {
		case data:
			env = d.Env
		case !ours || machine == "":
			continue
		}
		e := at(env)
		e.Partial = e.Partial || !data && e.Machines == 0 // a dead run left it, or a run that is still at it
		if !e.Created.IsZero() {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		v, there, err := pool.describe(n)
		if err != nil {
			return err
		}
		if there && v.Target != nil && v.Target.Timestamps != nil {
			oldest(e, parseTimestamp(v.Target.Timestamps.Mtime))
		}
	}
	return pool.dataEnvs(ctx, names, at, expiries)
}

func (p *pool) dataEnvs(ctx context.Context, names []string, at func(string) *providers.EnvInfo, expiries map[string][]time.Time) error {
	disks := dataDisks(names)
	for _, ref := range slices.SortedFunc(maps.Keys(disks), compareRefs) {
		d := disks[ref]
		if d.current.number == 0 { // killed between making it and marking it: it was never a disk
			e := at(ref.Env)
			e.Partial = e.Partial || e.Machines == 0
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		size, err := p.capacity(d.current.volume())
		if is(err, lv.ERR_NO_STORAGE_VOL) {
			continue
		}
		if err != nil {
			return err
		}
		e := at(ref.Env)
		e.Project = cmp.Or(e.Project, d.project)
		expiries[ref.Env] = append(expiries[ref.Env], d.expires)
		e.Data = append(e.Data, providers.DataDisk{DataRef: ref, Size: size})
	}
	return nil
}

func compareRefs(a, b providers.DataRef) int {
	return cmp.Or(cmp.Compare(a.Env, b.Env), cmp.Compare(a.Machine, b.Machine), cmp.Compare(a.Name, b.Name))
}

// parseTimestamp reads libvirt's seconds.nanoseconds; zero where it is something else.
func parseTimestamp(s string) time.Time {
	seconds, _, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(n, 0)
}
