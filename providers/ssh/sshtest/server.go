// SPDX-License-Identifier: Apache-2.0

package sshtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Server is a running server.
type Server struct {
	cfg      Config
	listener net.Listener
	stop     context.CancelFunc
	all      sync.WaitGroup
}

// Serve listens and returns at once. The server ends at Close or at ctx's end; every goroutine of it has ended when Close returns.
func Serve(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Address == "" {
		cfg.Address = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", cfg.Address, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("cannot listen on %q: the test server answers on loopback addresses only", cfg.Address)
	}
	if cfg.HostKeys == nil || cfg.Authorized == nil || cfg.Exec == nil {
		return nil, errors.New("cannot serve SSH: HostKeys, Authorized and Exec are all needed")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", cfg.Address, err)
	}
	ctx, stop := context.WithCancel(ctx)
	s := &Server{cfg: cfg, listener: listener, stop: stop}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	s.all.Go(func() { s.accept(ctx) })
	return s, nil
}

// Addr is the host:port the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends the server, its connections and their commands, and waits for them. Twice is no error.
func (s *Server) Close() error {
	s.stop()
	s.all.Wait()
	return nil
}

func (s *Server) accept(ctx context.Context) {
	for {
		conn, err := s.listener.Accept()
		switch {
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			if err == nil {
				_ = conn.Close() // nothing was said yet
			}
			return
		case err != nil: // out of file descriptors, say: passes
			time.Sleep(50 * time.Millisecond)
			continue
		}
		s.all.Go(func() { s.serve(ctx, conn) })
	}
}

// serve is one connection's life.
func (s *Server) serve(ctx context.Context, raw net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() { _ = raw.Close() }()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	if s.cfg.Fault != nil {
		if f := s.cfg.Fault(); f != None {
			f.act(ctx, raw)
			return
		}
	}
	cfg, err := s.serverConfig()
	if err != nil {
		return // a machine whose keys cannot be read closes the connection, as sshd does
	}
	_ = raw.SetDeadline(time.Now().Add(time.Minute)) // TCP has deadlines
	conn, channels, requests, err := ssh.NewServerConn(raw, cfg)
	if err != nil {
		return
	}
	_ = raw.SetDeadline(time.Time{})
	var parts sync.WaitGroup
	parts.Go(func() { answer(requests) })
	for ch := range channels {
		switch ch.ChannelType() {
		case "session":
			parts.Go(func() { s.session(ctx, conn.User(), ch) })
		case "direct-tcpip":
			parts.Go(func() { s.forward(ctx, ch) })
		default:
			_ = ch.Reject(ssh.UnknownChannelType, "not served here")
		}
	}
	cancel()
	parts.Wait()
}

// answer replies to global requests. As with OpenSSH even the refusal keeps a connection alive.
func answer(requests <-chan *ssh.Request) {
	for r := range requests {
		if r.WantReply {
			_ = r.Reply(false, nil) // the connection ended otherwise
		}
	}
}

// lets reports whether an authorized_keys line lets in who shows key: the key itself or, with the option cert-authority, a certificate that it signed
// for one of the line's principals (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
func lets(allowed ssh.PublicKey, options []string, c ssh.ConnMetadata, key ssh.PublicKey) bool {
	cert, isCert := key.(*ssh.Certificate)
	if !slices.Contains(options, "cert-authority") {
		return !isCert && string(allowed.Marshal()) == string(key.Marshal())
	}
	if !isCert {
		return false
	}
	principals := []string{c.User()}
	for _, o := range options {
		if list, ok := strings.CutPrefix(o, "principals="); ok {
			principals = strings.Split(strings.Trim(list, `"`), ",")
		}
	}
	checker := ssh.CertChecker{IsUserAuthority: func(authority ssh.PublicKey) bool {
		return string(authority.Marshal()) == string(allowed.Marshal())
	}}
	return cert.CertType == ssh.UserCert && checker.IsUserAuthority(cert.SignatureKey) && len(cert.ValidPrincipals) > 0 &&
		slices.ContainsFunc(principals, func(p string) bool { return checker.CheckCert(p, cert) == nil })
}

func (s *Server) serverConfig() (*ssh.ServerConfig, error) {
	cfg := &ssh.ServerConfig{MaxAuthTries: 6, ServerVersion: "SSH-2.0-sshtest"}
	cfg.PublicKeyCallback = func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		for _, line := range s.cfg.Authorized(c.User()) {
			allowed, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
			if err == nil && lets(allowed, options, c, key) {
				return nil, nil
			}
		}
		return nil, errors.New("not an authorized key")
	}
	keys, err := s.cfg.HostKeys()
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		signer, err := ssh.ParsePrivateKey(k.Private)
		if err != nil {
			return nil, fmt.Errorf("cannot read host key: %w", err)
		}
		cfg.AddHostKey(signer)
		if len(k.Certificate) == 0 {
			continue
		}
		public, _, _, _, err := ssh.ParseAuthorizedKey(k.Certificate)
		if err != nil {
			return nil, fmt.Errorf("cannot read host certificate: %w", err)
		}
		cert, ok := public.(*ssh.Certificate)
		if !ok {
			return nil, errors.New("cannot read host certificate: it is a plain key")
		}
		certSigner, err := ssh.NewCertSigner(cert, signer)
		if err != nil {
			return nil, fmt.Errorf("cannot use host certificate: %w", err)
		}
		cfg.AddHostKey(certSigner)
	}
	return cfg, nil
}
