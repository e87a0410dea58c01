// SPDX-License-Identifier: Apache-2.0

package fake_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/fake"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

var disk = providers.DataRef{Env: env, Machine: "db-1", Name: "pg"}

// dataSpec is a machine with one data disk at a mount point that its own disk does not have.
func (p *place) dataSpec(t *testing.T) providers.Spec {
	t.Helper()
	spec := p.spec(t, "db-1")
	spec.Data = []providers.Data{{Name: "pg", Size: 1 << 30, Mount: "/var/lib/postgresql"}}
	spec.Seed.Data = []providers.Mount{{Name: "pg", Mount: "/var/lib/postgresql"}}
	return spec
}

func TestDataDiskIsMountedWhereTheMachineMeansIt(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	spec := p.dataSpec(t)
	spec.Data[0].Mount = "/var/spaced dir's/pg"
	c := p.shell(t, p.put(t, spec))
	want(t, c, `cd "/var/spaced dir's/pg" && pwd && ls -A && echo row >rows && chmod 600 rows && df -Pk "$PWD" | awk 'NR == 2 {print $2}'`, "/var/spaced dir's/pg\n1048576")
	if b, err := os.ReadFile(filepath.Join(p.world, "envs", env, "data/db-1@pg/content/rows")); err != nil || string(b) != "row\n" {
		t.Errorf("got %q, %v on the disk, want what was written", b, err)
	}
	if err := p.StopMachine(t.Context(), p.only(t).ID); err != nil {
		t.Fatal(err)
	}
	// A link on the machine's own disk leads within the machine, not to the host's folder of that name.
	root := filepath.Join(p.world, "envs", env, "machines", filepath.Base(p.only(t).ID), "root")
	target := t.TempDir()
	if err := errors.Join(os.RemoveAll(filepath.Join(root, "var/spaced dir's")), os.MkdirAll(filepath.Join(root, target), 0o755), os.Symlink(target, filepath.Join(root, "var/spaced dir's"))); err != nil {
		t.Fatal(err)
	}
	c = p.shell(t, p.put(t, spec))
	want(t, c, "cat "+target+"/pg/rows", "row")
	if left, err := os.ReadDir(target); err != nil || len(left) > 0 {
		t.Errorf("on the host got %v, %v, want nothing", left, err)
	}
}

func (p *place) only(t *testing.T) providers.Machine {
	t.Helper()
	list, err := p.ListMachines(t.Context(), env)
	if err != nil || len(list) != 1 {
		t.Fatalf("got %+v, %v, want one machine", list, err)
	}
	return list[0]
}

func (p *place) StopMachine(ctx context.Context, id string) error {
	return p.Provider.(providers.Starter).StopMachine(ctx, id)
}

func (p *place) snapshotter() providers.Snapshotter { return p.Provider.(providers.Snapshotter) }

func TestWhatAKilledRunLeftOfADiskOrSnapshotIsNoneAndGoes(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	data := filepath.Join(p.world, "envs", env, "data")
	halfMade := []string{
		filepath.Join(data, ".half-db-1@pg/content"), filepath.Join(data, ".half-db-1@other/content"), filepath.Join(data, ".gone-db-1@old/content"),
	}
	for _, dir := range halfMade {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if infos, err := p.ListEnvs(t.Context()); err != nil || len(infos) != 1 || !infos[0].Partial || len(infos[0].Data) > 0 {
		t.Errorf("got %+v, %v, want something half-made and no disk", infos, err)
	}
	m := p.put(t, p.dataSpec(t))
	snapshots := filepath.Join(data, "db-1@pg/snapshots")
	halfMade = append(halfMade, filepath.Join(snapshots, ".half-a/content"), filepath.Join(snapshots, ".gone-b/content"))
	for _, dir := range halfMade[3:] {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := p.snapshotter().ListSnapshots(t.Context(), env); err != nil || len(list) > 0 {
		t.Errorf("got %+v, %v, want no snapshot", list, err)
	}
	if _, err := p.snapshotter().SaveSnapshot(t.Context(), disk, "a"); err != nil {
		t.Error(err)
	}
	if err := p.DeleteMachine(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), ".") {
			t.Errorf("left: %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestFailedPutLeavesNoDiskOfItsOwnAndKeepsOthers(t *testing.T) {
	t.Parallel()
	p := open(t, map[string]any{"fail": map[string]any{"put_machine": map[string]any{"code": "exhausted", "times": 1}}})
	if _, err := p.tryPut(t, p.dataSpec(t)); providers.CodeOf(err) != providers.Exhausted {
		t.Fatalf("got %v, want the ordered failure", err)
	}
	if infos, err := p.ListEnvs(t.Context()); err != nil || len(infos) > 0 {
		t.Errorf("got %+v, %v, want nothing", infos, err)
	}
	c := p.shell(t, p.put(t, p.dataSpec(t)))
	want(t, c, "echo row >/var/lib/postgresql/rows", "")
	again := open(t, map[string]any{"world": p.world, "fail": map[string]any{"put_machine": map[string]any{"code": "exhausted", "times": 2}}})
	if err := p.DeleteMachine(t.Context(), p.only(t).ID); err != nil {
		t.Fatal(err)
	}
	if _, err := again.tryPut(t, p.dataSpec(t)); providers.CodeOf(err) != providers.Exhausted {
		t.Fatalf("got %v, want the ordered failure", err)
	}
	want(t, p.shell(t, p.put(t, p.dataSpec(t))), "cat /var/lib/postgresql/rows", "row")
}

// What a victim does, and where.
const (
	victimWorld = "EVENKEEL_TEST_WORLD"
	victimDeed  = "EVENKEEL_TEST_DEED"
)

// playVictim is what a process that tests kill does: it saves a snapshot, which takes long, or restores the one that deed names.
func playVictim(world, deed string) error {
	ctx := context.Background() // it is ended from outside
	p, err := fake.Plugin.Open(ctx, []byte(`{"world": "`+world+`", "latency": {"save_snapshot": "6s"}}`), nil)
	if err != nil {
		return err
	}
	s := p.(providers.Snapshotter)
	if deed == "save" {
		_, err = s.SaveSnapshot(ctx, disk, "never")
		return err
	}
	return s.RestoreSnapshot(ctx, disk, deed)
}

func (p *place) victim(t *testing.T, deed string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimWorld+"="+p.world, victimDeed+"="+deed)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

// TestKilledRestoreLeavesTheDiskAsItWasOrAsItWasSaved restores two snapshots in turn; all files of one hold the same word.
func TestKilledRestoreLeavesTheDiskAsItWasOrAsItWasSaved(t *testing.T) {
	t.Parallel()
	const files = 200
	p := open(t, nil)
	m := p.put(t, p.dataSpec(t))
	c := p.shell(t, m)
	for _, word := range []string{"one", "two"} {
		want(t, c, fmt.Sprintf("cd /var/lib/postgresql && for i in $(seq %d); do echo %s >$i; done", files, word), "")
		if _, err := p.snapshotter().SaveSnapshot(t.Context(), disk, word); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.StopMachine(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	content := filepath.Join(p.world, "envs", env, "data/db-1@pg/content")
	begin := time.Now()
	if err := p.victim(t, "one").Wait(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	seen := map[string]int{}
	for i := range 6 {
		victim := p.victim(t, []string{"two", "one"}[i%2])
		time.Sleep(took * time.Duration(i+2) / 7)
		kill(t, victim)
		entries, err := os.ReadDir(content)
		if err != nil || len(entries) != files {
			t.Fatalf("kill %d: got %d files, %v, want %d", i, len(entries), err, files)
		}
		words := map[string]bool{}
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(content, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			words[strings.TrimSpace(string(b))] = true
		}
		if len(words) != 1 || !words["one"] && !words["two"] {
			t.Fatalf("kill %d: the disk holds %v, want one word", i, words)
		}
		for w := range words {
			seen[w]++
		}
	}
	t.Logf("a whole restore took %s; the disk held %v", took, seen)
	if _, err := p.snapshotter().SaveSnapshot(t.Context(), disk, "after"); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(content), ".half-*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestKilledSaveLetsTheMachineGoOn(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	m := p.put(t, p.dataSpec(t))
	c := p.shell(t, m)
	want(t, c, "setsid sh -c 'while :; do date +%s%N >/var/lib/postgresql/now.new && mv /var/lib/postgresql/now.new /var/lib/postgresql/now; sleep 0.02; done' </dev/null >/dev/null 2>&1 & sleep 0.3", "")
	file := filepath.Join(p.world, "envs", env, "data/db-1@pg/content/now")
	now := func() string { b, _ := os.ReadFile(file); return string(b) }
	moves := func() bool {
		before := now()
		time.Sleep(300 * time.Millisecond)
		return now() != before
	}
	if !moves() {
		t.Fatal("the writer does not write")
	}
	freezer := p.victim(t, "save")
	still := false
	for deadline := time.Now().Add(25 * time.Second); !still && time.Now().Before(deadline); {
		still = !moves()
	}
	if !still {
		t.Error("the machine moves while it is saved")
	}
	done := make(chan error, 1)
	go func() { // a command that comes meanwhile waits
		defer close(done)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		done <- c.Run(ctx, ssh.Command{Line: "true"})
	}()
	time.Sleep(200 * time.Millisecond)
	select {
	case err := <-done:
		t.Errorf("a command ends while the machine is still: %v", err)
	default:
	}
	kill(t, freezer)
	if err := <-done; err != nil {
		t.Errorf("the command that waited: %v", err)
	}
	if !moves() {
		t.Error("the machine does not go on after the death of who saved it")
	}
	if list, err := p.snapshotter().ListSnapshots(t.Context(), env); err != nil || len(list) > 0 {
		t.Errorf("got %+v, %v, want no snapshot", list, err)
	}
}

func TestSuspendedMachineWhoseProcessIsKilledIsStoppedAndStarts(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	m := p.put(t, p.spec(t, "web-1"))
	suspender := p.Provider.(providers.Suspender)
	if err := suspender.SuspendMachine(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	for _, line := range processes(p.world) {
		pid, _, _ := strings.Cut(line, " ")
		if strings.Contains(line, " machine ") {
			if err := exec.Command("kill", "-9", pid).Run(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for deadline := time.Now().Add(5 * time.Second); p.only(t).State == providers.Suspended && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
	}
	if got := p.only(t); got.State != providers.Stopped {
		t.Errorf("got %+v, want it stopped", got)
	}
	if _, err := suspender.ResumeMachine(t.Context(), m.ID); providers.CodeOf(err) != providers.Conflict {
		t.Errorf("resuming what is stopped: got %v, want a conflict", err)
	}
	want(t, p.shell(t, p.put(t, p.spec(t, "web-1"))), "echo up", "up")
}

func TestFailuresOfEveryCallOnDataAndMemoryComeOnOrder(t *testing.T) {
	t.Parallel()
	ordered := map[string]any{}
	for _, op := range []string{"suspend_machine", "resume_machine", "save_snapshot", "list_snapshots", "restore_snapshot", "delete_snapshot"} {
		ordered[op] = map[string]any{"code": "exhausted"}
	}
	p := open(t, map[string]any{"fail": ordered})
	m := p.put(t, p.dataSpec(t))
	ctx := t.Context()
	suspender := p.Provider.(providers.Suspender)
	twice := func(what string, call func() error) {
		t.Helper()
		if err := call(); providers.CodeOf(err) != providers.Exhausted || !strings.Contains(err.Error(), "ordered failure 1 of 1") {
			t.Errorf("%s: got %v, want the ordered failure", what, err)
		}
		if err := call(); err != nil {
			t.Errorf("%s again: %v", what, err)
		}
	}
	twice("save", func() error { _, err := p.snapshotter().SaveSnapshot(ctx, disk, "one"); return err })
	twice("list", func() error { _, err := p.snapshotter().ListSnapshots(ctx, env); return err })
	twice("suspend", func() error { return suspender.SuspendMachine(ctx, m.ID) })
	twice("resume", func() error { _, err := suspender.ResumeMachine(ctx, m.ID); return err })
	if err := p.StopMachine(ctx, m.ID); err != nil {
		t.Fatal(err)
	}
	twice("restore", func() error { return p.snapshotter().RestoreSnapshot(ctx, disk, "one") })
	twice("delete", func() error { return p.snapshotter().DeleteSnapshot(ctx, disk, "one") })
}

func TestSuspendedMachineGoesOnWithPutAndStopsWithStop(t *testing.T) {
	t.Parallel()
	p := open(t, map[string]any{"http": []int{80}})
	m := p.put(t, p.spec(t, "web-1"))
	suspender := p.Provider.(providers.Suspender)
	want(t, p.shell(t, m), "echo kept >/run/kept; sudo -n nft add rule inet evenkeel input tcp dport 80 accept", "")
	if err := suspender.SuspendMachine(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := p.dial(m); !errors.Is(err, ssh.ErrUnreachable) {
		t.Errorf("while it is suspended got %v, want %v", err, ssh.ErrUnreachable)
	}
	spec := p.spec(t, "web-1")
	spec.Publish = []providers.Port{{Port: 80, Proto: "tcp"}}
	again := p.put(t, spec)
	if again.ID != m.ID || again.State != providers.Running || len(again.Ports) != 1 {
		t.Errorf("got %+v, want %+v running, with a port", again, m)
	}
	want(t, p.shell(t, again), "cat /run/kept; curl -s http://127.0.0.1/", "kept\nweb-1")
	if err := suspender.SuspendMachine(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	if err := p.StopMachine(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	if got := p.only(t); got.State != providers.Stopped {
		t.Errorf("got %+v, want it stopped", got)
	}
	want(t, p.shell(t, p.put(t, spec)), "cat /run/kept 2>/dev/null || echo forgotten", "forgotten")
}
