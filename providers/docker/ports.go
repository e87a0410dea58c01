// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"syscall"

	"github.com/docker/go-connections/nat"

	"github.com/evenkeel/evenkeel/providers"
)

// Free ports are looked for below Linux's ephemeral range (32768-60999), whose ports come and go with every connection, and above those that other
// providers look in.
const (
	firstPort = 30000
	lastPort  = 32767
)

// port is a forward from loopback.
type port struct {
	Inside int
	Proto  string
	Host   int
	Pinned bool // the user chose Host, no other will do
}

// serves reports whether q is for the same port of the machine.
func (p port) serves(q port) bool { return p.Inside == q.Inside && p.Proto == q.Proto }

// claim says which loopback ports are not to be had: those in the labels of forwards, running or not.
type claim map[hostPort]bool

type hostPort struct {
	proto string
	port  int
}

func claimed(forwards []box, except string) claim {
	taken := claim{}
	for _, f := range forwards {
		if f.Labels[labelMachine] == except {
			continue
		}
		for _, q := range parsePorts(f.Labels[labelPorts]) {
			taken[hostPort{q.Proto, q.Host}] = true
		}
	}
	return taken
}

// choosePorts gives every port of want a loopback port: the one it had, else a free one that depends on the machine's name, so that it tends to be the
// same again. A pinned port that somebody has is Conflict.
func choosePorts(env, name string, want []providers.Port, had []port, taken claim, free func(hostPort) error) ([]port, error) {
	var wanted, ports []port
	for _, w := range want {
		wanted = append(wanted, port{Inside: w.Port, Proto: w.Proto, Host: w.HostPort, Pinned: w.HostPort != 0})
	}
	// Pinned ones first, so that a chosen one is never in their way.
	slices.SortStableFunc(wanted, func(a, b port) int { return boolOrder(!a.Pinned, !b.Pinned) })
	for _, p := range wanted {
		i := slices.IndexFunc(had, p.serves)
		switch {
		case p.Pinned && i >= 0 && had[i].Host == p.Host:
		case p.Pinned:
			if err := available(p, ports, had, taken, free); err != nil {
				return nil, err
			}
		case i >= 0 && !inUse(ports, had[i]):
			p.Host = had[i].Host
		default:
			var err error
			if p.Host, err = freePort(env, name, p, append(slices.Clone(ports), had...), taken, free); err != nil {
				return nil, err
			}
		}
		ports = append(ports, p)
	}
	slices.SortFunc(ports, comparePorts)
	return ports, nil
}

func comparePorts(a, b port) int {
	return cmp.Or(cmp.Compare(a.Inside, b.Inside), cmp.Compare(a.Proto, b.Proto))
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func inUse(ports []port, p port) bool {
	return slices.ContainsFunc(ports, func(q port) bool { return q.Host == p.Host && q.Proto == p.Proto })
}

// available: what the machine itself has now is not free to look at, but it will be.
func available(p port, ours, had []port, taken claim, free func(hostPort) error) error {
	hp := hostPort{p.Proto, p.Host}
	if inUse(ours, p) || taken[hp] {
		return &coded{providers.Conflict, fmt.Errorf("loopback port %d/%s, pinned for port %d, belongs to another machine", p.Host, p.Proto, p.Inside), "pin another port under publish:, or none"}
	}
	if inUse(had, p) {
		return nil
	}
	if err := free(hp); err != nil {
		return &coded{providers.Conflict, fmt.Errorf("loopback port %d/%s, pinned for port %d: %w", p.Host, p.Proto, p.Inside, err), "stop what listens there (ss -lntup), or pin another port under publish:"}
	}
	return nil
}

func freePort(env, name string, p port, ours []port, taken claim, free func(hostPort) error) (int, error) {
	const n = lastPort - firstPort + 1
	start := int(hashOf(env, name, strconv.Itoa(p.Inside), p.Proto) % n)
	for i := range n {
		p.Host = firstPort + (start+i)%n
		if available(p, ours, nil, taken, free) == nil {
			return p.Host, nil
		}
	}
	return 0, fail(providers.Exhausted, "no loopback port from %d to %d is free", firstPort, lastPort)
}

// listening tries to listen as the daemon will. The answer holds for the moment only: the daemon itself has the last word.
func listening(hp hostPort) error {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(hp.port))
	if hp.proto == "udp" {
		c, err := net.ListenPacket("udp4", address)
		if err != nil {
			return cause(err)
		}
		return c.Close()
	}
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return cause(err)
	}
	return l.Close()
}

// unheard is for a daemon whose loopback is elsewhere: it will say what is taken.
func unheard(hostPort) error { return nil }

// cause leaves out what the caller says better. That this process may not listen on a low port says nothing of the daemon.
func cause(err error) error {
	if errors.Is(err, syscall.EACCES) {
		return nil
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}

func exposed(ports []port) nat.PortSet {
	set := nat.PortSet{}
	for _, p := range ports {
		set[p.nat()] = struct{}{}
	}
	return set
}

func bindings(ports []port) nat.PortMap {
	m := nat.PortMap{}
	for _, p := range ports {
		m[p.nat()] = []nat.PortBinding{{HostIP: "127.0.0.1", HostPort: strconv.Itoa(p.Host)}}
	}
	return m
}

func (p port) nat() nat.Port { return nat.Port(strconv.Itoa(p.Inside) + "/" + p.Proto) }
