// SPDX-License-Identifier: Apache-2.0

package sync_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/sync"
)

// eventually waits until both folders hold want.
func (r *rig) eventually(want string) {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		here, there := contents(r.t, r.host), contents(r.t, r.far)
		if here == want && there == want {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("got\n  %s\nand on the machine\n  %s\nwant\n  %s", here, there, want)
		}
	}
}

// watch runs Watch on the rigs' pairs until stop, which returns what it told; await waits until it told something that is so.
func watch(t *testing.T, session func(r *rig) (*ssh.Client, error), rigs ...*rig) (stop func() []sync.Seen, await func(so func(sync.Seen) bool)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var list []sync.Watched
	for _, r := range rigs {
		list = append(list, sync.Watched{Machine: r.pair.Machine, Pairs: []sync.Pair{r.pair}, Session: func(context.Context) (*ssh.Client, sync.Options, func(), error) {
			client, err := session(r)
			return client, sync.Options{}, func() {}, err
		}})
	}
	var mu gosync.Mutex
	var seen []sync.Seen
	ended := make(chan error, 1)
	go func() {
		ended <- sync.Watch(ctx, list, func(s sync.Seen) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, s)
		})
	}()
	done := false
	stop = func() []sync.Seen {
		if done {
			return seen
		}
		done = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("watch ended with %v", err)
			}
		case <-time.After(time.Minute):
			t.Fatal("watch does not end")
		}
		return seen
	}
	await = func(so func(sync.Seen) bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			mu.Lock()
			done := slices.ContainsFunc(seen, so)
			mu.Unlock()
			if done {
				return
			}
		}
		t.Fatal("what was waited for was not told")
	}
	t.Cleanup(func() { stop() })
	return stop, await
}

func own(r *rig) (*ssh.Client, error) { return r.client, nil }

func TestWatchCarriesChangesAsTheyHappen(t *testing.T) {
	r := newRig(t)
	r.git("init", "-q")
	write(t, r.host, ".gitignore", "out/\n")
	write(t, r.host, "a", "1")
	stop, _ := watch(t, own, r)
	rest := ".gitignore=out/\n "
	r.eventually(rest + "a=1")
	write(t, r.host, "a", "2")
	r.eventually(rest + "a=2")
	write(t, r.far, "b", "from the machine")
	r.eventually(rest + "a=2 b=from the machine")
	if err := os.MkdirAll(filepath.Join(r.host, "new/deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	write(t, r.host, "new/deep/c", "3")
	r.remove(r.host, "b")
	r.eventually(rest + "a=2 new/deep/c=3")
	r.remove(r.far, "a")
	r.eventually(rest + "new/deep/c=3")
	for _, s := range stop() {
		if s.Note != "" || len(s.Result.Conflicts) > 0 {
			t.Errorf("told %+v", s)
		}
	}
}

func TestAWatchThatCannotBeginLeavesNothingOpen(t *testing.T) {
	dir := t.TempDir()
	watches := func() (n int) {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && (to == "anon_inode:inotify" || to == dir) {
				n++
			}
		}
		return n
	}
	before := watches()
	err := sync.Watch(t.Context(), []sync.Watched{{Machine: "web-1", Pairs: []sync.Pair{{From: dir}, {From: dir + "/absent"}}}}, func(sync.Seen) {})
	if err == nil {
		t.Error("a folder that is absent is watched")
	}
	if after := watches(); after != before {
		t.Errorf("%d are open, %d were before", after, before)
	}
}

// What was empty when the watch began, or was ignored then, is watched like all else.
func TestWatchSeesWhatComesToBeInFoldersThatHeldNothingToSync(t *testing.T) {
	for _, git := range []bool{true, false} {
		r := newRig(t)
		if git {
			r.git("init", "-q")
		}
		write(t, r.host, ".gitignore", "out/\n")
		write(t, r.host, "out/deep/x", "1")
		if err := os.MkdirAll(filepath.Join(r.host, "empty/deep"), 0o755); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		changed, run, err := sync.WatchHost(ctx, r.host, false, func(note string) { t.Errorf("told %q", note) })
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			run()
		}()
		told := func(most time.Duration) (is bool) {
			for end := time.After(most); ; {
				select {
				case <-changed:
					is = true // a write may be told twice
					end = time.After(500 * time.Millisecond)
				case <-end:
					return is
				}
			}
		}
		write(t, r.host, "empty/deep/a", "1")
		if !told(time.Minute) {
			t.Errorf("git %t: a file in a folder that was empty is not told", git)
		}
		write(t, r.host, "out/deep/y", "1")
		if told(500 * time.Millisecond) {
			t.Errorf("git %t: an ignored folder is watched", git)
		}
		write(t, r.host, ".gitignore", "\n")
		if !told(time.Minute) {
			t.Errorf("git %t: a change of what is ignored is not told", git)
		}
		write(t, r.host, "out/deep/z", "1")
		if !told(time.Minute) {
			t.Errorf("git %t: a folder that is no longer ignored is not watched", git)
		}
		cancel()
		<-ended
	}
}

func TestWatchCarriesFromOneMachineToAnother(t *testing.T) {
	r1, r2 := newRig(t), newRig(t)
	r2.host = r1.host
	r2.pair.From, r2.pair.Machine = r1.host, "web-2"
	write(t, r1.host, "a", "1")
	watch(t, own, r1, r2)
	r1.eventually("a=1")
	r2.eventually("a=1")
	write(t, r1.far, "a", "from web-1")
	r2.eventually("a=from web-1")
}

func TestWatchWaitsForAMachineThatRestarts(t *testing.T) {
	r := newRig(t)
	write(t, r.host, "a", "1")
	var client atomic.Pointer[ssh.Client]
	client.Store(r.client)
	stop, await := watch(t, func(*rig) (*ssh.Client, error) {
		if c := client.Load(); c != nil {
			return c, nil
		}
		return nil, errors.New("it is off")
	}, r)
	await(func(s sync.Seen) bool { return s.Result != nil && s.Result.Pushed == 1 }) // else both sides hold it, but nobody knows that they were alike
	r.eventually("a=1")
	client.Store(nil)
	_ = r.client.Close()
	write(t, r.host, "a", "2")
	await(func(s sync.Seen) bool { return strings.HasPrefix(s.Note, "waiting for it") })
	again := r.dial()
	client.Store(again)
	r.eventually("a=2")
	var notes []string
	for _, s := range stop() {
		if s.Note != "" {
			notes = append(notes, s.Note)
		}
	}
	if got, want := fmt.Sprint(notes), "[the connection is lost waiting for it: it is off it answers again]"; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
}

func TestWatchTellsAConflictOnce(t *testing.T) {
	r := newRig(t)
	write(t, r.host, "a", "mine")
	write(t, r.far, "a", "yours")
	stop, await := watch(t, own, r)
	await(func(s sync.Seen) bool { return s.Result != nil })
	time.Sleep(3 * time.Second) // the machine is asked again
	write(t, r.host, "b", "goes on")
	await(func(s sync.Seen) bool { return s.Result != nil && s.Result.Pushed == 1 })
	r.holds(r.far, "a=yours b=goes on")
	seen := stop()
	if len(seen) != 2 || len(seen[0].Result.Conflicts) != 1 || seen[1].Result.Pushed != 1 {
		t.Errorf("told %+v, want the conflict, then the new file", seen)
	}
}

func TestTheHostIsPolledWhereTheSystemDoesNotTell(t *testing.T) {
	for _, polls := range []bool{false, true} {
		r := newRig(t)
		write(t, r.host, "a", "1")
		ctx, cancel := context.WithCancel(context.Background())
		var note atomic.Pointer[string]
		changed, run, err := sync.WatchHost(ctx, r.host, polls, func(text string) { note.Store(&text) })
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			run()
		}()
		await := func(what string) {
			t.Helper()
			select {
			case <-changed:
			case <-time.After(time.Minute):
				t.Errorf("polls %t: %s is not told", polls, what)
			}
		}
		if polls {
			await("the first look")
		}
		write(t, r.host, "a", "another")
		await("a change")
		cancel()
		<-ended
		if said := note.Load(); (said != nil) != polls || polls && !strings.Contains(*said, "is looked through every 2s") {
			t.Errorf("polls %t: told %v", polls, said)
		}
	}
}
