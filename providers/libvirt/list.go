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
	saved  bool // its memory is kept: it is suspended
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
	found := domain{state: state}
	if state == lv.DOMAIN_SHUTOFF {
		found.saved, err = d.HasManagedSaveImage(0)
		if is(err, lv.ERR_NO_DOMAIN) {
			return domain{}, false, nil
		}
		if err != nil {
			return domain{}, false, err
		}
	}
	var ok bool
	found.uuid, found.record, ok, err = parseDescription(text)
	return found, ok, err
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
	for _, name := range r.Data {
		m.Data = append(m.Data, providers.Attached{Name: name, Device: dataDevice(name)})
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
		if d.saved {
			return providers.Suspended
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
