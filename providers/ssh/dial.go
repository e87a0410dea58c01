// SPDX-License-Identifier: Apache-2.0

package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	dialTimeout = 20 * time.Second
	// keysPerLogin is how many keys one connection offers. OpenSSH's server hangs up at the sixth refused (MaxAuthTries), and an
	// agent may hold more.
	keysPerLogin = 5
)

// Target is whom to dial and whom to trust.
type Target struct {
	Address   string   // host:port
	User      string   // login
	HostCA    string   // trust: a host certificate signed by this key (authorized_keys form) ...
	Principal string   // ... for this principal
	HostKeys  []string // or: one of these plain host keys (authorized_keys form)
	// Authorities are for hosts that we did not make: or a host certificate of one of these, within its time, for Principal.
	Authorities []string
	Revoked     []string      // neither these keys nor certificates of theirs, whatever else says so
	Bootstrap   bool          // accept a HostCA certificate that expires (first contact only); else ErrUnfinished
	Identity    *Identity     // our keys
	Via         *Target       // jump host, or nil
	Timeout     time.Duration // for connection and handshake; 0 means 20 s
	// Awaited: the host may still boot. It is connected to again and again, until it speaks or ctx ends; Timeout is for the handshake then.
	Awaited   bool
	KeepAlive time.Duration // between probes; 0 means 15 s
	// DialContext replaces net.Dialer where no address can be dialled; nil: TCP.
	DialContext func(ctx context.Context) (net.Conn, error)
}

// Dial connects, verifies the host, logs in. ctx bounds it all. Errors match one of the Err values above; after ctx's end that is
// ErrUnreachable, and ctx's error besides. It connects once, but for an identity of more than five keys: servers hang up on a client
// that tries more, so the next five get a connection of their own.
func Dial(ctx context.Context, t Target) (*Client, error) {
	tr, err := newTrust(t)
	if err != nil {
		return nil, &dialError{"reach " + t.name(), t.Address, ErrUntrusted, err}
	}
	var keys []key
	if t.Identity != nil {
		keys = t.Identity.keys
	}
	if len(keys) == 0 {
		return dialOnce(ctx, t, tr, nil)
	}
	for some := range slices.Chunk(keys, keysPerLogin) {
		var c *Client
		c, err = dialOnce(ctx, t, tr, some)
		if err == nil || !errors.Is(err, ErrAuth) {
			return c, err
		}
	}
	return nil, err
}

// name is the target in messages.
func (t Target) name() string {
	if t.Address == "" {
		return t.Principal
	}
	return t.Address
}

func dialOnce(ctx context.Context, t Target, tr *trust, keys []key) (_ *Client, err error) {
	timeout := t.Timeout
	if timeout == 0 {
		timeout = dialTimeout
	}
	var via *Client
	if t.Via != nil {
		if via, err = Dial(ctx, *t.Via); err != nil {
			return nil, fmt.Errorf("cannot reach %s by its jump host: %w", t.name(), err)
		}
		defer func() {
			if err != nil {
				_ = via.Close()
			}
		}()
	}
	var raw net.Conn
	if t.Awaited {
		raw, err = knock(ctx, func(ctx context.Context) (net.Conn, error) { return t.connect(ctx, via) })
		if err != nil {
			return nil, &dialError{"reach " + t.name(), t.Address, ErrUnreachable, err}
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %v: %w", timeout, context.DeadlineExceeded))
	defer cancel()
	unreachable := func(err error) error {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // what the closing of the connection looked like says nothing
		}
		return &dialError{"reach " + t.name(), t.Address, ErrUnreachable, err}
	}
	if raw == nil {
		if raw, err = t.connect(ctx, via); err != nil {
			return nil, unreachable(err)
		}
	}
	stop := context.AfterFunc(ctx, func() {
		_ = raw.Close()
		if via != nil {
			_ = via.Close() // a jump host that stalls does not answer the channel's close
		}
	})
	conn, channels, requests, err := ssh.NewClientConn(raw, t.Address, t.clientConfig(ctx, tr, keys))
	if !stop() {
		if err == nil {
			_ = conn.Close()
		}
		return nil, unreachable(err)
	}
	if err == nil {
		return newClient(conn, channels, requests, via, tr, t.KeepAlive), nil
	}
	_ = raw.Close()
	seen, _, untrusted := tr.verdict()
	switch {
	case untrusted != nil:
		return nil, &dialError{"trust " + t.name(), t.Address, kindOf(untrusted), untrusted}
	case isNegotiation(err):
		return nil, &dialError{"trust " + t.name(), t.Address, ErrUntrusted, err}
	case !seen || isLost(err):
		return nil, unreachable(err)
	case len(keys) == 0:
		return nil, &dialError{fmt.Sprintf("log in to %s as %s", t.name(), t.User), t.Address, ErrAuth, errors.New("we have none; name one with --identity or start an agent")}
	}
	return nil, &dialError{fmt.Sprintf("log in to %s as %s", t.name(), t.User), t.Address, ErrAuth, err}
}

// connect opens the bytes under the connection.
func (t Target) connect(ctx context.Context, via *Client) (net.Conn, error) {
	switch {
	case via != nil:
		return via.conn.DialContext(ctx, "tcp", t.Address)
	case t.DialContext != nil:
		return t.DialContext(ctx)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", t.Address)
}

func (t Target) clientConfig(ctx context.Context, tr *trust, keys []key) *ssh.ClientConfig {
	var signers []ssh.Signer
	for _, k := range keys {
		signers = append(signers, k.signer(ctx))
	}
	return &ssh.ClientConfig{
		User: t.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signers...)},
		HostKeyCallback: tr.check, HostKeyAlgorithms: tr.algorithms(), ClientVersion: "SSH-2.0-evenkeel",
	}
}

// kindOf is which of the two a trust error is.
func kindOf(err error) error {
	if errors.Is(err, ErrUnfinished) {
		return ErrUnfinished
	}
	return ErrUntrusted
}

// isNegotiation: the server has no host key, or no cipher, of a kind we accept. Waiting changes nothing.
func isNegotiation(err error) bool {
	_, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err)
	return ok
}

// isLost: the connection ended without a word.
func isLost(err error) bool {
	_, isNet := errors.AsType[net.Error](err)
	return isNet || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
