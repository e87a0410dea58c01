// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

func defaultDeny(t *testing.T, p *pair) {
	rules := command(t, p.dbShell, "sudo -n nft list chain inet evenkeel input")
	if !strings.Contains(rules, "hook input") || !strings.Contains(rules, "policy drop") {
		t.Errorf("got rules\n%s\nwant a chain on input that drops", rules)
	}
	serve(t, p.dbShell, "db-1", openPort, closedPort)
	var work sync.WaitGroup
	defer work.Wait()
	for _, port := range []int{openPort, closedPort} {
		work.Go(func() {
			if got, err := fetchFrom(t, p.webShell, p.db.Address, port); err == nil {
				t.Errorf("web-1 gets %q from port %d of db-1, which nothing allows", got, port)
			}
		})
	}
}

func reachEachOther(t *testing.T, p *pair) {
	if p.web.Address == "" || p.web.Address == p.db.Address {
		t.Fatalf("got addresses %q and %q, want two different ones", p.web.Address, p.db.Address)
	}
	allow(t, p.dbShell, fmt.Sprintf("ip saddr %s tcp dport %d accept", p.web.Address, openPort))
	if got, err := fetchFrom(t, p.webShell, p.db.Address, openPort); err != nil || got != "db-1" {
		t.Errorf("web-1 gets %q, %v from db-1, want its name", got, err)
	}
	if got, err := fetchFrom(t, p.webShell, p.db.Address, closedPort); err == nil {
		t.Errorf("web-1 gets %q from port %d of db-1, which nothing allows", got, closedPort)
	}
	conn, err := p.dbShell.DialContext(t.Context(), "tcp", net.JoinHostPort(p.db.Address, strconv.Itoa(openPort)))
	if err != nil {
		t.Errorf("db-1 does not reach itself at its own address, as health checks do: %v", err)
		return
	}
	_ = conn.Close()
}

// serve answers each connection to the ports with name, until the machine stops. Perl is in every Debian.
func serve(t *testing.T, shell *ssh.Client, name string, ports ...int) {
	t.Helper()
	for _, port := range ports {
		command(t, shell, fmt.Sprintf(`setsid perl -MIO::Socket::INET -e '`+
			`$SIG{CHLD}="IGNORE";$l=IO::Socket::INET->new(LocalPort=>%d,Listen=>9,ReuseAddr=>1) or exit 1;while($c=$l->accept){print $c "%s\n";close $c}' </dev/null >/dev/null 2>&1 &`+
			"\nfor i in 1 2 3 4 5 6 7 8 9 10; do (: </dev/tcp/127.0.0.1/%d) 2>/dev/null && exit 0; sleep 0.3; done; exit 1", port, name, port))
	}
}

// allow lays the machine's inbound rules as Settle does.
func allow(t *testing.T, shell *ssh.Client, rules ...string) {
	t.Helper()
	var lines []string
	for _, r := range rules {
		lines = append(lines, "add rule inet evenkeel input "+r)
	}
	command(t, shell, "sudo -n sh -c "+ssh.Quote("mkdir -p /etc/evenkeel/nft && cat >"+providers.PathRules+" <<'END'\n"+strings.Join(lines, "\n")+"\nEND\nnft -f /etc/nftables.conf && sync"))
}

// fetchFrom connects from a machine and reads a line.
func fetchFrom(t *testing.T, shell *ssh.Client, host string, port int) (string, error) {
	t.Helper()
	return try(t, shell, fmt.Sprintf("timeout 3 bash -c 'read -r line </dev/tcp/%s/%d && echo \"$line\"'", host, port))
}

func fetch(t *testing.T, port int) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	var line string
	_, err = fmt.Fscanln(conn, &line)
	return line, err
}

func hostPort(t *testing.T, m providers.Machine, port int) int {
	t.Helper()
	for _, p := range m.Ports {
		if p.Port == port && p.Proto == "tcp" && p.HostPort > 0 {
			return p.HostPort
		}
	}
	t.Fatalf("got ports %+v, want %d among them with its port on loopback", m.Ports, port)
	return 0
}

func publishedReachable(t *testing.T, p *pair) {
	serve(t, p.webShell, "web-1", openPort, closedPort)
	allow(t, p.webShell, fmt.Sprintf("tcp dport { %d, %d } accept", openPort, closedPort))
	if !p.h.Plugin.Traits.Local {
		return // such places publish on the machine's address, which the test may not reach
	}
	if got, err := fetch(t, hostPort(t, p.web, openPort)); err != nil || got != "web-1" {
		t.Errorf("got %q, %v through the published port, want the machine's name", got, err)
	}
}

func publishUpToDate(t *testing.T, p *pair) {
	if !p.h.Plugin.Traits.Local {
		return
	}
	before := hostPort(t, p.web, openPort)
	more := p.webSpec
	more.Publish = append(slices.Clone(p.webSpec.Publish), providers.Port{Port: closedPort, Proto: "tcp"})
	m := p.put(t, more)
	if m.ID != p.web.ID {
		t.Fatalf("publishing a port replaced the machine: got %q, want %q", m.ID, p.web.ID)
	}
	added := hostPort(t, m, closedPort)
	if got := hostPort(t, m, openPort); got != before {
		t.Errorf("publishing a port moved another from %d to %d", before, got)
	}
	for _, port := range []int{before, added} {
		if got, err := fetch(t, port); err != nil || got != "web-1" {
			t.Errorf("got %q, %v through port %d, want the machine's name", got, err, port)
		}
	}
	if listed := p.list(t, p.open(t), p.env); len(listed) != 2 || !slices.Equal(listed[1].Ports, m.Ports) {
		t.Errorf("another process sees %+v, want ports %+v", listed, m.Ports)
	}
	m = p.put(t, p.webSpec)
	if got := hostPort(t, m, openPort); got != before || len(m.Ports) != 1 {
		t.Errorf("got ports %+v, want %d alone on %d", m.Ports, openPort, before)
	}
	if got, err := fetch(t, added); err == nil {
		t.Errorf("got %q through port %d, which is published no more", got, added)
	}
}

func takenPort(t *testing.T, p *pair) {
	if !p.h.Plugin.Traits.Local {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	spec := p.webSpec
	spec.Publish = append(slices.Clone(p.webSpec.Publish), providers.Port{Port: closedPort, Proto: "tcp", HostPort: taken})
	_, err = p.p.PutMachine(t.Context(), spec, p.ref, nil)
	wantCode(t, err, providers.Exhausted, providers.Conflict)
	if err != nil && !strings.Contains(err.Error(), strconv.Itoa(taken)) {
		t.Errorf("%q does not name port %d", err, taken)
	}
	m := p.put(t, p.webSpec)
	if m.ID != p.web.ID || !slices.Equal(m.Ports, p.web.Ports) {
		t.Errorf("got %+v, want %+v as it was", m, p.web)
	}
	if got, err := fetch(t, hostPort(t, m, openPort)); err != nil || got != "web-1" {
		t.Errorf("got %q, %v through the published port, want the machine's name", got, err)
	}
}
