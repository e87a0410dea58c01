// SPDX-License-Identifier: Apache-2.0

// Package libvirt realizes machines as QEMU guests of the libvirt daemon on this computer, with KVM where the processor has it and in
// emulation where it has not, as root or a member of group libvirt (qemu:///system) or as anybody (qemu:///session).
//
// It is not for libvirt on other computers: published ports are on this one's loopback.
//
// Its one rule: everything goes through libvirt's interface, and a domain is the record. A domain is defined with all labels before
// anything else of its machine exists, and undefined after everything else is gone; so whatever a killed run leaves is found from a domain, or
// is a volume whose name holds the UUID of a domain that is no more.
package libvirt

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	lv "libvirt.org/go/libvirt"

	"github.com/evenkeel/evenkeel/providers"
)

// Plugin is the provider, not yet opened.
func Plugin() providers.Plugin {
	return providers.Plugin{
		Name:    "libvirt",
		Formats: artefacts,
		Traits:  providers.Traits{Local: true},
		Open:    open,
	}
}

// provider is an open connection. libvirt's connections are safe for concurrent use.
type provider struct {
	conn   *lv.Connect
	config config
	log    hclog.Logger

	mu      sync.Mutex
	pool    *pool         // nil until first needed
	backups chan struct{} // holds one while a backup runs
	tell    sync.Once
}

var (
	_ providers.Provider    = (*provider)(nil)
	_ providers.Starter     = (*provider)(nil)
	_ providers.Suspender   = (*provider)(nil)
	_ providers.Snapshotter = (*provider)(nil)
	_ providers.Consoler    = (*provider)(nil)
	_ providers.ImagePruner = (*provider)(nil)
	_ providers.Doctor      = (*provider)(nil)
)

// open connects to the daemon. Where that fails, the error's hint says what a Diagnose would.
func open(ctx context.Context, raw json.RawMessage, log hclog.Logger) (providers.Provider, error) {
	c, err := parseConfig(raw)
	if err != nil {
		return nil, &providers.Error{Code: providers.Invalid, Op: "open", Subject: "provider libvirt", Err: err}
	}
	if err := ctx.Err(); err != nil {
		return nil, wrap("open", "provider libvirt", err)
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	conn, err := connect(ctx, c.URI)
	if err != nil && ctx.Err() != nil {
		return nil, wrap("open", "provider libvirt", ctx.Err())
	}
	if err != nil {
		return nil, connectError(c.URI, err)
	}
	return &provider{conn: conn, config: c, log: log.Named("libvirt"), backups: make(chan struct{}, 1)}, nil
}

// connectTime is ample: a session's daemon, which starts for its first client, takes a second.
const connectTime = 15 * time.Second

var errSilent = fmt.Errorf("its daemon takes connections but did not answer within %s", connectTime)

// connect gives up on a daemon that hangs, as libvirt does not. What then still waits for an answer ends with it, or with the process.
func connect(ctx context.Context, uri string) (*lv.Connect, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTime, errSilent)
	defer cancel()
	type answer struct {
		conn *lv.Connect
		err  error
	}
	answers := make(chan answer)
	go func() {
		conn, err := lv.NewConnect(uri)
		select {
		case answers <- answer{conn, err}:
		case <-ctx.Done():
			if err == nil {
				_, _ = conn.Close() // nobody waits for it any more
			}
		}
	}()
	select {
	case a := <-answers:
		return a.conn, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (p *provider) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pool != nil {
		_ = p.pool.Free() // only a reference count
		p.pool = nil
	}
	_, err := p.conn.Close()
	return wrap("close", "connection to "+p.config.URI, err)
}
