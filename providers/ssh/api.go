// SPDX-License-Identifier: Apache-2.0

package ssh

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

var errTODO = errors.New("not written yet")

// Errors a caller tells apart with errors.Is.
var (
	// ErrUntrusted: the far side presented a key or certificate that the Target does not allow. Never retried.
	ErrUntrusted = errors.New("host key not trusted")
	// ErrUnfinished: the far side's certificate is from the right authority but expires (it is the bootstrap one), or has
	// expired, or its plain key is offered because no certificate is installed.
	ErrUnfinished = errors.New("machine has no final host certificate")
	// ErrAuth: the host is trusted but accepted none of our keys.
	ErrAuth = errors.New("no key of ours was accepted")
	// ErrUnreachable: nothing answered as an SSH server (refused, timed out, closed before the handshake). Worth retrying.
	ErrUnreachable = errors.New("host does not answer")
)

// HostCA signs the host keys of one machine. It lives in memory only.
type HostCA struct{ signer any }

// NewHostCA makes a throwaway authority.
func NewHostCA() (*HostCA, error) { return nil, errTODO }

// PublicKey is the authority in authorized_keys form without comment: "ssh-ed25519 AAAA...". It fits a label.
func (ca *HostCA) PublicKey() string { return "" }

// Sign makes a host certificate over publicKey (authorized_keys form) for the given principals; lifetime 0 never expires.
// ValidAfter is 10 minutes back, for clocks that are off. The result is in authorized_keys form with a newline.
func (ca *HostCA) Sign(publicKey []byte, principals []string, lifetime time.Duration) ([]byte, error) {
	return nil, errTODO
}

// GenerateKey makes an ed25519 key: private as OpenSSH PEM, public in authorized_keys form with comment and newline.
func GenerateKey(comment string) (private, public []byte, err error) { return nil, nil, errTODO }

// Identity is a way to prove who we are.
type Identity struct{ signers any }

// LoadIdentity gathers keys in order: file (--identity or $EVENKEEL_SSH_KEY_FILE; a passphrase-protected one is used through the
// agent), the agent at $SSH_AUTH_SOCK, then generated. Where generated does not exist it is made, 0600 in a 0700 folder, two processes
// at once make one. file and generated may be "".
func LoadIdentity(file, generated string) (*Identity, error) { return nil, errTODO }

// PublicKeys are the identity's keys in authorized_keys form, the first tried first.
func (id *Identity) PublicKeys() []string { return nil }

// Target is whom to dial and whom to trust.
type Target struct {
	Address   string        // host:port
	User      string        // login
	HostCA    string        // trust: a host certificate signed by this key (authorized_keys form) ...
	Principal string        // ... for this principal
	HostKeys  []string      // or: one of these plain host keys (jump hosts from known_hosts)
	Bootstrap bool          // accept a HostCA certificate that expires (first contact only); else ErrUnfinished
	Identity  *Identity     // our keys
	Via       *Target       // jump host, or nil
	Timeout   time.Duration // for connection and handshake; 0 means 20 s
	// DialContext replaces net.Dialer where no address can be dialled; nil: TCP.
	DialContext func(ctx context.Context) (net.Conn, error)
}

// Client is a verified connection. Safe for concurrent use. It keeps itself alive (15 s probes, 3 missed end it).
type Client struct{ conn any }

// Dial connects once, verifies the host, logs in. ctx bounds it all. Errors match one of the Err values above.
func Dial(ctx context.Context, t Target) (*Client, error) { return nil, errTODO }

// Command is one command on the far side. The line is passed to the login shell as it is.
type Command struct {
	Line   string
	Stdin  io.Reader // nil: empty
	Stdout io.Writer // nil: thrown away
	Stderr io.Writer
	TTY    *TTY // nil: no terminal
}

// TTY asks for a terminal on the far side.
type TTY struct {
	Term          string
	Width, Height int
	Resize        <-chan [2]int // width, height; may be nil
}

// ExitError is a command that ended with a status other than 0 or by a signal.
type ExitError struct {
	Status int    // 128+n for a signal, as shells have it
	Signal string // "" or TERM, ...
}

func (e *ExitError) Error() string { return "" }

// Run runs one command and returns *ExitError where it ended badly. On cancel the command gets TERM, its channel is closed, and
// Run returns ctx's error.
func (c *Client) Run(ctx context.Context, cmd Command) error { return errTODO }

// DialContext opens a connection from the far side (direct-tcpip).
func (c *Client) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return nil, errTODO
}

// Finished says that the host presented a certificate that does not expire.
func (c *Client) Finished() bool { return false }

// Close ends the connection. Twice is no error.
func (c *Client) Close() error { return nil }
