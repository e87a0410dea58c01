// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/internal/bounded"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// bootstrapLife is how long the key that travels in a seed can be believed: long enough for the slowest first boot (bare metal that
// writes its disk), short enough that metadata read later is worth nothing.
const bootstrapLife = time.Hour

// finalScript makes the machine's own host key, prints its public half, reads the certificate for it, and only then puts both in
// place of the bootstrap pair, in one process. It reads the certificate before it moves anything, so a client that dies leaves either pair whole; only power lost between the
// moves, or before they reached the disk a second later, leaves a machine that nobody can verify, and that only a rebuild mends. What nobody waits for goes on behind its back: a
// process takes 80 ms in emulation, a sync 400. Up to OpenSSH 9.7 sshd reads its keys anew for each connection; from 9.8 on, which has sshd-session, the one that listens holds them and has
// to be told. The signal is what `systemctl reload ssh` comes to, without a second of emulation.
const finalScript = `set -eu
umask 022 # ssh-keygen sees to its private half
d=/etc/ssh/.evenkeel
k=$d/` + hostKeyName + `
[ ! -e "$d" ] || rm -rf "$d"
mkdir "$d"
ssh-keygen -q -t ed25519 -N '' -C '' -f "$k"
while IFS= read -r line; do printf '%s\n' "$line"; done <"$k.pub"
IFS= read -r certificate
printf '%s\n' "$certificate" >"$k-cert.pub"
mv -f "$k" "$k.pub" "$k-cert.pub" /etc/ssh/
(trap '' HUP; rmdir "$d"; sync ` + PathHostKey + ` ` + PathHostCert + `) </dev/null >/dev/null 2>&1 &
if [ -e /usr/lib/openssh/sshd-session ] || [ ! -e /run/sshd.pid ]; then
	if read -r pid 2>/dev/null </run/sshd.pid; then kill -HUP "$pid"; else systemctl reload ssh; fi
fi
`

// hostKeyName is the last part of PathHostKey; its certificate and public half are named after it.
const hostKeyName = "ssh_host_ed25519_key"

// principal is the name a machine's host certificate is made out to, and the HostKeyAlias of its ssh_config block.
func principal(env, machine string) string { return machine + "." + env }

// HostName is the name under which a machine's host certificate is checked: web-1.shop.laptop.
func (m Machine) HostName() string { return principal(m.Env, m.Role()) }

// newSeed makes a machine's throwaway host CA and the seed whose bootstrap key it vouches for.
func (c *Core) newSeed(m envs.Machine) (Seed, *ssh.HostCA, error) {
	ca, err := ssh.NewHostCA()
	if err != nil {
		return Seed{}, nil, err
	}
	private, public, err := ssh.GenerateKey("bootstrap")
	if err != nil {
		return Seed{}, nil, err
	}
	cert, err := ca.Sign(public, []string{principal(c.Plan.Env, m.Name)}, bootstrapLife)
	if err != nil {
		return Seed{}, nil, err
	}
	seed := Seed{Hostname: m.Name, HostKey: private, HostCertificate: cert, User: LoginUser, AuthorizedKeys: c.loginKeys()}
	for _, d := range m.Data {
		seed.Data = append(seed.Data, Mount{Name: d.Name, Mount: d.Mount})
	}
	return seed, ca, nil
}

// loginKeys are the keys that may log in: the definition's, and on local tiers ours.
func (c *Core) loginKeys() []string {
	keys := append([]string(nil), c.Plan.Access.Keys...)
	if c.Plugin.Traits.Local && c.Identity != nil {
		keys = append(keys, c.Identity.PublicKeys()...)
	}
	return keys
}

// carriedTimeout is for a connection that the place carries, and a handshake over it: it starts a program on the machine, in emulation behind a slow way
// to the place.
const carriedTimeout = 90 * time.Second

// Dial opens a verified connection to a machine as user ("": the core's own login). A machine without its final host certificate is
// refused with ssh.ErrUnfinished.
func (c *Core) Dial(ctx context.Context, m Machine, user string) (*ssh.Client, error) {
	t, err := c.target(m, user)
	if err != nil {
		return nil, err
	}
	leave, err := c.gate(ctx, m)
	if err != nil {
		return nil, err
	}
	defer leave()
	client, err := ssh.Dial(ctx, t)
	return client, m.hostError(err)
}

// Stream opens a connection to a machine's SSH server and nothing more: nobody is verified, no key is offered. It is for SSH clients that do so themselves.
func (c *Core) Stream(ctx context.Context, m Machine) (net.Conn, error) {
	t, err := c.target(m, "")
	if err != nil {
		return nil, err
	}
	switch {
	case t.DialContext != nil:
		return t.DialContext(ctx)
	case m.Host.Given():
		return nil, &Error{Code: Unsupported, Op: "reach", Subject: "machine " + m.Name, Err: errors.New("it is reached by ways of its own"), Hint: "evenkeel ssh-config " + m.Name}
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return nil, &Error{Code: Unavailable, Op: "reach", Subject: "machine " + m.Name, Err: err}
	}
	return conn, nil
}

func (c *Core) target(m Machine, user string) (ssh.Target, error) {
	if m.Host.Given() {
		return c.hostTarget(m, user)
	}
	t := ssh.Target{Address: m.SSH, User: user, HostCA: m.Labels[LabelHostCA], Principal: m.HostName(), Identity: c.Identity}
	if t.User == "" {
		t.User = LoginUser
	}
	if d, ok := As[Dialer](c.Provider); ok && m.SSH == "" {
		t.DialContext = func(ctx context.Context) (net.Conn, error) { return d.DialSSH(ctx, m.ID) }
		t.Timeout = carriedTimeout
	}
	switch {
	case m.State == Stopped || m.State == Suspended:
		return t, &Error{Code: Unavailable, Op: "reach", Subject: "machine " + m.Name, Err: fmt.Errorf("it is %s", m.State), Hint: "evenkeel start " + m.Name}
	case m.State == Unknown:
		return t, &Error{Code: Unavailable, Op: "reach", Subject: "machine " + m.Name, Err: errors.New("its place does not say whether it runs"), Hint: "evenkeel status"}
	case m.State != Running:
		return t, &Error{Code: Unavailable, Op: "reach", Subject: "machine " + m.Name, Err: fmt.Errorf("it is %s", m.State), Hint: "evenkeel up"}
	case m.SSH == "" && t.DialContext == nil:
		return t, &Error{Code: Unavailable, Op: "reach", Subject: "machine " + m.Name, Err: errors.New("its place names no SSH address")}
	case t.HostCA == "":
		return t, &Error{Code: Denied, Op: "reach", Subject: "machine " + m.Name, Err: errors.New("it carries no host CA, so nothing says whom to trust"), Hint: "evenkeel rebuild " + m.Name}
	}
	return t, nil
}

// abandoned: if m has no final certificate, no run is about to give it one. Runs of one owner do not overlap (see Core), and an hour after its creation
// nobody can.
func (c *Core) abandoned(m Machine) bool {
	return m.Labels[LabelOwner] == c.owner() || older(m.Created, time.Now())
}

// contact dials until the machine answers. Where ca is its CA and it still has the bootstrap certificate, it is given its own key over that session,
// which is returned: not Finished, so that the caller proves the new certificate before it calls the machine ready. It gives up at ctx's end or at
// the first answer that waiting cannot change. Whether the machine became ours or another run's is the same to the caller.
func (c *Core) contact(ctx context.Context, m Machine, ca *ssh.HostCA) (*ssh.Client, error) {
	t, err := c.target(m, "")
	if err != nil {
		return nil, err
	}
	t.Bootstrap = ca != nil && ca.PublicKey() == t.HostCA
	// What a Dialer opens is the machine's own: nobody takes a connection for one that still boots, and each costs it a process.
	t.Awaited = ca != nil && t.DialContext == nil
	// Without its final certificate it may be one that another run is giving it right now.
	client, err := dial(ctx, t, ca != nil || !c.abandoned(m))
	if err != nil || client.Finished() {
		return client, err
	}
	if err := c.finish(ctx, m, client, ca); err != nil {
		_ = client.Close() // the machine goes with it
		return nil, fmt.Errorf("cannot give machine %s its own host key: %w", m.Name, err)
	}
	return client, nil
}

// proveWithin is how long sshd may take to show the certificate it was told of; it reloads in less than a second in emulation.
const proveWithin = time.Minute

// prove dials a machine that was just given its own key: what answers has the final certificate.
func (c *Core) prove(ctx context.Context, m Machine) (*ssh.Client, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, proveWithin, fmt.Errorf("no final host certificate shown within %s", proveWithin))
	defer cancel()
	t, err := c.target(m, "")
	if err != nil {
		return nil, err
	}
	return dial(ctx, t, true)
}

// dial tries until somebody answers whom t trusts, with ever longer pauses. With patience it goes on while the machine is unfinished.
func dial(ctx context.Context, t ssh.Target, patient bool) (*ssh.Client, error) {
	var before error
	for began := time.Now(); ; {
		client, err := ssh.Dial(ctx, t)
		if err != nil && ctx.Err() != nil && before != nil {
			err = before // what cut this try short says nothing of the machine
		}
		before = err
		worth := errors.Is(err, ssh.ErrUnreachable) || patient && errors.Is(err, ssh.ErrUnfinished)
		if !worth {
			return client, err // err may be nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w; last: %w", context.Cause(ctx), err)
		case <-time.After(min(max(time.Since(began)/50, min(time.Since(began)/2, 100*time.Millisecond), 25*time.Millisecond), time.Second)): // soon at first: sshd shows a new key in no time
		}
	}
}

// finish replaces the bootstrap host key by one made on the machine and signed for good.
func (c *Core) finish(ctx context.Context, m Machine, client *ssh.Client, ca *ssh.HostCA) error {
	c.Progress.Emit(Event{Subject: m.Name, Stage: "contact"})
	run, cancel := context.WithCancel(ctx)
	defer cancel()
	certIn, certOut := io.Pipe()
	keyIn, keyOut := io.Pipe()
	var said bounded.Tail
	done := make(chan error, 1)
	go func() {
		err := client.Run(run, ssh.Command{Line: rootLine, Stdin: withScript(finalScript, certIn), Stdout: keyOut, Stderr: &said})
		_ = keyOut.CloseWithError(io.EOF)
		_ = certIn.CloseWithError(io.ErrClosedPipe)
		done <- err
	}()
	signErr := func() error {
		line, err := bufio.NewReader(io.LimitReader(keyIn, 4<<10)).ReadString('\n')
		if err != nil {
			return fmt.Errorf("no public key came back: %w", err)
		}
		cert, err := ca.Sign([]byte(strings.TrimSpace(line)), []string{m.HostName()}, 0)
		if err != nil {
			return err
		}
		_, err = certOut.Write(append([]byte(strings.TrimSpace(string(cert))), '\n'))
		return err
	}()
	_ = certOut.Close()
	if signErr != nil {
		cancel() // the script waits for a certificate that will not come
	}
	_, _ = io.Copy(io.Discard, keyIn)
	runErr := <-done
	switch {
	case ctx.Err() != nil:
		return withOutput(context.Cause(ctx), &said)
	case runErr != nil && !errors.Is(runErr, context.Canceled):
		return withOutput(runErr, &said)
	}
	return signErr // runErr only says that we ended the script for it
}
