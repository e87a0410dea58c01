// SPDX-License-Identifier: Apache-2.0

// Package docker realizes machines as containers of a docker daemon: the same root tree as everywhere, with systemd as its first process.
//
// It is not for applications packed as containers of their own: a machine is what an image boots to, services, users, firewall and all.
//
// Its one rule: everything goes through the daemon's interface, and a container is the record. A container is created with all its labels, before
// what else its machine needs is finished, and started last; so one that was never started is what a killed run left. Data disks are volumes, and
// what says that one is whole is a volume too.
package docker

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
)

// Plugin is the provider, not yet opened.
func Plugin() providers.Plugin {
	return providers.Plugin{
		Name:    "docker",
		Formats: []images.Format{images.Tar},
		Traits:  providers.Traits{Local: true, HostKernel: true},
		Open:    open,
	}
}

// provider is an open connection. The client is safe for concurrent use.
type provider struct {
	*client.Client
	config config
	log    hclog.Logger
	// abroad: the daemon may run on another computer, so that its other clients' processes cannot be looked at.
	abroad bool
	turns  turns

	mu   sync.Mutex
	info *system.Info // nil until first needed
}

var (
	_ providers.Provider    = (*provider)(nil)
	_ providers.Starter     = (*provider)(nil)
	_ providers.Consoler    = (*provider)(nil)
	_ providers.ImagePruner = (*provider)(nil)
	_ providers.Doctor      = (*provider)(nil)
	_ providers.Dialer      = (*provider)(nil)
)

// open connects to the daemon and finds out what it is.
func open(ctx context.Context, raw json.RawMessage, log hclog.Logger) (providers.Provider, error) {
	c, err := parseConfig(raw)
	if err != nil {
		return nil, &providers.Error{Code: providers.Invalid, Op: "open", Subject: "provider docker", Err: err}
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	p := &provider{config: c, log: log.Named("docker"), turns: turns{turn: make(chan struct{}, 1)}}
	if err := p.connect(ctx); err != nil {
		return nil, connectError(p.address(), err)
	}
	return p, nil
}

func (p *provider) Close() error {
	return wrap("close", "connection to "+p.address(), p.Client.Close())
}

// steadyTime bounds what must not be cut off half-way: the daemon goes on with what nobody waits for any more.
const steadyTime = 2 * time.Minute

// steady outlives ctx: a daemon whose client hangs up creates the container, network or volume all the same, and nobody would know of it.
func steady(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), steadyTime)
}

// host is what the daemon says of its computer. It is asked once.
func (p *provider) host(ctx context.Context) (*system.Info, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.info != nil {
		return p.info, nil
	}
	info, err := p.Info(ctx)
	if err != nil {
		return nil, err
	}
	p.info = &info
	return p.info, nil
}
