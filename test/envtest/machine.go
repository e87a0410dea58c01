// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// Machine is a machine of an environment.
type Machine struct {
	env *Env
	m   providers.Machine
}

// Name is the machine's: web-1.
func (m *Machine) Name() string { return m.m.Name }

// Addr is host:port at which a TCP port of the machine is reached from here. The test ends where the definition does not let that in from anywhere.
func (m *Machine) Addr(port int) string {
	m.env.t.Helper()
	addr, ok := m.env.of.s.Addr(m.m, port, "tcp")
	if !ok {
		m.env.t.Fatalf("envtest: port %d of %s is not reached from here; say in env.yaml: allow: [{from: anywhere, port: %d}]", port, m.m.Name, port)
	}
	return addr
}

// SSH is host:port of its SSH server; "" where it can be reached by its provider only.
func (m *Machine) SSH() string { return m.m.SSH }

// Error is a command that ran on a machine and failed.
type Error struct {
	Machine string
	Command string
	Status  int // 128 and more for a signal
	Stderr  string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s on %s: exit status %d", e.Command, e.Machine, e.Status)
	if said := strings.TrimSpace(providers.Printable(e.Stderr)); said != "" {
		text += ": " + said
	}
	return text
}

// maxOutput bounds what a command may say.
const maxOutput = 16 << 20

// Run runs a command on the machine, as the definition's login user, which may sudo, and returns its standard output. Words are the command's, as they stand; for a shell say "sh", "-c",
// LINE. A command that fails is an *Error.
func (m *Machine) Run(ctx context.Context, words ...string) (string, error) {
	client, err := m.env.of.client(ctx, m.m)
	if err != nil {
		return "", fmt.Errorf("cannot reach %s: %w", m.m.Name, err)
	}
	var quoted []string
	for _, w := range words {
		quoted = append(quoted, ssh.Quote(w))
	}
	line := strings.Join(quoted, " ")
	out, said := bounded{}, bounded{}
	err = client.Run(ctx, ssh.Command{Line: line, Stdout: &out, Stderr: &said})
	if exit, ok := errors.AsType[*ssh.ExitError](err); ok {
		return out.String(), &Error{Machine: m.m.Name, Command: line, Status: exit.Status, Stderr: said.String()}
	}
	if err != nil {
		return out.String(), fmt.Errorf("%s on %s: %w", line, m.m.Name, err)
	}
	return out.String(), nil
}

// Console is what the machine's console showed, the last 64 KiB; "" where its place keeps none. It is the machine's own word.
func (m *Machine) Console(ctx context.Context) (string, error) {
	console, ok := providers.As[providers.Consoler](m.env.of.s.Provider)
	if !ok {
		return "", nil
	}
	text, err := console.Console(ctx, m.m.ID, 64<<10)
	return string(text), err
}

// Logs is the end of the machine's journal: so many records, a line each, without the environment's secrets.
func (m *Machine) Logs(ctx context.Context, records int) (string, error) {
	return m.env.of.journal(ctx, m.env.of.s, m.m.Name, records)
}

// client is a connection to the machine, kept as long as it lives.
func (p *place) client(ctx context.Context, m providers.Machine) (*ssh.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.clients[m.Name]; c != nil {
		if ctx.Err() == nil && c.Run(ctx, ssh.Command{Line: "true"}) == nil { // it may have been rebuilt
			return c, nil
		}
		_ = c.Close() // it is broken
		delete(p.clients, m.Name)
	}
	list, err := p.s.Provider.ListMachines(ctx, p.s.Plan.Env)
	if err != nil {
		return nil, err
	}
	for _, there := range list {
		if there.Role() == m.Name {
			c, err := p.s.Dial(ctx, there, p.s.Plan.Access.User)
			if err == nil {
				p.clients[m.Name] = c
			}
			return c, err
		}
	}
	return nil, fmt.Errorf("environment %s has it no longer", p.s.Plan.Env)
}

// bounded keeps the first of what is written.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxOutput {
		return 0, fmt.Errorf("it says more than %d bytes", maxOutput)
	}
	return b.Buffer.Write(p)
}
