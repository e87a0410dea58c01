// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

func stopStart(t *testing.T, p *pair) {
	starter, ok := providers.As[providers.Starter](p.p)
	if !ok {
		return
	}
	command(t, p.webShell, "echo kept >keep && sync")
	for range 2 { // the second finds it stopped
		if err := starter.StopMachine(t.Context(), p.web.ID); err != nil {
			t.Fatal(err)
		}
	}
	stopped := p.list(t, p.p, p.env)[1]
	if stopped.State != providers.Stopped || stopped.SSH != "" || stopped.Address != p.web.Address || !slices.Equal(stopped.Ports, p.web.Ports) {
		t.Errorf("got %+v, want it stopped, with its address and ports and nowhere to dial", stopped)
	}
	wantLabels(t, stopped.Labels, p.webSpec.Labels)
	if suspender, ok := providers.As[providers.Suspender](p.p); ok {
		wantCode(t, suspender.SuspendMachine(t.Context(), p.web.ID), providers.Conflict)
		_, err := suspender.ResumeMachine(t.Context(), p.web.ID)
		wantCode(t, err, providers.Conflict)
	}
	m, err := starter.StartMachine(t.Context(), p.web.ID)
	if err != nil {
		t.Fatal(err)
	}
	p.checkMachine(t, p.webSpec, m)
	again, err := starter.StartMachine(t.Context(), p.web.ID)
	if err != nil || again.SSH != m.SSH {
		t.Errorf("starting a running machine: got %+v, %v, want %+v", again, err, m)
	}
	if m.ID != p.web.ID || m.Address != p.web.Address || !slices.Equal(m.Ports, p.web.Ports) {
		t.Errorf("got %+v, want %+v with the same ports and address", m, p.web)
	}
	wantLabels(t, m.Labels, p.webSpec.Labels)
	shell := p.shell(t, m)
	if got := command(t, shell, "cat keep"); got != "kept" {
		t.Errorf("got %q from the machine's disk, want what was written before", got)
	}
	serve(t, shell, "web-1", openPort)
	if p.h.Plugin.Traits.Local {
		if got, err := fetch(t, hostPort(t, m, openPort)); err != nil || got != "web-1" {
			t.Errorf("got %q, %v through the published port, want the machine's name", got, err)
		}
	}
	if got, err := fetchFrom(t, shell, p.db.Address, openPort); err != nil || got != "db-1" {
		t.Errorf("after its restart web-1 gets %q, %v from db-1, want its name", got, err)
	}
	p.web, p.webShell = m, shell
	if _, ok := providers.As[providers.Snapshotter](p.p); !ok { // else it is stopped once more to restore one
		p.down(t)
		p.upAgain(t)
		p.webShell = p.shell(t, p.web)
	}
}

// down stops web-1 where it can be stopped, else deletes it.
func (p *pair) down(t *testing.T) {
	t.Helper()
	stop := func(ctx context.Context, id string) error { return p.p.DeleteMachine(ctx, id) }
	if starter, ok := providers.As[providers.Starter](p.p); ok {
		stop = starter.StopMachine
	}
	if err := stop(t.Context(), p.web.ID); err != nil {
		t.Fatal(err)
	}
}

// upAgain has PutMachine start web-1 or, where it could not be stopped, make it anew.
func (p *pair) upAgain(t *testing.T) {
	t.Helper()
	m := p.put(t, p.webSpec)
	if _, ok := providers.As[providers.Starter](p.p); ok && (m.ID != p.web.ID || !slices.Equal(m.Ports, p.web.Ports)) {
		t.Errorf("PutMachine of a stopped machine: got %+v, want %+v started", m, p.web)
	}
	p.web = m
}

// suspendResume wants web-1's memory to be what it was: a program that counts in it, a file in it, the server on its port.
func suspendResume(t *testing.T, p *pair) {
	suspender, ok := providers.As[providers.Suspender](p.p)
	if !ok {
		return
	}
	serve(t, p.webShell, "web-1", openPort)
	command(t, p.webShell, `echo kept >/dev/shm/kept; setsid perl -e 'for ($i = 1;; $i++) { open(my $h, ">", "/dev/shm/count.new"); print $h "$$ $i\n"; close $h; rename "/dev/shm/count.new", "/dev/shm/count"; select(undef, undef, undef, 0.05) }' </dev/null >/dev/null 2>&1 &`+
		"\nfor i in 1 2 3 4 5 6 7 8 9 10; do test -s /dev/shm/count && exit 0; sleep 0.3; done; exit 1")
	pid, before := counted(t, p.webShell)
	for range 2 { // the second finds it suspended
		if err := suspender.SuspendMachine(t.Context(), p.web.ID); err != nil {
			t.Fatal(err)
		}
	}
	m := p.list(t, p.open(t), p.env)[1]
	if m.State != providers.Suspended || m.SSH != "" || m.ID != p.web.ID || m.Address != p.web.Address || !slices.Equal(m.Ports, p.web.Ports) {
		t.Errorf("got %+v, want it suspended, with its address and ports and nowhere to dial", m)
	}
	wantLabels(t, m.Labels, p.webSpec.Labels)
	if got, err := fetchFrom(t, p.dbShell, p.web.Address, openPort); err == nil {
		t.Errorf("db-1 gets %q from a suspended machine", got)
	}
	if s, ok := providers.As[providers.Snapshotter](p.p); ok {
		wantCode(t, s.RestoreSnapshot(t.Context(), p.files(), "one"), providers.Conflict)
	}
	for range 2 { // the second finds it running
		again, err := suspender.ResumeMachine(t.Context(), p.web.ID)
		if err != nil {
			t.Fatal(err)
		}
		p.checkMachine(t, p.webSpec, again)
		if again.ID != p.web.ID || again.Address != p.web.Address || !slices.Equal(again.Ports, p.web.Ports) {
			t.Errorf("got %+v, want %+v with the same ports and address", again, p.web)
		}
		wantLabels(t, again.Labels, p.webSpec.Labels)
		p.web = again
	}
	p.webShell = p.shell(t, p.web)
	if got := command(t, p.webShell, "cat /dev/shm/kept"); got != "kept" {
		t.Errorf("got %q from memory, want what was there", got)
	}
	same, resumed := counted(t, p.webShell)
	after := resumed
	for deadline := time.Now().Add(10 * time.Second); after == resumed && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		_, after = counted(t, p.webShell)
	}
	if same != pid || resumed < before || after <= resumed {
		t.Errorf("program %d counted to %d, then %d to %d and %d; want the same to go on", pid, before, same, resumed, after)
	}
	if got, err := fetchFrom(t, p.dbShell, p.web.Address, openPort); err != nil || got != "web-1" {
		t.Errorf("after it was resumed db-1 gets %q, %v, want its name", got, err)
	}
	if p.h.Plugin.Traits.Local {
		if got, err := fetch(t, hostPort(t, p.web, openPort)); err != nil || got != "web-1" {
			t.Errorf("got %q, %v through the published port, want the machine's name", got, err)
		}
	}
}

func counted(t *testing.T, shell *ssh.Client) (pid, count int64) {
	t.Helper()
	text := command(t, shell, "cat /dev/shm/count")
	if _, err := fmt.Sscan(text, &pid, &count); err != nil {
		t.Fatalf("got %q, want a process and its count: %v", text, err)
	}
	return pid, count
}

func suspendedDeleted(t *testing.T, p *pair) {
	suspender, ok := providers.As[providers.Suspender](p.p)
	if !ok {
		return
	}
	if err := suspender.SuspendMachine(t.Context(), p.web.ID); err != nil {
		t.Fatal(err)
	}
	if err := p.p.DeleteMachine(t.Context(), p.web.ID); err != nil {
		t.Fatal(err)
	}
	if list := p.list(t, p.p, p.env); len(list) != 1 || list[0].ID != p.db.ID {
		t.Errorf("got %+v, want db-1 alone", list)
	}
}
