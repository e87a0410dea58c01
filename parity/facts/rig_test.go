// SPDX-License-Identifier: Apache-2.0

package facts_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/parity/facts"
	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
)

const principal = "web-1.shop.laptop"

// rig is SSH servers on loopback that all answer alike, and who may log in.
type rig struct {
	ca       *ssh.HostCA
	identity *ssh.Identity
	key      sshtest.HostKey
}

func newRig(t testing.TB) *rig {
	t.Helper()
	t.Setenv("SSH_AUTH_SOCK", "")
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 200 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		stacks := make([]byte, 1<<16)
		t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
	})
	r := &rig{}
	var err error
	if r.ca, err = ssh.NewHostCA(); err != nil {
		t.Fatal(err)
	}
	if r.identity, err = ssh.LoadIdentity("", t.TempDir()+"/id"); err != nil {
		t.Fatal(err)
	}
	private, public, err := ssh.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := r.ca.Sign(public, []string{principal}, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.key = sshtest.HostKey{Private: private, Certificate: cert}
	return r
}

// machine is one that runs commands by exec.
func (r *rig) machine(t testing.TB, name string, exec func(context.Context, *sshtest.Session) int) facts.Machine {
	t.Helper()
	server, err := sshtest.Serve(t.Context(), sshtest.Config{
		HostKeys:   func() ([]sshtest.HostKey, error) { return []sshtest.HostKey{r.key}, nil },
		Authorized: func(string) []string { return r.identity.PublicKeys() },
		Exec:       exec,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return facts.Machine{Subject: parity.Subject{Tier: "laptop", Name: name, Kind: "web"}, Dial: func(ctx context.Context) (*ssh.Client, error) {
		return ssh.Dial(ctx, ssh.Target{Address: server.Addr(), User: "deploy", HostCA: r.ca.PublicKey(), Principal: principal, Identity: r.identity, Timeout: 10 * time.Second})
	}}
}

// pairs takes KEY=VALUE lines.
func pairs(raw []byte) ([]parity.Item, error) {
	var items []parity.Item
	for line := range strings.Lines(string(raw)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			return nil, fmt.Errorf("no = in %q", line)
		}
		items = append(items, parity.Item{Key: key, Value: value})
	}
	return items, nil
}

func group(name, script string) collectors.Group {
	return collectors.Group{Name: name, Lane: parity.Stable, Script: script, Parse: pairs}
}

// collect reads machines and returns their snapshots by name.
func collect(t testing.TB, o facts.Options, machines ...facts.Machine) map[string]*parity.Snapshot {
	t.Helper()
	o.Key = []byte("0123456789abcdef")
	all := map[string]*parity.Snapshot{}
	err := facts.Collect(t.Context(), machines, o, func(s *parity.Snapshot) error {
		if all[s.Subject.Name] != nil {
			t.Errorf("%s came twice", s.Subject.Name)
		}
		all[s.Subject.Name] = s
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != len(machines) {
		t.Fatalf("got %d snapshots of %d machines", len(all), len(machines))
	}
	return all
}

// text is a snapshot in few words: NAME{k=v k=v} or NAME?reason.
func text(s *parity.Snapshot) string {
	if s.Unreachable != "" {
		return "unreachable: " + s.Unreachable
	}
	var words []string
	for _, section := range s.Sections {
		if section.Unknown != "" {
			words = append(words, section.Name+"?"+section.Unknown)
			continue
		}
		var items []string
		for _, item := range section.Items {
			items = append(items, item.Key+"="+item.Value)
		}
		words = append(words, section.Name+"{"+strings.Join(items, " ")+"}")
	}
	return strings.Join(words, "; ")
}
