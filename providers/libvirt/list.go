// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	lv "libvirt.org/go/libvirt"

	"github.com/evenkeel/evenkeel/providers"
)

// domain is a machine as libvirt has it.
type domain struct {
	uuid   string
	record record
	state  lv.DomainState
}

// domains lists machines of ours by name: of one environment, or of all where env is "". It costs two calls for each.
func (p *provider) domains(ctx context.Context, env string) ([]domain, error) {
	all, err := p.conn.ListAllDomains(0)
	if err != nil {
		return nil, err
	}
	defer func() {
		for i := range all {
			_ = all[i].Free() // only a reference count
		}
	}()
	var list []domain
	for i := range all {
		name, err := all[i].GetName()
		if err != nil {
			return nil, err
		}
		e, machine, ours := parseName(name)
		if !ours || machine == "" || env != "" && e != env {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d, ok, err := read(&all[i])
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b domain) int {
		return cmp.Or(cmp.Compare(a.record.Env, b.record.Env), cmp.Compare(a.record.Name, b.record.Name))
	})
	return list, nil
}

// read is false where the domain is gone, or is not ours whatever its name.
func read(d *lv.Domain) (domain, bool, error) {
	text, err := d.GetXMLDesc(0)
	if is(err, lv.ERR_NO_DOMAIN) {
		return domain{}, false, nil
	}
	if err != nil {
		return domain{}, false, err
	}
	state, _, err := d.GetState()
	if is(err, lv.ERR_NO_DOMAIN) {
		return domain{}, false, nil
	}
	if err != nil {
		return domain{}, false, err
	}
	uuid, r, ok, err := parseDescription(text)
	return domain{uuid, r, state}, ok, err
}

// find is the machine of that name, or nil.
func (p *provider) find(env, name string) (*domain, error) {
	d, err := p.conn.LookupDomainByName(domainName(env, name))
	if is(err, lv.ERR_NO_DOMAIN) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Free() }() // only a reference count
	found, ok, err := read(d)
	if err != nil {
		return nil, err
	}
	if !ok {
		if gone, err := p.gone(domainName(env, name)); err != nil || gone {
			return nil, err
		}
		return nil, fail(providers.Conflict, "there is a domain %s that is not ours: it has no record", domainName(env, name))
	}
	return &found, nil
}

func (p *provider) gone(name string) (bool, error) {
	d, err := p.conn.LookupDomainByName(name)
	if is(err, lv.ERR_NO_DOMAIN) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, d.Free()
}

// byID is the machine with that ID, or NotFound.
func (p *provider) byID(id string) (*lv.Domain, domain, error) {
	d, err := p.conn.LookupDomainByUUIDString(id)
	if is(err, lv.ERR_INVALID_ARG) {
		return nil, domain{}, fail(providers.NotFound, "it is no ID of this provider's")
	}
	if err != nil {
		return nil, domain{}, err
	}
	found, ok, err := read(d)
	if err == nil && !ok {
		err = fail(providers.NotFound, "there is no machine of ours with this ID")
	}
	if err != nil {
		_ = d.Free() // only a reference count
		return nil, domain{}, err
	}
	return d, found, nil
}

// wrapMachine is wrap for a machine that the caller knows by ID, which tells a person nothing.
func (p *provider) wrapMachine(op, id string, err error) error {
	if err == nil {
		return nil
	}
	subject := "machine " + id
	if dom, d, e := p.byID(id); e == nil {
		_ = dom.Free() // only a reference count
		subject = "machine " + d.record.Name
	}
	return wrap(op, subject, err)
}

func (d domain) machine() providers.Machine {
	r := d.record
	m := providers.Machine{ID: d.uuid, Env: r.Env, Name: r.Name, State: d.providerState(), Labels: r.labels()}
	m.Created, _ = time.Parse(time.RFC3339, r.Made) // ours; zero where somebody changed it
	m.Address, _, _ = strings.Cut(r.Address, "/")
	for _, p := range r.Ports {
		if p.Guest == sshPort && p.Proto == "tcp" && m.State == providers.Running {
			m.SSH = net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Host))
		}
		if p.Published {
			m.Ports = append(m.Ports, providers.Port{Port: p.Guest, Proto: p.Proto, HostPort: p.Host})
		}
	}
	return m
}

func (d domain) providerState() providers.State {
	if d.record.partial() {
		return providers.Partial
	}
	switch d.state {
	case lv.DOMAIN_RUNNING, lv.DOMAIN_BLOCKED, lv.DOMAIN_SHUTDOWN:
		return providers.Running
	case lv.DOMAIN_PAUSED, lv.DOMAIN_PMSUSPENDED:
		if d.record.Phase == making {
			return providers.Unknown // QEMU stands still for a moment while it starts
		}
		return providers.Suspended
	case lv.DOMAIN_SHUTOFF, lv.DOMAIN_CRASHED:
		if d.record.Phase == making {
			return providers.Unknown // somebody is at it now
		}
		return providers.Stopped
	}
	return providers.Unknown
}

func (p *provider) ListMachines(ctx context.Context, env string) ([]providers.Machine, error) {
	list, err := p.domains(ctx, env)
	if err != nil {
		return nil, wrap("list", "machines of "+env, err)
	}
	machines := make([]providers.Machine, len(list))
	for i, d := range list {
		machines[i] = d.machine()
	}
	return machines, nil
}

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
		if x := m.Labels.Time(providers.LabelExpires); !x.IsZero() && (e.Expires.IsZero() || x.After(e.Expires)) {
			e.Expires = x
		}
	}
	wires, err := p.wires()
	if err != nil {
		return nil, err
	}
	for _, w := range wires {
		e := at(w.Env)
		e.Project, e.Owner = cmp.Or(e.Project, w.Project), cmp.Or(e.Owner, w.Owner)
		t, _ := time.Parse(time.RFC3339, w.Made) // ours; zero where somebody changed it
		oldest(e, t)
	}
	if err := p.volumeEnvs(ctx, at); err != nil {
		return nil, err
	}
	infos := make([]providers.EnvInfo, 0, len(envs))
	for _, e := range envs {
		e.Partial = e.Partial || e.Machines == 0
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
	var texts []string
	if p.config.session() {
		all, err := p.conn.ListAllDomains(0)
		if err != nil {
			return nil, err
		}
		for i := range all {
			d := &all[i]
			name, err := d.GetName()
			if _, machine, ours := parseName(name); err == nil && ours && machine == "" {
				var text string
				if text, err = d.GetXMLDesc(lv.DOMAIN_XML_INACTIVE); err == nil {
					texts = append(texts, text)
				}
			}
			_ = d.Free() // only a reference count
			if err != nil && !is(err, lv.ERR_NO_DOMAIN) {
				return nil, err
			}
		}
	} else {
		all, err := p.conn.ListAllNetworks(0)
		if err != nil {
			return nil, err
		}
		for i := range all {
			n := &all[i]
			name, err := n.GetName()
			if _, machine, ours := parseName(name); err == nil && ours && machine == "" {
				var text string
				if text, err = n.GetXMLDesc(0); err == nil {
					texts = append(texts, text)
				}
			}
			_ = n.Free() // only a reference count
			if err != nil && !is(err, lv.ERR_NO_NETWORK) {
				return nil, err
			}
		}
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

// volumeEnvs adds the environments of volumes that stayed behind.
func (p *provider) volumeEnvs(ctx context.Context, at func(string) *providers.EnvInfo) error {
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
		if !ours || machine == "" {
			continue
		}
		e := at(env)
		if !e.Created.IsZero() {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		d, there, err := pool.describe(n)
		if err != nil {
			return err
		}
		if there && d.Target != nil && d.Target.Timestamps != nil {
			oldest(e, parseTimestamp(d.Target.Timestamps.Mtime))
		}
	}
	return nil
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
