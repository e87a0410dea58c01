// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/evenkeel/evenkeel/providers"
)

// outsideID is the netdev that forwards; QEMU's monitor calls it so too.
const outsideID = "out0"

// Free ports are looked for below Linux's ephemeral range (32768-60999), whose ports come and go with every connection.
const (
	firstPort = 20000
	lastPort  = 29999
)

// outsideNetdev is QEMU's argument for the user network with its forwards.
func outsideNetdev(ports []port) string {
	var b strings.Builder
	b.WriteString("user,id=" + outsideID + ",ipv6=off")
	for _, p := range ports {
		b.WriteString(",hostfwd=" + p.rule())
	}
	return b.String()
}

// rule is a forward in QEMU's words.
func (p port) rule() string {
	return fmt.Sprintf("%s:127.0.0.1:%d-:%d", p.Proto, p.Host, p.Guest)
}

// claim says which loopback ports are not to be had: those in domains' records, started or not.
type claim map[hostPort]bool

type hostPort struct {
	proto string
	port  int
}

// choosePorts gives every port of want, and SSH's, a loopback port: the one it had, else a free one that depends on the machine's name, so
// that it tends to be the same again. A pinned port that somebody has is Conflict.
func choosePorts(env, name string, want []providers.Port, had []port, taken claim, free func(hostPort) error) ([]port, error) {
	var wanted, ports []port
	for _, w := range want {
		wanted = append(wanted, port{Guest: w.Port, Proto: w.Proto, Host: w.HostPort, Pinned: w.HostPort != 0, Published: true})
	}
	if ssh := (port{Guest: sshPort, Proto: "tcp"}); !slices.ContainsFunc(wanted, ssh.serves) {
		wanted = append(wanted, ssh)
	}
	// Pinned ones first, so that a chosen one is never in their way.
	slices.SortStableFunc(wanted, func(a, b port) int { return boolOrder(!a.Pinned, !b.Pinned) })
	for _, p := range wanted {
		i := slices.IndexFunc(had, p.serves)
		switch {
		case p.Pinned && i >= 0 && had[i].Host == p.Host:
		case p.Pinned:
			if err := available(p, ports, taken, free); err != nil {
				return nil, err
			}
		case i >= 0 && !inUse(ports, had[i]):
			p.Host = had[i].Host
		default:
			var err error
			if p.Host, err = freePort(env, name, p, ports, taken, free); err != nil {
				return nil, err
			}
		}
		ports = append(ports, p)
	}
	slices.SortFunc(ports, func(a, b port) int {
		if (a.Guest == sshPort) != (b.Guest == sshPort) {
			return boolOrder(a.Guest != sshPort, b.Guest != sshPort)
		}
		return (a.Guest-b.Guest)*2 + strings.Compare(a.Proto, b.Proto)
	})
	return ports, nil
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

func available(p port, ours []port, taken claim, free func(hostPort) error) error {
	hp := hostPort{p.Proto, p.Host}
	if first := firstUnprivileged(); p.Host < first {
		return &coded{
			providers.Denied,
			fmt.Errorf("loopback port %d/%s, pinned for port %d: ports below %d are root's, and QEMU does not run as root", p.Host, p.Proto, p.Guest, first),
			fmt.Sprintf("pin a port from %d on under publish:", first),
		}
	}
	if inUse(ours, p) || taken[hp] {
		return &coded{providers.Conflict, fmt.Errorf("loopback port %d/%s, pinned for port %d, belongs to another machine", p.Host, p.Proto, p.Guest), "pin another port under publish:, or none"}
	}
	if err := free(hp); err != nil {
		return &coded{providers.Conflict, fmt.Errorf("loopback port %d/%s, pinned for port %d: %w", p.Host, p.Proto, p.Guest, err), "stop what listens there (ss -lntup), or pin another port under publish:"}
	}
	return nil
}

// firstUnprivileged is the first port that anybody may listen on (ip(7), ip_unprivileged_port_start).
func firstUnprivileged() int {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		return 1024
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 1024
	}
	return n
}

func freePort(env, name string, p port, ours []port, taken claim, free func(hostPort) error) (int, error) {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s %s %d %s", env, name, p.Guest, p.Proto)
	const n = lastPort - firstPort + 1
	start := int(h.Sum32() % n)
	for i := range n {
		p.Host = firstPort + (start+i)%n
		if available(p, ours, taken, free) == nil {
			return p.Host, nil
		}
	}
	return 0, fail(providers.Exhausted, "no loopback port from %d to %d is free", firstPort, lastPort)
}

// listening tries to listen as QEMU will. The answer holds for the moment only: QEMU itself has the last word.
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

func cause(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}

var forwardFailed = regexp.MustCompile(`[Cc]ould not set up host forwarding rule '(tcp|udp):127\.0\.0\.1:(\d+)-`)

// lostPort reads which forward QEMU could not set up, from the error of a start.
func lostPort(err error) (hostPort, bool) {
	if err == nil {
		return hostPort{}, false
	}
	m := forwardFailed.FindStringSubmatch(err.Error())
	if m == nil {
		return hostPort{}, false
	}
	n, _ := strconv.Atoi(m[2]) // digits only
	return hostPort{m[1], n}, true
}

// forwards parses what QEMU's monitor says to "info usernet": lines like
//
//	TCP[HOST_FORWARD]  13       127.0.0.1 20022       10.0.2.15    22     0     0
func forwards(text string) []port {
	var ports []port
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 6 {
			continue
		}
		proto := map[string]string{"TCP[HOST_FORWARD]": "tcp", "UDP[HOST_FORWARD]": "udp"}[f[0]]
		host, err1 := strconv.ParseUint(f[3], 10, 16)
		inside, err2 := strconv.ParseUint(f[5], 10, 16)
		if proto != "" && err1 == nil && err2 == nil {
			ports = append(ports, port{Guest: int(inside), Proto: proto, Host: int(host)})
		}
	}
	return ports
}

// claimed gathers the loopback ports in all domains' records but one domain's own.
func (p *provider) claimed(ctx context.Context, except string) (claim, error) {
	all, err := p.domains(ctx, "")
	if err != nil {
		return nil, err
	}
	taken := claim{}
	for _, d := range all {
		if d.uuid == except {
			continue
		}
		for _, q := range d.record.Ports {
			taken[hostPort{q.Proto, q.Host}] = true
		}
	}
	return taken, nil
}
