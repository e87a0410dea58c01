// SPDX-License-Identifier: Apache-2.0

package sync_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
	"github.com/evenkeel/evenkeel/providers/sync"
)

// rig is a project's folder, a machine's folder, and a session between them. Its machine is this computer's own shell.
type rig struct {
	t         testing.TB
	host, far string // folders
	target    ssh.Target
	client    *ssh.Client
	pair      sync.Pair
	before    func(line string) // called before each command of the machine; may be nil
}

func newRig(t testing.TB) *rig { return newRigWith(t, nil) }

// newRigWith is a rig whose machine runs its commands by run; nil: as this process's user, in a shell.
func newRigWith(t testing.TB, run func(context.Context, *sshtest.Session) int) *rig {
	t.Helper()
	t.Setenv("SSH_AUTH_SOCK", "")
	dir := t.TempDir()
	r := &rig{t: t, host: filepath.Join(dir, "host"), far: filepath.Join(dir, "machine", "app")}
	for _, d := range []string{r.host, filepath.Dir(r.far)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ca, err := ssh.NewHostCA()
	if err != nil {
		t.Fatal(err)
	}
	private, public, err := ssh.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(public, []string{"m"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	id, err := ssh.LoadIdentity("", filepath.Join(dir, "id"))
	if err != nil {
		t.Fatal(err)
	}
	if run == nil {
		run = sshtest.Shell(dir)
	}
	server, err := sshtest.Serve(context.Background(), sshtest.Config{
		HostKeys: func() ([]sshtest.HostKey, error) {
			return []sshtest.HostKey{{Private: private, Certificate: cert}}, nil
		},
		Authorized: func(string) []string { return id.PublicKeys() },
		Exec: func(ctx context.Context, s *sshtest.Session) int {
			if r.before != nil {
				r.before(s.Command)
			}
			return run(ctx, s)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	r.target = ssh.Target{Address: server.Addr(), User: "deploy", HostCA: ca.PublicKey(), Principal: "m", Identity: id}
	r.client = r.dial()
	r.pair = sync.Pair{Machine: "web-1", From: r.host, To: r.far, State: sync.StateFile(filepath.Join(dir, "state"), dir, "shop.laptop", "web-1", r.host, r.far)}
	return r
}

// dial opens another session.
func (r *rig) dial() *ssh.Client {
	r.t.Helper()
	client, err := ssh.Dial(context.Background(), r.target)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = client.Close() })
	return client
}

func (r *rig) sync(o sync.Options) *sync.Result {
	r.t.Helper()
	res, err := sync.Sync(context.Background(), r.client, r.pair, o)
	if err != nil {
		r.t.Fatalf("sync: %v", err)
	}
	return res
}

// alike syncs and holds that both folders came to be want, without a conflict.
func (r *rig) alike(want string) *sync.Result {
	r.t.Helper()
	res := r.sync(sync.Options{})
	if len(res.Conflicts) > 0 {
		r.t.Errorf("conflicts: %+v", res.Conflicts)
	}
	r.holds(r.host, want)
	r.holds(r.far, want)
	return res
}

// holds compares the folder with want: "PATH=CONTENT PATH*=CONTENT (executable) PATH>TARGET (link)", sorted.
func (r *rig) holds(dir, want string) {
	r.t.Helper()
	if got := contents(r.t, dir); got != want {
		r.t.Errorf("%s holds\n  %s\nwant\n  %s", filepath.Base(dir), got, want)
	}
}

func contents(t testing.TB, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) { // somebody is at work
			return nil
		}
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if d.Name() == ".git" {
			return filepath.SkipDir
		}
		info, err := d.Info()
		switch {
		case err != nil:
			return nil // as above
		case d.Name() == ".evenkeel-sync":
		case d.IsDir():
			if list, _ := os.ReadDir(path); len(list) == 0 && rel != "." {
				all = append(all, rel+"/")
			}
		case info.Mode()&os.ModeSymlink != 0:
			to, _ := os.Readlink(path)
			all = append(all, rel+">"+to)
		default:
			text, err := os.ReadFile(path)
			if err != nil {
				return nil // it goes on showing in the next look
			}
			mark := "="
			if info.Mode()&0o100 != 0 {
				mark = "*="
			}
			all = append(all, rel+mark+string(text))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// write makes or changes a file, with a time of its own a minute in the past or later.
func write(t testing.TB, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) remove(dir, name string) {
	r.t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) git(args ...string) {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"}, args...)...)
	cmd.Dir = r.host
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("git %s: %v: %s", args, err, out)
	}
}

func TestChangesOnEitherSideAreCarriedOver(t *testing.T) {
	r := newRig(t)
	write(t, r.host, "a", "1")
	write(t, r.host, "lib/b", "2")
	write(t, r.host, "it's a name\nin two lines", "odd")
	if err := os.Chmod(filepath.Join(r.host, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("lib/b", filepath.Join(r.host, "c")); err != nil {
		t.Fatal(err)
	}
	all := "a*=1 c>lib/b it's a name\nin two lines=odd lib/b=2"
	if res := r.alike(all); res.Pushed != 4 || res.Files != 4 || res.Pulled != 0 {
		t.Errorf("first: %+v", res)
	}
	if res := r.alike(all); res.Changed() {
		t.Errorf("again: %+v", res)
	}

	write(t, r.far, "lib/b", "other") // another size
	write(t, r.far, "new/d", "3")
	if res := r.alike("a*=1 c>lib/b it's a name\nin two lines=odd lib/b=other new/d=3"); res.Pulled != 2 || res.Pushed != 0 {
		t.Errorf("changes of the machine: %+v", res)
	}
	write(t, r.host, "lib/b", "OTHER") // the same size
	if err := os.Chmod(filepath.Join(r.far, "a"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.alike("a=1 c>lib/b it's a name\nin two lines=odd lib/b=OTHER new/d=3")

	r.remove(r.host, "new")
	r.remove(r.far, "a")
	r.remove(r.host, "c")
	if res := r.alike("it's a name\nin two lines=odd lib/b=OTHER"); res.Removed != 3 {
		t.Errorf("deletions: %+v", res)
	}
	if res := r.alike("it's a name\nin two lines=odd lib/b=OTHER"); res.Changed() {
		t.Errorf("at the end: %+v", res)
	}
}

func TestAFileAndAFolderChangePlaces(t *testing.T) {
	r := newRig(t)
	write(t, r.host, "a", "file")
	write(t, r.host, "b/x", "in a folder")
	r.alike("a=file b/x=in a folder")
	r.remove(r.host, "a")
	r.remove(r.host, "b")
	write(t, r.host, "a/y", "now a folder")
	write(t, r.host, "b", "now a file")
	r.alike("a/y=now a folder b=now a file")
	r.remove(r.far, "a")
	r.remove(r.far, "b")
	write(t, r.far, "a", "file")
	write(t, r.far, "b/x", "in a folder")
	r.alike("a=file b/x=in a folder")
}

func TestConflictsAreToldAndTouchNothingUntilASideIsPreferred(t *testing.T) {
	for _, prefer := range []sync.Side{sync.Host, sync.Machine} {
		t.Run(string(prefer), func(t *testing.T) {
			r := newRig(t)
			for _, n := range []string{"both", "gone-here", "gone-there", "same"} {
				write(t, r.host, n, "0")
			}
			r.sync(sync.Options{})
			for _, dir := range []string{r.host, r.far} {
				side := filepath.Base(dir)
				write(t, dir, "both", side)
				write(t, dir, "new", side+" new")
				write(t, dir, "same", "the same edit")
			}
			r.remove(r.host, "gone-here")
			r.remove(r.far, "gone-there")
			write(t, r.far, "gone-here", "edited")
			write(t, r.host, "gone-there", "edited")
			res := r.sync(sync.Options{})
			var got []string
			for _, c := range res.Conflicts {
				got = append(got, fmt.Sprintf("%s: %s, %t %t", c.Path, c.Why, c.Host.IsZero(), c.Machine.IsZero()))
			}
			want := []string{
				"both: changed on both sides, false false",
				"gone-here: deleted on this computer, changed on the machine, true false",
				"gone-there: changed on this computer, deleted on the machine, false true",
				"new: on both sides, with other content, and never synced, false false",
			}
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			r.holds(r.host, "both=host gone-there=edited new=host new same=the same edit")
			r.holds(r.far, "both=app gone-here=edited new=app new same=the same edit")

			res = r.sync(sync.Options{Prefer: prefer})
			all := map[sync.Side]string{
				sync.Host:    "both=host gone-there=edited new=host new same=the same edit",
				sync.Machine: "both=app gone-here=edited new=app new same=the same edit",
			}[prefer]
			if len(res.Conflicts) > 0 {
				t.Errorf("conflicts are left: %+v", res.Conflicts)
			}
			r.alike(all)
		})
	}
}

func TestFirstSyncOverwritesNothingOfTheUsers(t *testing.T) {
	r := newRig(t)
	write(t, r.host, "a", "mine")
	write(t, r.host, "same", "x")
	write(t, r.far, "a", "yours")
	write(t, r.far, "same", "x")
	write(t, r.far, "only", "there")
	res := r.sync(sync.Options{})
	if len(res.Conflicts) != 1 || res.Conflicts[0].Path != "a" {
		t.Errorf("conflicts: %+v, want one, of a", res.Conflicts)
	}
	r.holds(r.host, "a=mine only=there same=x")
	r.holds(r.far, "a=yours only=there same=x")
}

func TestAMachineMadeAnewOrAnEmptiedFolderDeletesNothing(t *testing.T) {
	r := newRig(t)
	write(t, r.host, "a", "1")
	write(t, r.host, "b", "2")
	r.alike("a=1 b=2")
	r.remove(r.far, "") // with the marker: as a new machine is
	if res := r.alike("a=1 b=2"); res.Pushed != 2 {
		t.Errorf("%+v, want both files carried again", res)
	}
	r.remove(r.far, "a") // without: somebody's rm -rf *
	r.remove(r.far, "b")
	res := r.sync(sync.Options{})
	if len(res.Conflicts) != 1 || res.Conflicts[0].Why != "everything is gone on the machine" {
		t.Errorf("conflicts: %+v", res.Conflicts)
	}
	r.holds(r.host, "a=1 b=2")
	r.sync(sync.Options{Prefer: sync.Host})
	r.holds(r.far, "a=1 b=2")
	r.remove(r.far, "a")
	r.remove(r.far, "b")
	r.sync(sync.Options{Prefer: sync.Machine})
	r.holds(r.host, "")
}

func TestWhatIsIgnoredStaysWhereItIs(t *testing.T) {
	for _, tool := range []string{"git", "no git"} {
		t.Run(tool, func(t *testing.T) {
			r := newRig(t)
			if tool == "git" {
				r.git("init", "-q")
			}
			write(t, r.host, ".gitignore", "*.log\nbuild/\n!keep.log\n")
			write(t, r.host, "sub/.gitignore", "/local\n")
			write(t, r.host, "sub/local", "not this")
			write(t, r.host, "local", "this")
			write(t, r.host, "x.log", "not this")
			write(t, r.host, "keep.log", "this")
			write(t, r.host, "build/out", "not this")
			write(t, r.host, ".git/config2", "never")
			rules := ".gitignore=*.log\nbuild/\n!keep.log\n"
			here := rules + " build/out=not this keep.log=this local=this sub/.gitignore=/local\n sub/local=not this x.log=not this"
			write(t, r.far, "build/object", "made there")
			write(t, r.far, ".git/config", "a trick")
			there := rules + " build/object=made there keep.log=this local=this sub/.gitignore=/local\n"
			r.sync(sync.Options{})
			r.holds(r.host, here)
			r.holds(r.far, there)
			// Ignored from now on: that deletes on neither side.
			write(t, r.host, ".gitignore", "*.log\nbuild/\n!keep.log\nlocal\n")
			r.sync(sync.Options{})
			r.sync(sync.Options{})
			if got := contents(t, r.far); !strings.Contains(got, " local=this") {
				t.Errorf("the machine holds %s; want local still there", got)
			}
			if _, err := os.Stat(filepath.Join(r.host, ".git/config")); tool == "no git" && err == nil {
				t.Error(".git came from the machine")
			}
		})
	}
}

func TestNothingIsWrittenOutsideOfTheFoldersNorThroughLinks(t *testing.T) {
	r := newRig(t)
	outside := t.TempDir()
	write(t, r.host, "dir/a", "1")
	r.alike("dir/a=1")
	// The machine's folder becomes a link out of it, with a file of that name behind it.
	r.remove(r.far, "dir")
	write(t, outside, "a", "theirs")
	if err := os.Symlink(outside, filepath.Join(r.far, "dir")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(r.far, "passwd")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../x", filepath.Join(r.far, "up")); err != nil {
		t.Fatal(err)
	}
	write(t, r.host, "dir/b", "2")
	res := r.sync(sync.Options{})
	if res.Skipped["passwd"] == "" || res.Skipped["up"] == "" || res.Skipped["dir"] == "" {
		t.Errorf("skipped: %v", res.Skipped)
	}
	r.holds(outside, "a=theirs")
	if _, err := os.Lstat(filepath.Join(r.host, "passwd")); err == nil {
		t.Error("a link out of the folder came to the host")
	}
	// And so on the host.
	r.remove(r.host, "dir")
	if err := os.Symlink(outside, filepath.Join(r.host, "dir")); err != nil {
		t.Fatal(err)
	}
	r.remove(r.far, "dir")
	write(t, r.far, "dir/a", "overwritten")
	write(t, r.far, "dir/c", "new")
	r.sync(sync.Options{})
	r.sync(sync.Options{Prefer: sync.Machine})
	r.holds(outside, "a=theirs")
}

func TestWhatChangesDuringTheSyncIsLeftAndCarriedNextTime(t *testing.T) {
	r := newRig(t)
	write(t, r.host, "a", "1")
	write(t, r.host, "b", "1")
	r.alike("a=1 b=1")
	write(t, r.host, "a", "from the host")
	write(t, r.far, "b", "from the machine")
	r.before = func(line string) {
		switch {
		case strings.Contains(line, "exec sh'"): // the last step of a push
			write(t, r.far, "a", "late, there")
		case strings.Contains(line, "verbatim-files-from"):
			write(t, r.host, "b", "late, here")
		}
	}
	res := r.sync(sync.Options{})
	r.before = nil
	if len(res.Conflicts) != 2 || res.Changed() {
		t.Errorf("%+v, want both told and neither touched", res)
	}
	r.holds(r.host, "a=from the host b=late, here")
	r.holds(r.far, "a=late, there b=from the machine")
	if res = r.sync(sync.Options{}); len(res.Conflicts) != 2 {
		t.Errorf("next: %+v, want them as conflicts", res.Conflicts)
	}
}

func TestACancelledSyncIsTakenUpByTheNext(t *testing.T) {
	r := newRig(t)
	for i := range 50 {
		write(t, r.host, fmt.Sprintf("d%d/f", i), strings.Repeat("x", 1000*i))
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.before = func(line string) {
		if strings.Contains(line, "tar -x") {
			time.AfterFunc(20*time.Millisecond, cancel)
		}
	}
	if _, err := sync.Sync(ctx, r.client, r.pair, sync.Options{}); err == nil {
		t.Log("it was faster than the cancel")
	}
	r.before = nil
	r.sync(sync.Options{})
	if here, there := contents(t, r.host), contents(t, r.far); here != there {
		t.Errorf("the machine holds\n%.300s\nwant\n%.300s", there, here)
	}
	if left, _ := filepath.Glob(filepath.Join(r.far, ".evenkeel-stage-*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestABrokenBaselineDeletesNothing(t *testing.T) {
	r := newRig(t)
	write(t, r.host, "a", "1")
	write(t, r.host, "b", "1")
	r.alike("a=1 b=1")
	if err := os.WriteFile(r.pair.State, []byte("not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.remove(r.host, "a")
	r.alike("a=1 b=1")
}

func TestRepositoriesInTheFolderHaveTheirOwnRules(t *testing.T) {
	r := newRig(t)
	r.git("init", "-q")
	r.git("init", "-q", "nested")
	r.git("init", "-q", "left-out")
	write(t, r.host, ".gitignore", "left-out\n")
	write(t, r.host, "nested/.gitignore", "*.log\n")
	write(t, r.host, "nested/a", "1")
	write(t, r.host, "nested/a.log", "not this")
	write(t, r.host, "left-out/b", "not this")
	r.sync(sync.Options{})
	all := ".gitignore=left-out\n nested/.gitignore=*.log\n nested/a=1"
	r.holds(r.far, all)
	write(t, r.far, "nested/there.log", "not this")
	write(t, r.far, "nested/c", "2")
	write(t, r.far, "left-out/d", "not this")
	if err := os.Symlink("nested", filepath.Join(r.host, "link")); err != nil {
		t.Fatal(err)
	}
	write(t, r.far, "link/e", "behind a link of the host")
	res := r.sync(sync.Options{})
	r.holds(r.host, ".gitignore=left-out\n left-out/b=not this link>nested nested/.gitignore=*.log\n nested/a.log=not this nested/a=1 nested/c=2")
	if len(res.Conflicts) != 2 {
		t.Errorf("conflicts %+v, want link and what is below it on the machine", res.Conflicts)
	}
}

func TestAClockThatIsOffMakesNoConflict(t *testing.T) {
	r := newRig(t)
	ahead := time.Now().Add(24 * time.Hour)
	for i, text := range []string{"one", "two", "three"} {
		write(t, r.host, "a", text)
		if err := os.Chtimes(filepath.Join(r.host, "a"), ahead, ahead.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
		r.alike("a=" + text)
	}
	if res := r.alike("a=three"); res.Changed() {
		t.Errorf("again: %+v", res)
	}
	r.remove(r.host, "a")
	write(t, r.host, "b", "1")
	r.alike("b=1")
}
