// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/evenkeel/evenkeel/providers/ssh"
)

// Host is how a machine is reached that was there before us: it has no host CA of ours and no login of ours, and carries no labels. The zero Host says that
// the machine is one of ours.
type Host struct {
	Kind string `json:"kind,omitempty"` // of the definition's machines; "" where the place does not say
	// Hops is the way: jump hosts, the first dialled first, and last the machine itself.
	Hops []Hop `json:"hops,omitempty"`
	// Trouble is why it cannot be reached although it is there: what its place says of it cannot be honoured. Then there may be no Hops.
	Trouble string `json:"trouble,omitempty"`
	// KnownHosts is the file of this computer that a host key may be added to, for messages.
	KnownHosts string `json:"known_hosts,omitempty"`
}

// Hop is one SSH server, whom to trust there and as whom to log in. Keys are in authorized_keys form without comment.
type Hop struct {
	Address     string   `json:"address"`               // host:port
	Name        string   `json:"name"`                  // under which its keys are known, and for which an authority has to vouch
	User        string   `json:"user,omitempty"`        // "": access.user of the definition
	Keys        []string `json:"keys,omitempty"`        // its own host keys
	Authorities []string `json:"authorities,omitempty"` // whose host certificates for Name count, within their time
	Revoked     []string `json:"revoked,omitempty"`     // never believed
	Identities  []string `json:"identities,omitempty"`  // private key files of this computer, tried before the agent's keys
}

// Given reports that the machine is one that was there before us.
func (h Host) Given() bool { return len(h.Hops) > 0 || h.Trouble != "" }

// User is the login of who works on m: what its place says, else the definition's.
func (c *Core) User(m Machine) string {
	if n := len(m.Host.Hops); n > 0 {
		return cmp.Or(m.Host.Hops[n-1].User, c.Plan.Access.User)
	}
	return c.Plan.Access.User
}

// hostTarget is target for a machine that was there before us. Each hop is believed by what is known of it, and by nothing else: one of which nothing is
// known is refused before anything is dialled.
func (c *Core) hostTarget(m Machine, user string) (ssh.Target, error) {
	refuse := func(code Code, err error, hint string) (ssh.Target, error) {
		return ssh.Target{}, &Error{Code: code, Op: "reach", Subject: "machine " + m.Name, Err: err, Hint: hint}
	}
	switch {
	case m.Host.Trouble != "":
		return refuse(Unavailable, errors.New(m.Host.Trouble), "")
	case m.State != Running:
		return refuse(Unavailable, errors.New("its place does not say whether it runs"), "evenkeel status")
	}
	var t ssh.Target
	for i, hop := range m.Host.Hops {
		if len(hop.Keys) == 0 && len(hop.Authorities) == 0 {
			return refuse(Denied, fmt.Errorf("%w: no key of %s is known, and no host authority that could vouch for it", ssh.ErrUntrusted, hop.Name), m.Host.HowToTrust(i))
		}
		identity, err := c.Identity.With(hop.Identities...)
		if err != nil {
			return refuse(Denied, err, "")
		}
		next := ssh.Target{
			Address: hop.Address, User: cmp.Or(hop.User, c.Plan.Access.User), Principal: hop.Name,
			HostKeys: hop.Keys, Authorities: hop.Authorities, Revoked: hop.Revoked, Identity: identity,
		}
		if i > 0 {
			via := t
			next.Via = &via
		}
		t = next
	}
	t.User = cmp.Or(user, t.User)
	return t, nil
}

// atGate is how many are on their way in by one jump host at once. OpenSSH's server drops, at random, more than ten that have not logged in yet
// (MaxStartups 10:30:100), and each machine behind it has a login of its own there.
const atGate = 8

// gate waits until m may be dialled by way of its first jump host; leave is called when it was.
func (c *Core) gate(ctx context.Context, m Machine) (leave func(), err error) {
	if len(m.Host.Hops) < 2 {
		return func() {}, nil
	}
	got, _ := c.gates.LoadOrStore(m.Host.Hops[0].Address, make(chan struct{}, atGate))
	gate := got.(chan struct{}) // nothing else is stored
	select {
	case gate <- struct{}{}:
		return func() { <-gate }, nil
	case <-ctx.Done():
		return nil, &Error{Code: Unavailable, Op: "reach", Subject: "machine " + m.Name, Err: fmt.Errorf("others are on their way by its jump host: %w", context.Cause(ctx))}
	}
}

// hostError adds to an error of ssh.Dial what a person can do about it.
func (m Machine) hostError(err error) error {
	if !m.Host.Given() || !errors.Is(err, ssh.ErrUntrusted) {
		return err
	}
	e := &Error{Code: Denied, Op: "reach", Subject: "machine " + m.Name, Err: err}
	for i, hop := range m.Host.Hops {
		if hop.Address == ssh.HostOf(err) {
			e.Hint = "another key than the known one means another machine, or somebody between; where the machine was given a new key on purpose, take the old one away: " + m.Host.forget(i) + "; then " + m.Host.HowToTrust(i)
		}
	}
	return e
}

// HowToTrust is what to type to get the keys of hop i, to compare them with what whoever runs the host says, and to make them known.
func (h Host) HowToTrust(i int) string {
	hop := h.Hops[i]
	host, port, err := net.SplitHostPort(hop.Address)
	if err != nil {
		return ""
	}
	scan := "ssh-keyscan "
	if port != "22" {
		scan += "-p " + port + " "
	}
	scan += host
	if i > 0 { // seen from the last jump host
		before := h.Hops[i-1]
		at, jumpPort, _ := net.SplitHostPort(before.Address)
		if before.User != "" {
			at = before.User + "@" + at
		}
		if jumpPort != "22" {
			at = "-p " + jumpPort + " " + at
		}
		scan = "ssh " + at + " " + scan
	}
	if hop.Name != host { // its keys are known under an alias
		scan += fmt.Sprintf(" | sed 's/^[^ #]*/%s/'", hop.Name)
	}
	file, known := strings.ReplaceAll(hop.Name, ":", "-")+".keys", h.knownFile()
	return fmt.Sprintf("%s >%s; ssh-keygen -lf %s; compare with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says on the machine itself; where they are equal: cat %s >>%s",
		scan, file, file, file, known)
}

// knownFile is where keys are known, as a shell reads it.
func (h Host) knownFile() string {
	if h.KnownHosts == "" || strings.ContainsAny(h.KnownHosts, " '\"$`\\") {
		return ssh.Quote(cmp.Or(h.KnownHosts, "known_hosts"))
	}
	return h.KnownHosts
}

// forget is what to type to take the keys of hop i away: one that is no longer the machine's would stay believed beside the new one.
func (h Host) forget(i int) string {
	name := h.Hops[i].Name
	if host, port, err := net.SplitHostPort(h.Hops[i].Address); err == nil && port != "22" && host == name {
		name = "[" + host + "]:" + port
	}
	return "ssh-keygen -f " + h.knownFile() + " -R " + ssh.Quote(name)
}

// mayChange refuses verbs that change something where machines are only read.
func (c *Core) mayChange(op string) error {
	if !c.Plugin.Traits.ReadOnly {
		return nil
	}
	return ReadOnlyError(c.Plugin.Name, op, "environment "+c.Plan.Env)
}

// ReadOnlyError is the refusal of a provider, or of the core for it, whose machines are only read.
func ReadOnlyError(provider, op, subject string) error {
	return &Error{
		Code: Unsupported, Op: op, Subject: subject, Err: fmt.Errorf("machines of provider %s exist already and are only read", provider),
		Hint: "status, ssh, facts, compare and audit work here",
	}
}
