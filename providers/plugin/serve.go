// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

// Serve runs p as a plugin process; it is the whole main of a provider binary and does not return. The process ends when its stdin does (the client
// went away, in whatever manner) or on SIGTERM: it cancels what runs, waits for the undo up to 60 s, closes what is open and exits.
//
// Everything p logs goes to the host's log; what it writes to stdout is dropped. Programs that p starts must not keep its stderr.
func Serve(p providers.Plugin) {
	h := handshake()
	if os.Getenv(h.MagicCookieKey) != h.MagicCookieValue {
		notByHand(fmt.Errorf("no %s in the environment", h.MagicCookieKey))
	}
	ours, err := readCredentials(os.Stdin, credentialsTime)
	if err != nil {
		notByHand(err)
	}
	secure, err := ours.config()
	if err != nil {
		notByHand(err)
	}
	syscall.CloseOnExec(holdFD) // a lock we hold is ours, not that of the programs we start
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.LevelFromString(os.Getenv(envLogLevel)), Output: os.Stderr, JSONFormat: true})
	s := newServer(p, log)
	end := sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), undoTime)
		defer cancel()
		s.end(ctx)
		exit(0)
	})
	go func() {
		waitForEnd()
		end()
	}()
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: h,
		Plugins:         goplugin.PluginSet{pluginKey: &wire{server: s}},
		TLSProvider:     func() (*tls.Config, error) { return secure, nil },
		GRPCServer:      func(o []grpc.ServerOption) *grpc.Server { return grpc.NewServer(append(o, s.options()...)...) },
		Logger:          hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: os.Stderr, JSONFormat: true}),
	})
	end()
}

// notByHand ends a process that evenkeel did not start.
func notByHand(missing error) {
	fmt.Fprintf(os.Stderr, "%s is a plugin of evenkeel, which starts it itself: there is nothing to do here by hand (%v).\n", filepath.Base(os.Args[0]), missing)
	exit(1)
}

// waitForEnd returns when the client is gone or somebody wants the process to end.
func waitForEnd() {
	eof := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(eof)
	}()
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGHUP)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // the client's death must not kill the undo with its first log line
	select {
	case <-eof:
	case <-term:
	}
}

// exit leaves nothing behind, not even where the client can no longer clean up: the folder of the socket is otherwise its to remove.
func exit(status int) {
	if dir := os.Getenv(goplugin.EnvUnixSocketDir); strings.HasPrefix(filepath.Base(dir), "plugin-dir") {
		_ = os.RemoveAll(dir) // it is gone already where the client still lives
	}
	os.Exit(status)
}

// wire is our service for go-plugin; the client's has no server.
type wire struct {
	goplugin.NetRPCUnsupportedPlugin
	server *server
}

// GRPCServer implements goplugin.GRPCPlugin.
func (w *wire) GRPCServer(_ *goplugin.GRPCBroker, g *grpc.Server) error {
	proto.RegisterProviderServer(g, w.server)
	return nil
}

// GRPCClient implements goplugin.GRPCPlugin.
func (w *wire) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}
