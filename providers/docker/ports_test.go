// SPDX-License-Identifier: Apache-2.0

package docker_test

import (
	"errors"
	"net"
	"slices"
	"testing"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/docker"
)

var (
	web    = docker.Port{Inside: 80, Proto: "tcp", Host: 30080}
	tls    = docker.Port{Inside: 443, Proto: "tcp", Host: 8443, Pinned: true}
	lookup = docker.Port{Inside: 53, Proto: "udp", Host: 30053}
)

func free(docker.HostPort) error { return nil }

func TestPortsComeBackAsTheyWereWritten(t *testing.T) {
	list := []docker.Port{web, tls, lookup}
	if got := docker.ParsePorts(docker.PortsText(list)); !slices.Equal(got, list) {
		t.Errorf("got %+v, want %+v", got, list)
	}
	for _, text := range []string{"x", "80=1", "80/tcp", "80/tcp=0", "0/tcp=1", "80/sctp=1", "80/tcp=70000", "/tcp=1", "80/tcp=1!!"} {
		if got := docker.ParsePorts(text); len(got) > 0 {
			t.Errorf("%q: got %+v, want nothing", text, got)
		}
	}
}

func FuzzPorts(f *testing.F) {
	f.Add("80/tcp=20080 443/tcp=8443!")
	f.Fuzz(func(t *testing.T, text string) {
		list := docker.ParsePorts(text)
		if again := docker.ParsePorts(docker.PortsText(list)); !slices.Equal(again, list) {
			t.Errorf("%q: got %+v and then %+v", text, list, again)
		}
	})
}

func TestPortsStayWhereTheyWere(t *testing.T) {
	want := []providers.Port{{Port: 80, Proto: "tcp"}, {Port: 53, Proto: "udp"}}
	one, err := docker.ChoosePorts("a.b", "web-1", want, nil, nil, free)
	if err != nil {
		t.Fatal(err)
	}
	again, err := docker.ChoosePorts("a.b", "web-1", want, nil, nil, free)
	if err != nil || !slices.Equal(one, again) {
		t.Errorf("got %+v and %+v, %v, want the same ports for the same machine", one, again, err)
	}
	// Somebody has one of them by now: it stays, since it is the machine's.
	taken := func(docker.HostPort) error { return errors.New("address already in use") }
	kept, err := docker.ChoosePorts("a.b", "web-1", want, one, nil, taken)
	if err != nil || !slices.Equal(kept, one) {
		t.Errorf("got %+v, %v, want %+v", kept, err, one)
	}
	moved, err := docker.ChoosePorts("a.b", "web-1", want[:1], nil, docker.Claim{docker.ClaimOf(one[1]): true}, free)
	if err != nil || moved[0].Host == one[1].Host {
		t.Errorf("got %+v, %v, want another than %+v, which another machine has", moved, err, one[1])
	}
}

func TestPinnedPortThatIsTakenIsAConflict(t *testing.T) {
	pinned := []providers.Port{{Port: 80, Proto: "tcp", HostPort: 8080}}
	for what, choose := range map[string]func() error{
		"another machine has it": func() error {
			_, err := docker.ChoosePorts("a.b", "web-1", pinned, nil, docker.Claim{docker.ClaimOf(docker.Port{Proto: "tcp", Host: 8080}): true}, free)
			return err
		},
		"a program listens there": func() error {
			_, err := docker.ChoosePorts("a.b", "web-1", pinned, nil, nil, func(docker.HostPort) error { return errors.New("in use") })
			return err
		},
		"it is pinned twice": func() error {
			_, err := docker.ChoosePorts("a.b", "web-1", append(pinned, providers.Port{Port: 81, Proto: "tcp", HostPort: 8080}), nil, nil, free)
			return err
		},
	} {
		if err := docker.Wrap("publish", "machine", choose()); providers.CodeOf(err) != providers.Conflict {
			t.Errorf("%s: got %v, want a conflict", what, err)
		}
	}
}

func TestListeningNamesWhatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := docker.ClaimOf(docker.Port{Proto: "tcp", Host: l.Addr().(*net.TCPAddr).Port})
	if err := docker.Listening(at); err == nil || err.Error() != "address already in use" {
		t.Errorf("got %v, want that it is in use", err)
	}
	_ = l.Close()
	if err := docker.Listening(at); err != nil {
		t.Errorf("got %v, want it free", err)
	}
}

// TestChangedPortsLeaveTheOthersAlone: forwards whose ports all stay are not touched.
func TestChangedPortsLeaveTheOthersAlone(t *testing.T) {
	repinned := tls
	repinned.Host = 9443
	for _, c := range []struct {
		what string
		have [][]docker.Port
		want []docker.Port
		gone []int
		make []docker.Port
	}{
		{"nothing to do", [][]docker.Port{{web, tls}}, []docker.Port{web, tls}, nil, nil},
		{"one more", [][]docker.Port{{web}}, []docker.Port{web, tls}, nil, []docker.Port{tls}},
		{"one less", [][]docker.Port{{web}, {tls}}, []docker.Port{web}, []int{1}, nil},
		{"one less of two that share", [][]docker.Port{{web, tls}}, []docker.Port{web}, []int{0}, []docker.Port{web}},
		{"another number", [][]docker.Port{{web}, {tls}}, []docker.Port{web, repinned}, []int{1}, []docker.Port{repinned}},
		{"none any more", [][]docker.Port{{web}}, nil, []int{0}, nil},
		{"one twice, by two runs", [][]docker.Port{{web}, {web}}, []docker.Port{web}, []int{1}, nil},
	} {
		gone, made := docker.Reconcile(c.have, true, c.want)
		if !slices.Equal(gone, c.gone) || !slices.Equal(made, c.make) {
			t.Errorf("%s: got %v gone and %v made, want %v and %v", c.what, gone, made, c.gone, c.make)
		}
	}
	if gone, made := docker.Reconcile([][]docker.Port{{web}}, false, []docker.Port{web}); len(gone) != 1 || len(made) != 1 {
		t.Errorf("got %v gone and %v made, want one that stands still to be made anew", gone, made)
	}
}
