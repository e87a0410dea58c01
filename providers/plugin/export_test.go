// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

// Against opens the provider behind srv, whatever that answers: a plugin of another version or mind. A cancelled Put is waited for as long as undo.
func Against(ctx context.Context, srv proto.ProviderServer, undo time.Duration, log hclog.Logger) (p providers.Provider, stop func(), err error) {
	conn, stop, err := overMemory(srv)
	if err != nil {
		return nil, nil, err
	}
	r := &remote{rpc: proto.NewProviderClient(conn), name: "hostile", gone: errClosed, log: log, undo: undo}
	near, err := r.plugin(ctx)
	if err == nil {
		p, err = near.Open(ctx, json.RawMessage("{}"), log)
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return p, stop, nil
}

// Sides are the TLS configurations of the two sides of one connection, the server's after it crossed as text.
func Sides() (client, server *tls.Config, err error) {
	ours, theirs, err := newCredentials()
	if err != nil {
		return nil, nil, err
	}
	if client, err = ours.config(); err != nil {
		return nil, nil, err
	}
	line, err := theirs.line()
	if err != nil {
		return nil, nil, err
	}
	var crossed credentials
	if err := json.Unmarshal(line, &crossed); err != nil {
		return nil, nil, err
	}
	server, err = crossed.config()
	return client, server, err
}

// LaunchWithin is Launch with less patience.
func LaunchWithin(ctx context.Context, name string, within time.Duration) (*Launched, error) {
	return launch(ctx, name, nil, nil, within)
}

// SpecFields are the fields of a Spec that a plugin of this build says it understands.
func SpecFields() []string { return specFields() }

// MaxText bounds every string from a plugin, but for the mark of the cut.
const MaxText = maxText
