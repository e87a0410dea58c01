// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
)

// answering is a place in memory whose machines are SSH servers: for what the core does with a machine that answers badly.
type answering struct {
	*place
	t    *testing.T
	made func(*providers.Machine) // may change what is recorded of a new machine
	exec func(ctx context.Context, s *sshtest.Session) int
}

func (p *answering) PutMachine(ctx context.Context, spec providers.Spec, _ providers.ImageRef, _ providers.Progress) (providers.Machine, error) {
	p.called("put machine " + spec.Name)
	m := p.serve(spec)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.machines = append(p.machines, m)
	return m, nil
}

// serve starts the machine spec describes, with its bootstrap host key for good.
func (p *answering) serve(spec providers.Spec) providers.Machine {
	key := sshtest.HostKey{Private: spec.Seed.HostKey, Certificate: spec.Seed.HostCertificate}
	server, err := sshtest.Serve(p.t.Context(), sshtest.Config{
		HostKeys:   func() ([]sshtest.HostKey, error) { return []sshtest.HostKey{key}, nil },
		Authorized: func(string) []string { return spec.Seed.AuthorizedKeys },
		Exec:       p.exec,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = server.Close() })
	m := providers.Machine{
		ID: fmt.Sprintf("id-%s-%d", spec.Name, len(p.calls)), Env: spec.Env, Name: spec.Name, State: providers.Running, SSH: server.Addr(),
		Labels: spec.Labels, Created: time.Now(),
	}
	if p.made != nil {
		p.made(&m)
	}
	return m
}

// answer is a core over machines that do with each command what exec says.
func answer(t *testing.T, exec func(ctx context.Context, s *sshtest.Session) int) (*providers.Core, *answering) {
	t.Helper()
	identity, err := ssh.LoadIdentity("", filepath.Join(t.TempDir(), "id"))
	if err != nil {
		t.Fatal(err)
	}
	p := &answering{place: &place{}, t: t, exec: exec}
	local := providers.Plugin{Name: "answering", Traits: providers.Traits{Local: true}}
	return &providers.Core{Plan: plan(web("1")), Plugin: local, Provider: p, Identity: identity, Owner: "me@here", Deadline: 30 * time.Second}, p
}

// finished puts web-1 with its final certificate.
func (p *answering) finished(c *providers.Core, labels providers.Labels) {
	p.t.Helper()
	p.put(c, labels, 0)
}

func (p *answering) put(c *providers.Core, labels providers.Labels, life time.Duration) {
	p.t.Helper()
	p.putAs(c, "web-1", labels, life)
}

func (p *answering) putAs(c *providers.Core, name string, labels providers.Labels, life time.Duration) {
	p.t.Helper()
	ca, err := ssh.NewHostCA()
	if err != nil {
		p.t.Fatal(err)
	}
	private, public, err := ssh.GenerateKey("")
	if err != nil {
		p.t.Fatal(err)
	}
	cert, err := ca.Sign(public, []string{name + ".shop.laptop"}, life)
	if err != nil {
		p.t.Fatal(err)
	}
	spec := providers.Spec{Env: "shop.laptop", Name: name, Labels: recorded(web("1")).Labels}
	spec.Labels[providers.LabelName] = name
	spec.Labels[providers.LabelHostCA] = ca.PublicKey()
	for k, v := range labels {
		spec.Labels[k] = v
	}
	spec.Seed = providers.Seed{HostKey: private, HostCertificate: cert, AuthorizedKeys: c.Identity.PublicKeys()}
	p.machines = append(p.machines, p.serve(spec))
}

func hang(ctx context.Context, _ *sshtest.Session) int { <-ctx.Done(); return 255 }

func TestAMachineThatSendsNoKeyIsAFailureAndNoCancel(t *testing.T) {
	c, p := answer(t, func(ctx context.Context, s *sshtest.Session) int {
		fmt.Fprintln(s.Stdout, "rm -rf is no public key")
		_, _ = io.Copy(io.Discard, s.Stdin)
		return 0
	})
	_, err := c.Up(t.Context(), providers.UpOptions{})
	stage, ok := errors.AsType[*providers.StageError](err)
	if !ok || stage.Stage != providers.StageBoot || errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "cannot sign host key") {
		t.Errorf("got %v, want a failure of its boot that says that its key is none", err)
	}
	if len(p.machines) != 0 {
		t.Errorf("left behind: %v", p.machines)
	}
}

func TestAMachineThatStallsInSettleEndsInBoundedTimeWithItsWords(t *testing.T) {
	c, p := answer(t, func(ctx context.Context, s *sshtest.Session) int {
		if !strings.HasPrefix(s.Command, "sudo ") {
			return 0
		}
		fmt.Fprintln(s.Stdout, "waiting for evenkeel-firstboot.service")
		return hang(ctx, s)
	})
	c.SettleDeadline = time.Second
	p.finished(c, nil)
	began := time.Now()
	_, err := c.Up(t.Context(), providers.UpOptions{})
	stage, ok := errors.AsType[*providers.StageError](err)
	if !ok || stage.Stage != providers.StageSettle {
		t.Fatalf("got %v, want a failure of stage settle", err)
	}
	for _, want := range []string{"not settled within 1s", "waiting for evenkeel-firstboot.service"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %s", took)
	}
	if len(p.deleted) != 0 {
		t.Errorf("deleted %v: a machine that was reached stays to be looked into", p.deleted)
	}
}

func TestStatusOfAMachineThatStallsIsUnknownInBoundedTime(t *testing.T) {
	c, p := answer(t, hang)
	c.Deadline = time.Second
	p.finished(c, nil)
	status, err := c.Status(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if s := status[0]; s.Ready == nil || *s.Ready || !s.Unreachable {
		t.Errorf("got ready %v, unreachable %t (%s); want not ready, unreachable", s.Ready, s.Unreachable, s.Reason)
	}
}

func TestAnUnfinishedMachineIsRemadeByItsMakerOrAfterAnHour(t *testing.T) {
	cases := map[string]struct {
		owner string
		age   time.Duration
		want  bool
	}{
		"of a maker whose name no label can hold": {`ACME\me@here`, 0, true},
		"of somebody else, now":                   {"you@there", 0, false},
		"of somebody else, two hours ago":         {"you@there", 2 * time.Hour, true},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			c, p := answer(t, func(context.Context, *sshtest.Session) int { return 1 })
			c.Owner, c.Deadline = `ACME\me@here`, time.Minute // more than a busy computer takes
			if !test.want {
				c.Deadline = 2 * time.Second
			}
			p.made = func(m *providers.Machine) { m.Created = m.Created.Add(-test.age) }
			p.put(c, providers.Labels{providers.LabelOwner: strings.ReplaceAll(test.owner, `\`, "-")}, time.Hour)
			id := p.machines[0].ID
			began := time.Now()
			_, err := c.Up(t.Context(), providers.UpOptions{})
			if err == nil {
				t.Fatal("a machine that fails every command came up")
			}
			if got := cmp.Equal(p.deleted[:min(1, len(p.deleted))], []string{id}); got != test.want {
				t.Errorf("deleted %v, want it remade: %t (%v)", p.deleted, test.want, err)
			}
			if waited := time.Since(began) >= c.Deadline; waited == test.want {
				t.Errorf("waited for another run: %t, want %t", waited, !test.want)
			}
		})
	}
}

func TestAMachineThatWentMeanwhileIsNotReady(t *testing.T) {
	var p *answering
	c, p := answer(t, func(_ context.Context, s *sshtest.Session) int {
		_, _ = bufio.NewReader(s.Stdin).ReadString('\n')
		return 0
	})
	p.finished(c, nil)
	var lists atomic.Int32
	p.listed = func() {
		if lists.Add(1) == 2 { // the one before everything is settled
			p.place.machines[0].State = providers.Stopped
		}
	}
	res, err := c.Up(t.Context(), providers.UpOptions{})
	if err == nil {
		t.Fatalf("up says %+v over a stopped machine", res)
	}
	if !strings.Contains(err.Error(), "web-1") || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("got %v, want the machine and its state", err)
	}
}

func TestAMachineThatItsPlaceDoesNotSpeakOfKeepsItsNameOnTheOthers(t *testing.T) {
	var laid atomic.Int32
	c, p := answer(t, func(_ context.Context, s *sshtest.Session) int {
		if strings.HasPrefix(s.Command, "sudo ") {
			laid.Add(1)
		}
		return 0
	})
	c.Plan = plan(web("1"), web("2"))
	p.finished(c, nil)
	p.machines = append(p.machines, providers.Machine{ID: "id-web-2", Env: "shop.laptop", Name: "web-2", State: providers.Unknown})
	_, err := c.Up(t.Context(), providers.UpOptions{Only: []string{"web-1"}})
	if providers.CodeOf(err) != providers.Unavailable || !strings.Contains(err.Error(), "web-2") {
		t.Errorf("got %v, want an error that names web-2", err)
	}
	if n := laid.Load(); n != 0 {
		t.Errorf("names without web-2 were laid %d times", n)
	}
}
