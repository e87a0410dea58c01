// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// Reach forwards from loopback to machines that only their provider reaches, as those of a docker on another computer. Close it.
type Reach struct {
	s         *Session
	ctx       context.Context
	stop      context.CancelFunc
	listeners []net.Listener
	work      sync.WaitGroup

	mu      sync.Mutex
	clients map[string]*ssh.Client
}

// Carried reports whether m's published ports are not on this computer's loopback, though its tier is a local one: its provider carries even SSH to it.
func (s *Session) Carried(m providers.Machine) bool {
	_, dials := providers.As[providers.Dialer](s.Provider)
	return dials && s.Plugin.Traits.Local && m.SSH == "" && m.State == providers.Running
}

// Reach gives the published TCP ports of machines that are Carried a free port of this computer's loopback each, which leads there over the machine's SSH until Close, and returns
// machines with those; a UDP port of such a machine is not published then. What a machine is rebuilt to is found again. s must stay open, with an identity.
func (s *Session) Reach(ctx context.Context, machines []providers.Machine) (*Reach, []providers.Machine, error) {
	r := &Reach{s: s, clients: map[string]*ssh.Client{}}
	r.ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	var list []providers.Machine
	for _, m := range machines {
		if !s.Carried(m) {
			list = append(list, m)
			continue
		}
		var ports []providers.Port
		for _, p := range m.Ports {
			if p.Proto != "tcp" {
				continue
			}
			var lc net.ListenConfig
			l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
			if err != nil {
				r.Close()
				return nil, nil, fmt.Errorf("cannot forward to port %d of machine %s: %w", p.Port, m.Name, err)
			}
			r.listeners = append(r.listeners, l)
			r.work.Go(func() { r.serve(l, m, p.Port) })
			p.HostPort = l.Addr().(*net.TCPAddr).Port
			ports = append(ports, p)
		}
		m.Ports = ports
		list = append(list, m)
	}
	return r, list, nil
}

// Close ends what is forwarded.
func (r *Reach) Close() {
	r.stop()
	for _, l := range r.listeners {
		_ = l.Close() // nobody is to come any more
	}
	r.mu.Lock()
	for name, c := range r.clients {
		_ = c.Close()
		delete(r.clients, name)
	}
	r.mu.Unlock()
	r.work.Wait()
}

func (r *Reach) serve(l net.Listener, m providers.Machine, port int) {
	for {
		near, err := l.Accept()
		if err != nil {
			return // closed
		}
		r.work.Go(func() {
			defer near.Close()
			far, err := r.dial(m, port)
			if err != nil {
				return // who connects sees the end, as of a port that nobody serves
			}
			defer far.Close()
			defer context.AfterFunc(r.ctx, func() { _, _ = near.Close(), far.Close() })()
			both := make(chan struct{})
			go func() {
				defer close(both)
				pass(far, near)
			}()
			pass(near, far)
			<-both
		})
	}
}

// pass copies until from ends, and lets to know.
func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from) // what is cut off, both ends see
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	_ = to.Close()
}

// dial connects to a port of the machine from the machine itself, at its address in the environment. A connection to it that has ended is made anew, once.
func (r *Reach) dial(m providers.Machine, port int) (net.Conn, error) {
	client, kept, err := r.client(m, nil)
	for err == nil {
		address := m.Address
		if address == "" {
			address = "127.0.0.1"
		}
		var far net.Conn
		if far, err = client.DialContext(r.ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(port))); err == nil {
			return far, nil
		}
		if !kept || r.ctx.Err() != nil {
			break
		}
		client, kept, err = r.client(m, client)
	}
	return nil, err
}

// client is a connection to the machine: the one there is, unless that is broken.
func (r *Reach) client(m providers.Machine, broken *ssh.Client) (_ *ssh.Client, kept bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.clients[m.Name]; c != nil {
		if c != broken && r.ctx.Err() == nil {
			return c, true, nil
		}
		_ = c.Close()
		delete(r.clients, m.Name)
	}
	list, err := r.s.Provider.ListMachines(r.ctx, r.s.Plan.Env)
	if err != nil {
		return nil, false, err
	}
	for _, there := range list {
		if there.Role() == m.Name {
			c, err := r.s.Dial(r.ctx, there, "")
			if err == nil {
				r.clients[m.Name] = c
			}
			return c, false, err
		}
	}
	return nil, false, errors.New("it is gone")
}
