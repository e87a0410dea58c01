// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/session"
)

// talkative is a place with machines of these names, which have said the same; what else a provider can, it cannot.
type talkative struct {
	providers.Provider
	names []string
}

func (p *talkative) ListMachines(context.Context, string) (list []providers.Machine, err error) {
	for _, n := range p.names {
		list = append(list, providers.Machine{ID: n, Name: n, State: providers.Stopped, Labels: providers.Labels{providers.LabelProject: "a1b2c3"}})
	}
	return list, nil
}

func (p *talkative) Console(context.Context, string, int64) ([]byte, error) {
	return []byte("login: correct-horse-battery\x1b[2J"), nil
}

func TestArtifactsStayInTheirFolder(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	s := of(map[string]string{"PASSWORD": "correct-horse-battery"})
	s.Plan.Project = "a1b2c3"
	s.Provider = &talkative{names: []string{"db-1", "web-1", "../out", "."}}
	outside := filepath.Join(elsewhere, "console.txt")
	for _, err := range []error{
		os.Symlink(elsewhere, filepath.Join(dir, "web-1")),
		os.Mkdir(filepath.Join(dir, "db-1"), 0o700),
		os.WriteFile(outside, []byte("as it was"), 0o600),
		os.Symlink(outside, filepath.Join(dir, "db-1", "console.txt")),
		os.WriteFile(filepath.Join(dir, "db-1", "journal.txt"), []byte("of an earlier run"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	err := s.WriteArtifacts(t.Context(), dir)
	for _, want := range []string{"console.txt of machine web-1", "console.txt of machine ../out", "console.txt of machine ."} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a refusal of %s", err, want)
		}
	}
	if text, err := os.ReadFile(outside); err != nil || string(text) != "as it was" {
		t.Errorf("a file elsewhere holds %q, %v", text, err)
	}
	if left, _ := os.ReadDir(elsewhere); len(left) != 1 {
		t.Errorf("elsewhere are %v", left)
	}
	if _, err := os.Stat(filepath.Join(dir, "..", "out")); err == nil {
		t.Error("a machine's name led out of the folder")
	}
	text, err := os.ReadFile(filepath.Join(dir, "db-1", "console.txt"))
	if want := `login: [secret PASSWORD]\x1b[2J`; err != nil || string(text) != want {
		t.Errorf("got %q, %v; want %q", text, err, want)
	}
	for _, name := range []string{"console.txt", "journal.txt"} {
		if info, err := os.Lstat(filepath.Join(dir, "db-1", name)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: got %v, %v; want a file for its owner alone", name, info, err)
		}
	}
}

func userAt(t *testing.T) (session.User, string) {
	t.Helper()
	state := t.TempDir()
	return session.User{Env: []string{"XDG_STATE_HOME=" + state}}, filepath.Join(state, "evenkeel")
}

func TestALocksFileGoesWithItAndOneHasItAtATime(t *testing.T) {
	u, state := userAt(t)
	var inside, overlaps atomic.Int32
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for range 200 {
				lock, _, err := u.TryLock("shop.ci.run-abcdef")
				if err != nil {
					t.Error(err)
					return
				}
				if lock == nil {
					continue
				}
				if inside.Add(1) > 1 {
					overlaps.Add(1)
				}
				time.Sleep(10 * time.Microsecond)
				inside.Add(-1)
				lock.Release()
			}
		})
	}
	work.Wait()
	if n := overlaps.Load(); n > 0 {
		t.Errorf("%d times two had it", n)
	}
	if left, err := os.ReadDir(filepath.Join(state, "locks")); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestWhatADeadProcessKeptOfACopyGoesOnceTheCopyHasExpired(t *testing.T) {
	u, state := userAt(t)
	plan := &envs.Plan{Env: "shop.ci.run-abcdef", Project: "a1b2c3", TTL: time.Hour}
	s := &session.Session{Core: &providers.Core{Plan: plan}}
	authority := filepath.Join(state, "tls", "a1b2c3-shop.ci.run-abcdef")
	var all []*session.Scratch
	for range 2 {
		x, err := u.NewScratch(s, "", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, x)
	}
	if err := os.MkdirAll(authority, 0o700); err != nil {
		t.Fatal(err)
	}
	held, left := all[0], all[1]
	left.Keep() // as if its process had died
	there := func(path string) bool { _, err := os.Stat(path); return err == nil }
	if err := u.Sweep(time.Now()); err != nil || !there(held.Dir) || !there(left.Dir) || !there(authority) {
		t.Errorf("%v; before its end it is gone", err)
	}
	if err := u.Sweep(time.Now().Add(2 * time.Hour)); err != nil || !there(held.Dir) || there(left.Dir) || there(authority) {
		t.Errorf("%v; held there: %t, left there: %t, authority there: %t", err, there(held.Dir), there(left.Dir), there(authority))
	}
	held.Close()
	if there(held.Dir) {
		t.Error("closed and there")
	}
}

func TestWhatADeadProcessKeptOfACopyGoesWithTheCopy(t *testing.T) {
	u, _ := userAt(t)
	var all []*session.Scratch
	for _, env := range []string{"shop.ci.run-abcdef", "shop.ci.run-abcdef", "shop.ci.run-ghijkl"} {
		x, err := u.NewScratch(&session.Session{Core: &providers.Core{Plan: &envs.Plan{Env: env, Project: "a1b2c3", TTL: time.Hour}}}, "", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, x)
	}
	held, left, others := all[0], all[1], all[2]
	left.Keep()
	others.Keep()
	if err := u.Forget("a1b2c3", "shop.ci.run-abcdef"); err != nil {
		t.Error(err)
	}
	for x, want := range map[*session.Scratch]bool{held: true, left: false, others: true} {
		if _, err := os.Stat(x.Dir); (err == nil) != want {
			t.Errorf("%s: there %t, want %t", x.Dir, err == nil, want)
		}
	}
	held.Close()
}

func TestForgettingStaysWithinTheStateFolder(t *testing.T) {
	u, state := userAt(t)
	other := filepath.Join(state, "other")
	if err := os.MkdirAll(other, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../../other", "x/../../other", ""} {
		if err := u.Forget(name, name); err != nil {
			t.Error(err)
		}
	}
	if err := u.Forget("../other", "x"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}
