// SPDX-License-Identifier: Apache-2.0

// Package sshtest is a small SSH server on loopback, for tests and for the machines of the fake provider. What a command does is the
// caller's function: the server itself runs nothing on the host. Its API is plain bytes and strings. It is no server for production.
package sshtest

import (
	"context"
	"io"
	"net"
)

// Config is what the server is and does. Its functions are called from several goroutines at once.
type Config struct {
	// Address to listen on; "" means 127.0.0.1:0. Anything but loopback is refused.
	Address string
	// HostKeys are read anew at each connection, so that a changed key needs no restart. A key with a certificate is offered both
	// with it and plain, as OpenSSH does.
	HostKeys func() ([]HostKey, error)
	// Authorized gives the authorized_keys lines that may log in as user; none refuses the login.
	Authorized func(user string) []string
	// Exec runs one command and returns its exit status. It returns soon after ctx ends, which is when the channel, the connection
	// or the server closes.
	Exec func(ctx context.Context, s *Session) int
	// Dial opens connections for direct-tcpip channels; nil refuses them.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Fault is asked at each connection; nil means None.
	Fault func() Fault
}

// HostKey is a private key as PEM and, or nil, its certificate in authorized_keys form.
type HostKey struct{ Private, Certificate []byte }

// Fault is a way to be a bad server.
type Fault int

// The faults. Each holds the connection until the client or the server ends it, but for DropMidHandshake.
const (
	None             Fault = iota
	Silent                 // accepts and says nothing
	HangAfterBanner        // sends its version line and nothing more
	DropMidHandshake       // closes while keys are exchanged
	EndlessBanner          // sends lines before a version line that never comes
)

// Session is one command, shell or terminal a client asked for.
type Session struct {
	User    string
	Command string // "" asks for a login shell
	Env     []string
	TTY     *TTY // nil: no terminal
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Signals <-chan string // TERM, INT, ...; what is not read in time is lost
	// ExitSignal, set by Exec, makes the command end by this signal instead of a status.
	ExitSignal string
}

// TTY is the terminal a client asked for.
type TTY struct {
	Term          string
	Width, Height int
	Resize        <-chan [2]int // width, height; only the newest unread one is kept
}
