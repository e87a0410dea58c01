// SPDX-License-Identifier: Apache-2.0

package libvirt_test

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/libvirt"
)

func allFree(libvirt.HostPort) error { return nil }

func choose(t *testing.T, want []providers.Port, had []libvirt.Port, taken libvirt.Claim) []libvirt.Port {
	t.Helper()
	ports, err := libvirt.ChoosePorts("shop.laptop", "web-1", want, had, taken, allFree)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

func TestSSHIsAlwaysForwardedAndFirst(t *testing.T) {
	ports := choose(t, []providers.Port{{Port: 80, Proto: "tcp"}, {Port: 7, Proto: "udp"}}, nil, nil)
	if len(ports) != 3 || ports[0].Guest != 22 || ports[0].Published {
		t.Fatalf("got %+v, want SSH first and not published, then 2 more", ports)
	}
	if ports[1].Guest != 7 || ports[1].Proto != "udp" || ports[2].Guest != 80 || !ports[1].Published || !ports[2].Published {
		t.Errorf("got %+v, want 7/udp and 80/tcp published", ports)
	}
	for _, p := range ports {
		if p.Host < 20000 || p.Host > 29999 || p.Pinned {
			t.Errorf("got %+v, want a chosen port below the ephemeral ones", p)
		}
	}
	ports = choose(t, []providers.Port{{Port: 22, Proto: "tcp", HostPort: 2222}}, nil, nil)
	if len(ports) != 1 || ports[0].Host != 2222 || !ports[0].Published {
		t.Errorf("got %+v, want SSH published once, where it is pinned", ports)
	}
}

func TestPortsStayWhatTheyWere(t *testing.T) {
	first := choose(t, []providers.Port{{Port: 80, Proto: "tcp"}}, nil, nil)
	if again := choose(t, []providers.Port{{Port: 80, Proto: "tcp"}}, nil, nil); !slices.Equal(first, again) {
		t.Errorf("the same machine gets %+v and then %+v", first, again)
	}
	had := []libvirt.Port{{Guest: 22, Proto: "tcp", Host: 20001}, {Guest: 80, Proto: "tcp", Host: 20002, Published: true}}
	got := choose(t, []providers.Port{{Port: 80, Proto: "tcp"}, {Port: 81, Proto: "tcp"}}, had, nil)
	if !slices.Equal(got[:2], had) || len(got) != 3 {
		t.Errorf("got %+v, want the old ones as they were and one more", got)
	}
	if got := choose(t, nil, had, nil); !slices.Equal(got, had[:1]) {
		t.Errorf("got %+v, want SSH alone", got)
	}
}

func TestChosenPortsAvoidWhatIsTaken(t *testing.T) {
	free := choose(t, []providers.Port{{Port: 80, Proto: "tcp"}}, nil, nil)
	taken := libvirt.Claim{libvirt.NewHostPort("tcp", free[0].Host): true, libvirt.NewHostPort("tcp", free[1].Host): true}
	got := choose(t, []providers.Port{{Port: 80, Proto: "tcp"}}, nil, taken)
	for i := range got {
		if got[i].Host == free[i].Host {
			t.Errorf("port %d is chosen although it is taken", got[i].Host)
		}
	}
	pinned := choose(t, []providers.Port{{Port: 80, Proto: "tcp"}, {Port: 81, Proto: "tcp", HostPort: free[1].Host}}, nil, nil)
	if pinned[1].Host == pinned[2].Host {
		t.Errorf("got %+v: a chosen port is in the way of a pinned one", pinned)
	}
}

func TestPinnedPortThatSomebodyHasIsAConflictThatNamesIt(t *testing.T) {
	want := []providers.Port{{Port: 80, Proto: "tcp", HostPort: 8080}}
	for what, run := range map[string]func() error{
		"another machine": func() error {
			_, err := libvirt.ChoosePorts("a.b", "c", want, nil, libvirt.Claim{libvirt.NewHostPort("tcp", 8080): true}, allFree)
			return err
		},
		"another program": func() error {
			_, err := libvirt.ChoosePorts("a.b", "c", want, nil, nil, func(libvirt.HostPort) error { return errors.New("in use") })
			return err
		},
		"itself": func() error {
			_, err := libvirt.ChoosePorts("a.b", "c", append(want, providers.Port{Port: 81, Proto: "tcp", HostPort: 8080}), nil, nil, allFree)
			return err
		},
	} {
		err := libvirt.Wrap("create", "machine c", run())
		if providers.CodeOf(err) != providers.Conflict || !strings.Contains(err.Error(), "8080") {
			t.Errorf("%s: got %v, want a conflict that names 8080", what, err)
		}
	}
}

func TestPinnedPortOfRootIsDenied(t *testing.T) {
	_, err := libvirt.ChoosePorts("a.b", "c", []providers.Port{{Port: 80, Proto: "tcp", HostPort: 80}}, nil, nil, allFree)
	if first := libvirt.FirstUnprivileged(); first <= 80 {
		t.Skipf("here anybody may listen from port %d on", first)
	}
	if got := providers.CodeOf(libvirt.Wrap("create", "machine c", err)); got != providers.Denied {
		t.Errorf("got code %q (%v), want denied", got, err)
	}
}

func TestNoFreePortIsExhausted(t *testing.T) {
	_, err := libvirt.ChoosePorts("a.b", "c", nil, nil, nil, func(libvirt.HostPort) error { return errors.New("in use") })
	if got := providers.CodeOf(libvirt.Wrap("create", "machine c", err)); got != providers.Exhausted {
		t.Errorf("got code %q (%v), want exhausted", got, err)
	}
}

func TestListeningSeesWhoListens(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	if err := libvirt.Listening(libvirt.NewHostPort("tcp", port)); err == nil || err.Error() != "address already in use" {
		t.Errorf("got %v for a port that is taken", err)
	}
	if err := libvirt.Listening(libvirt.NewHostPort("udp", port)); err != nil {
		t.Errorf("got %v for the same port of another protocol", err)
	}
}

func TestLostPortIsReadFromQEMU(t *testing.T) {
	for text, want := range map[string]libvirt.HostPort{
		"internal error: process exited while connecting to monitor: 2026 qemu-system-x86_64: -netdev user,id=out0: Could not set up host forwarding rule 'tcp:127.0.0.1:20123-:22'": libvirt.NewHostPort("tcp", 20123),
		"qemu: could not set up host forwarding rule 'udp:127.0.0.1:53-:53'": libvirt.NewHostPort("udp", 53),
	} {
		if got, ok := libvirt.LostPort(errors.New(text)); !ok || got != want {
			t.Errorf("%s: got %v %v, want %v", text, got, ok, want)
		}
	}
	if _, ok := libvirt.LostPort(errors.New("Cannot allocate memory")); ok {
		t.Error("another failure is taken for a lost port")
	}
	if _, ok := libvirt.LostPort(nil); ok {
		t.Error("success is taken for a lost port")
	}
}

const usernet = `Hub -1 (out0):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[HOST_FORWARD]  20       127.0.0.1 22832       10.0.2.15    80     0     0
  TCP[HOST_FORWARD]  19       127.0.0.1 26848       10.0.2.15    22     0     0
  TCP[ESTABLISHED]   31       127.0.0.1 26848       10.0.2.15    22     0     0
  UDP[HOST_FORWARD]  21       127.0.0.1 20053       10.0.2.15    53     0     0
`

func TestForwardsAreReadFromTheMonitor(t *testing.T) {
	want := []libvirt.Port{
		{Guest: 80, Proto: "tcp", Host: 22832}, {Guest: 22, Proto: "tcp", Host: 26848}, {Guest: 53, Proto: "udp", Host: 20053},
	}
	if got := libvirt.Forwards(usernet); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func FuzzForwardsNeverPanic(f *testing.F) {
	f.Add(usernet)
	f.Add("[HOST_FORWARD] 0 0 0 0 0")
	f.Add("TCP[HOST_FORWARD] 0 0 -1 0 99999")
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range libvirt.Forwards(text) {
			if p.Proto == "" || p.Host < 0 || p.Guest > 65535 {
				t.Errorf("%q: got forward %+v", text, p)
			}
		}
		_, _ = libvirt.LostPort(errors.New(text))
	})
}
