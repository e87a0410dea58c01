// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// snapshots lists the pair's as p sees them.
func (p *pair) snapshots(t *testing.T, client providers.Provider) []providers.Snapshot {
	t.Helper()
	s, ok := providers.As[providers.Snapshotter](client)
	if !ok {
		return nil
	}
	list, err := s.ListSnapshots(t.Context(), p.env)
	if err != nil {
		t.Fatalf("ListSnapshots: %v", err)
	}
	return list
}

func names(list []providers.Snapshot) (names []string) {
	for _, s := range list {
		names = append(names, s.Name)
	}
	return names
}

// snapshotKeeps saves web-1's disk while a program writes the same number to one file, then to another, each time down to the disk.
func snapshotKeeps(t *testing.T, p *pair) {
	s, ok := providers.As[providers.Snapshotter](p.p)
	if !ok {
		return
	}
	command(t, p.webShell, "sudo -n sh -c 'echo kept >"+filesMount+"/row && sync'")
	command(t, p.webShell, "sudo -n setsid perl -MIO::Handle -e '"+
		`for my $f ("a", "b") { open($h{$f}, ">", "`+filesMount+`/$f") or exit 1 }`+
		`for ($i = 1;; $i++) { for my $f ("a", "b") { seek($h{$f}, 0, 0); print {$h{$f}} sprintf("%09d\n", $i); $h{$f}->flush; $h{$f}->sync } select(undef, undef, undef, 0.002) }`+
		"' </dev/null >/dev/null 2>&1 &\nfor i in 1 2 3 4 5 6 7 8 9 10; do test -s "+filesMount+"/b && exit 0; sleep 0.5; done; exit 1")
	low := written(t, p.webShell, "a")
	saved, err := s.SaveSnapshot(t.Context(), p.files(), "one")
	if err != nil {
		t.Fatal(err)
	}
	p.saved = [2]int64{low, written(t, p.webShell, "a")}
	if saved.Disk != p.files() || saved.Name != "one" || saved.Size < 0 || saved.Taken.Location() != time.UTC || saved.Taken.Nanosecond() != 0 || time.Since(saved.Taken) > 10*time.Minute {
		t.Errorf("got %+v, want disk %v, name one and when it was taken", saved, p.files())
	}
	_, err = s.SaveSnapshot(t.Context(), p.files(), "one")
	wantCode(t, err, providers.Conflict)
	p.cancelSave(t, s)
	list := p.snapshots(t, p.open(t))
	if len(list) != 1 || list[0].Disk != saved.Disk || list[0].Name != saved.Name || !list[0].Taken.Equal(saved.Taken) {
		t.Errorf("another process sees %+v, want %+v", list, saved)
	}
	wantCode(t, s.RestoreSnapshot(t.Context(), p.files(), "one"), providers.Conflict) // it runs
	time.Sleep(time.Until(saved.Taken.Add(1100 * time.Millisecond)))                  // times are to the second
	if _, err := s.SaveSnapshot(t.Context(), p.files(), "another-one"); err != nil {
		t.Fatal(err)
	}
	if got := names(p.snapshots(t, p.p)); !slices.Equal(got, []string{"one", "another-one"}) {
		t.Errorf("got snapshots %v, want the oldest first", got)
	}
	for range 2 {
		if err := s.DeleteSnapshot(t.Context(), p.files(), "another-one"); err != nil {
			t.Errorf("DeleteSnapshot: %v", err)
		}
	}
	if got := names(p.snapshots(t, p.p)); !slices.Equal(got, []string{"one"}) {
		t.Errorf("got snapshots %v, want one alone", got)
	}
	p.refusedSnapshots(t, s)
	command(t, p.webShell, "sudo -n sh -c 'echo changed >"+filesMount+"/row && touch "+filesMount+"/more && sync'")
}

func written(t *testing.T, shell *ssh.Client, file string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(command(t, shell, "sudo -n cat "+filesMount+"/"+file), 10, 64)
	if err != nil {
		t.Fatalf("file %s holds no number: %v", file, err)
	}
	return n
}

// cancelSave wants nothing to be left of a cancelled snapshot once the call has returned.
func (p *pair) cancelSave(t *testing.T, s providers.Snapshotter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := s.SaveSnapshot(ctx, p.files(), "cancelled")
	there := slices.Contains(names(p.snapshots(t, p.p)), "cancelled")
	if there != (err == nil) {
		t.Errorf("a cancelled save returned %v, and that it is there is %t", err, there)
	}
	if err := s.DeleteSnapshot(t.Context(), p.files(), "cancelled"); err != nil {
		t.Errorf("DeleteSnapshot: %v", err)
	}
}

// killedSave kills a process that saves web-1's disk, half-way.
func killedSave(t *testing.T, p *pair) {
	s, ok := providers.As[providers.Snapshotter](p.p)
	if !ok {
		return
	}
	begin := time.Now()
	if _, err := s.SaveSnapshot(t.Context(), p.files(), "killed"); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	if err := s.DeleteSnapshot(t.Context(), p.files(), "killed"); err != nil {
		t.Fatal(err)
	}
	end := p.startChild(t, childOrder{Config: p.h.Config, Env: p.env, Name: "web-1", Save: "killed"})
	time.Sleep(took / 2)
	end()
	if got := names(p.snapshots(t, p.p)); slices.Contains(got, "killed") {
		t.Logf("it was killed too late: %v", got)
	}
	command(t, p.webShell, "sudo -n sh -c 'echo goes on >"+filesMount+"/after && sync'")
	if err := s.DeleteSnapshot(t.Context(), p.files(), "killed"); err != nil { // also of what is not whole
		t.Fatal(err)
	}
	if _, err := s.SaveSnapshot(t.Context(), p.files(), "killed"); err != nil {
		t.Errorf("saving again under the name of a killed run: %v", err)
	}
	if err := s.DeleteSnapshot(t.Context(), p.files(), "killed"); err != nil {
		t.Fatal(err)
	}
	if got := names(p.snapshots(t, p.open(t))); !slices.Equal(got, []string{"one"}) {
		t.Errorf("got snapshots %v, want one alone", got)
	}
}

func (p *pair) refusedSnapshots(t *testing.T, s providers.Snapshotter) {
	t.Helper()
	absent := p.files()
	absent.Name = "none"
	_, err := s.SaveSnapshot(t.Context(), absent, "one")
	wantCode(t, err, providers.NotFound)
	for _, name := range []string{"", "Capital", "../one", "a b", strings.Repeat("x", 33)} {
		_, err := s.SaveSnapshot(t.Context(), p.files(), name)
		wantCode(t, err, providers.Invalid)
	}
	if err := s.DeleteSnapshot(t.Context(), absent, "one"); err != nil {
		t.Errorf("deleting a snapshot of an absent disk: %v, want success", err)
	}
}

// snapshotRestores brings web-1's disk back while it is stopped, and starts it with PutMachine.
func snapshotRestores(t *testing.T, p *pair) {
	s, ok := providers.As[providers.Snapshotter](p.p)
	if !ok {
		return
	}
	p.down(t)
	wantCode(t, s.RestoreSnapshot(t.Context(), p.files(), "none"), providers.NotFound)
	for range 2 {
		if err := s.RestoreSnapshot(t.Context(), p.files(), "one"); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(p.snapshots(t, p.p)); !slices.Equal(got, []string{"one"}) {
		t.Errorf("after it was restored got snapshots %v, want it kept", got)
	}
	p.wantDisks(t, p.env, map[providers.DataRef]int64{p.pg(): pgSize, p.files(): filesSize})
	p.upAgain(t)
	p.webShell = p.shell(t, p.web)
	if got := command(t, p.webShell, "sudo -n sh -c 'cat "+filesMount+"/row; test ! -e "+filesMount+"/more && echo no more'"); got != "kept\nno more" {
		t.Errorf("got %q from the restored disk, want what was there when it was saved", got)
	}
	a, b := written(t, p.webShell, "a"), written(t, p.webShell, "b")
	if a < p.saved[0] || a > p.saved[1] || a != b && a != b+1 {
		t.Errorf("the restored disk has %d, then %d; want one moment between %d and %d", a, b, p.saved[0], p.saved[1])
	}
	p.wantMounted(t, p.webShell, filesMount, filesSize)
}
