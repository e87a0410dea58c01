// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"net"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

// InMemory is p behind the wire but without a process: its Open makes a gRPC server and client that talk through memory, and what it
// returns goes through both until Close. For tests.
func InMemory(p providers.Plugin) providers.Plugin {
	direct := p
	p.Open = func(ctx context.Context, config json.RawMessage, log hclog.Logger) (providers.Provider, error) {
		return openInMemory(ctx, direct, config, log)
	}
	return p
}

func openInMemory(ctx context.Context, p providers.Plugin, config json.RawMessage, log hclog.Logger) (_ providers.Provider, err error) {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	s := newServer(p, log)
	conn, stop, err := overMemory(s, s.options()...)
	if err != nil {
		return nil, err
	}
	shut := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		defer cancel()
		s.end(ctx)
		stop()
	}
	defer func() {
		if err != nil {
			shut()
		}
	}()
	near, err := connect(ctx, conn, p.Name, errClosed, log)
	if err != nil {
		return nil, err
	}
	opened, err := near.Open(ctx, config, log)
	if err != nil {
		return nil, err
	}
	return &inMemory{opened.(*client), shut}, nil
}

func errClosed() error { return errors.New("it was closed") }

// overMemory is a connection to s, until stop.
func overMemory(s proto.ProviderServer, options ...grpc.ServerOption) (conn *grpc.ClientConn, stop func(), err error) {
	listener := bufconn.Listen(64 << 10)
	conn, err = grpc.NewClient("passthrough:memory", append(dialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))...)
	if err != nil {
		return nil, nil, err
	}
	g := grpc.NewServer(options...)
	proto.RegisterProviderServer(g, s)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = g.Serve(listener) // ends by Stop
	}()
	return conn, func() {
		_ = conn.Close()
		g.Stop()
		<-served
	}, nil
}

// inMemory takes the server down with the provider.
type inMemory struct {
	*client
	shut func()
}

func (m *inMemory) Close() error {
	err := m.client.Close()
	m.shut()
	return err
}
