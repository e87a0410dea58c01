// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// machine is one of `status --json`.
type machine struct {
	Name  string   `json:"name"`
	State string   `json:"state"`
	Ready *bool    `json:"ready"`
	URLs  []string `json:"urls"`
}

func (s *site) machines(args ...string) []machine {
	s.t.Helper()
	p := s.start(append([]string{"status", "--json"}, args...)...)
	p.end(s.t)
	var report struct {
		Machines []machine `json:"machines"`
	}
	if err := json.Unmarshal([]byte(p.stdout.String()), &report); err != nil {
		s.t.Fatalf("status: %v\n%s%s", err, p.stdout, p.stderr)
	}
	return report.Machines
}

// A surge that is killed at any moment leaves a machine that serves, in every role, and `up` one machine in each.
func TestKilledSurgeServesOnAndIsSettled(t *testing.T) {
	t.Parallel()
	random := moments(t)
	definition := strings.Replace(quick, "stateless: true", "stateless: true, rebuild: {order: surge}, allow: [{from: anywhere, port: 80}]", 1)
	s := newSite(t, map[string]string{"env.yaml": definition})
	s.run(0, "up", "-q")
	before := s.machines()
	began := time.Now()
	s.run(0, "rebuild", "web", "-q")
	whole := time.Since(began)
	for i := range min(*kills, 10) {
		after := time.Duration(random.Int64N(int64(whole)))
		name := fmt.Sprintf("kill %d, after %s of %s", i, after.Round(time.Millisecond), whole.Round(time.Millisecond))
		p := s.start("rebuild", "web")
		time.Sleep(after)
		_ = p.Process.Kill()
		p.end(t)
		for _, role := range []string{"web-1", "web-2"} {
			if there := s.start("ssh", role, "--", "true"); there.end(t) != 0 {
				t.Fatalf("%s: nobody serves as %s:\n%s\nkilled:\n%s", name, role, there.stderr, p.stderr)
			}
		}
		if up := s.start("up"); up.end(t) != 0 {
			t.Fatalf("%s: up fails:\n%s\nkilled:\n%s", name, up.stderr, p.stderr)
		}
		left := s.machines("--check")
		if len(left) != 2 || left[0].Name != "web-1" || left[1].Name != "web-2" || !*left[0].Ready || !*left[1].Ready {
			t.Fatalf("%s: after up there are %+v", name, left)
		}
		for i, m := range left {
			if !slices.Equal(m.URLs, before[i].URLs) {
				t.Fatalf("%s: after up %s is at %v, it was at %v", name, m.Name, m.URLs, before[i].URLs)
			}
		}
	}
	s.run(0, "down")
	s.wantEmpty()
}

// What a killed rebuild left out, up makes, and its data disk is found.
func TestKilledRebuildKeepsData(t *testing.T) {
	t.Parallel()
	random := moments(t)
	definition := strings.Replace(quick, "web: {count: 2, stateless: true}", "db: {data: [{name: pg, size: 64MiB, mount: /srv/pg}]}", 1)
	s := newSite(t, map[string]string{"env.yaml": definition})
	s.run(0, "up", "-q")
	s.run(0, "ssh", "db", "--", "echo kept | sudo tee /srv/pg/row")
	began := time.Now()
	s.run(0, "rebuild", "db", "--allow-downtime", "-q")
	whole := time.Since(began)
	for i := range min(*kills, 10) {
		after := time.Duration(random.Int64N(int64(whole)))
		name := fmt.Sprintf("kill %d, after %s of %s", i, after.Round(time.Millisecond), whole.Round(time.Millisecond))
		p := s.start("rebuild", "db", "--allow-downtime")
		time.Sleep(after)
		_ = p.Process.Kill()
		p.end(t)
		if up := s.start("up"); up.end(t) != 0 {
			t.Fatalf("%s: up fails:\n%s\nkilled:\n%s", name, up.stderr, p.stderr)
		}
		if row := s.run(0, "ssh", "db", "--", "cat", "/srv/pg/row"); row.stdout.String() != "kept\n" {
			t.Fatalf("%s: the data disk holds %q", name, row.stdout)
		}
	}
	s.run(0, "down", "--data")
	s.wantEmpty()
}

// On a terminal a protected environment's ID is typed.
func TestTheIDOfAProtectedEnvironmentIsTyped(t *testing.T) {
	t.Parallel()
	definition := strings.Replace(quick, "laptop: {", "laptop: {protected: true, ", 1)
	s := newSite(t, map[string]string{"env.yaml": definition})
	s.run(0, "up", "-q")
	for _, typed := range []string{"y", "shop.staging", ""} {
		term := newTerminal(t, 100, 30)
		cmd := s.onTerminal(term, "down")
		term.shown.await(t, "type its ID: ")
		_, _ = io.WriteString(term, typed+"\n")
		term.shown.await(t, "nothing was done")
		if got := status(cmd); got != 1 {
			t.Errorf("typed %q: got status %d, want 1\n%s", typed, got, term.shown)
		}
	}
	if left := s.machines(); len(left) != 2 || left[0].State != "running" {
		t.Fatalf("after refusals there are %+v", left)
	}
	term := newTerminal(t, 100, 30)
	cmd := s.onTerminal(term, "down")
	term.shown.await(t, "type its ID: ")
	_, _ = io.WriteString(term, "shop.laptop\n")
	if got := status(cmd); got != 0 {
		t.Errorf("typed right: got status %d\n%s", got, term.shown)
	}
	s.wantEmpty()
}
