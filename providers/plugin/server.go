// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"sync"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

// maxMessage bounds a message in either direction: a list of ten thousand machines takes 12 MiB.
const maxMessage = 16 << 20

// maxConsole bounds what is asked of Consoler, to fit in a message.
const maxConsole = 8 << 20

// server answers the protocol with a providers.Plugin.
type server struct {
	proto.UnimplementedProviderServer
	plugin providers.Plugin
	log    hclog.Logger
	stop   context.CancelFunc // cancels every call that runs
	ending context.Context

	mu     sync.Mutex
	opened map[uint64]providers.Provider
	last   uint64
	calls  sync.WaitGroup
}

func newServer(p providers.Plugin, log hclog.Logger) *server {
	s := &server{plugin: p, log: log, opened: map[uint64]providers.Provider{}}
	s.ending, s.stop = context.WithCancel(context.Background())
	return s
}

// options make a gRPC server whose calls end when s does, and whose failures travel.
func (s *server) options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (reply any, err error) {
			if _, ours := info.Server.(*server); !ours {
				return next(ctx, req)
			}
			err = s.call(ctx, func(ctx context.Context) error {
				reply, err = next(ctx, req)
				return err
			})
			return reply, err
		}),
		grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if _, ours := srv.(*server); !ours {
				return next(srv, stream)
			}
			return s.call(stream.Context(), func(ctx context.Context) error { return next(srv, endingStream{stream, ctx}) })
		}),
	}
}

// endingStream is a stream whose context ends with the server.
type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (e endingStream) Context() context.Context { return e.ctx }

// call runs one call under a context that ends with the client or the server, and turns its panic or error into what travels.
func (s *server) call(ctx context.Context, f func(context.Context) error) (err error) {
	s.mu.Lock()
	if s.ending.Err() != nil {
		s.mu.Unlock()
		return sendFailure(&providers.Error{Code: providers.Unavailable, Op: "call", Subject: s.subject(), Err: errors.New("it is ending")})
	}
	s.calls.Add(1)
	s.mu.Unlock()
	defer s.calls.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ending, cancel)()
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("panic", "value", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = &providers.Error{Code: providers.Internal, Op: "call", Subject: s.subject(), Err: fmt.Errorf("panic: %v", r), Hint: "this is a fault of the provider; its stack is in the log"}
		}
		err = sendFailure(err)
	}()
	return f(ctx)
}

// end cancels every call, waits until they have undone what they did or ctx ends, and closes what is open.
func (s *server) end(ctx context.Context) {
	s.mu.Lock()
	s.stop()
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.calls.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		s.log.Warn("calls did not end in time")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, p := range s.opened {
		delete(s.opened, n)
		if err := p.Close(); err != nil {
			s.log.Warn("cannot close", "error", err)
		}
	}
}

func (s *server) subject() string { return "provider " + s.plugin.Name }

func (s *server) session(n uint64) (providers.Provider, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.opened[n]
	if !ok {
		return nil, &providers.Error{Code: providers.Invalid, Op: "use", Subject: s.subject(), Err: errors.New("it is closed, or was not opened")}
	}
	return p, nil
}

// ability is the session's provider as T.
func ability[T any](s *server, n uint64) (T, error) {
	var none T
	p, err := s.session(n)
	if err != nil {
		return none, err
	}
	t, ok := providers.As[T](p)
	if !ok {
		return none, &providers.Error{Code: providers.Unsupported, Op: "use", Subject: s.subject(), Err: fmt.Errorf("it is no %s", reflect.TypeFor[T]().Name())}
	}
	return t, nil
}
