// SPDX-License-Identifier: Apache-2.0

// Command env-provider-carried is the fake provider as a place whose machines have no address that can be dialled: it carries connections to them.
package main

import (
	"context"
	"encoding/json"
	"net"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/fake"
	"github.com/evenkeel/evenkeel/providers/plugin"
)

func main() {
	fake.Main()
	carried := fake.Plugin
	carried.Name = "carried"
	carried.Open = func(ctx context.Context, config json.RawMessage, log hclog.Logger) (providers.Provider, error) {
		p, err := fake.Plugin.Open(ctx, config, log)
		if err != nil {
			return nil, err
		}
		return &provider{p}, nil
	}
	plugin.Serve(carried)
}

type provider struct{ providers.Provider }

func (p *provider) Unwrap() providers.Provider { return p.Provider }

func (p *provider) PutMachine(ctx context.Context, spec providers.Spec, img providers.ImageRef, tell providers.Progress) (providers.Machine, error) {
	m, err := p.Provider.PutMachine(ctx, spec, img, tell)
	elsewhere(&m)
	return m, err
}

// elsewhere makes of a machine one whose address and ports are not on this computer.
func elsewhere(m *providers.Machine) {
	m.SSH = ""
	for i := range m.Ports {
		m.Ports[i].HostPort = 1
	}
}

func (p *provider) ListMachines(ctx context.Context, env string) ([]providers.Machine, error) {
	list, err := p.Provider.ListMachines(ctx, env)
	for i := range list {
		elsewhere(&list[i])
	}
	return list, err
}

func (p *provider) DialSSH(ctx context.Context, id string) (net.Conn, error) {
	envs, err := p.ListEnvs(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range envs {
		list, err := p.Provider.ListMachines(ctx, e.Env)
		if err != nil {
			return nil, err
		}
		for _, m := range list {
			if m.ID == id {
				var d net.Dialer
				conn, err := d.DialContext(ctx, "tcp", m.SSH)
				if err != nil {
					return nil, &providers.Error{Code: providers.Unavailable, Op: "dial", Subject: "machine " + id, Err: err}
				}
				return conn, nil
			}
		}
	}
	return nil, &providers.Error{Code: providers.NotFound, Op: "dial", Subject: "machine " + id}
}
