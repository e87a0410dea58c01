// SPDX-License-Identifier: Apache-2.0

package sync_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers/sync"
)

func (r *rig) commit() sync.Commit {
	r.t.Helper()
	c, err := sync.Inspect(context.Background(), r.host)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) deliver(c sync.Commit) bool {
	r.t.Helper()
	done, err := sync.Deliver(context.Background(), r.client, r.pair, c, sync.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	return done
}

// committed makes the rig's folder a subfolder of a repository with one commit.
func (r *rig) committed() {
	r.t.Helper()
	r.git("init", "-q", "..")
	r.git("add", ".")
	r.git("commit", "-q", "-m", "one")
}

func TestInspectSaysInPlainWordsWhatCannotBeDelivered(t *testing.T) {
	r := newRig(t)
	fails := func(want string) {
		t.Helper()
		if _, err := sync.Inspect(context.Background(), r.host); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	fails("it is in no git repository")
	r.git("init", "-q", "..")
	fails("the repository has no commit yet")
	r.git("commit", "-q", "--allow-empty", "-m", "none")
	fails("holds nothing of it")
	write(t, r.host, "a", "1")
	write(t, filepath.Dir(r.host), "elsewhere", "1")
	if c := r.commit(); len(c.Dirty) != 1 || c.Dirty[0] != "host/" || !strings.HasSuffix(c.Name(), "-dirty") {
		t.Errorf("untracked: %+v", c)
	}
	r.git("add", ".")
	r.git("commit", "-q", "-m", "a")
	if c := r.commit(); len(c.Dirty) != 0 || c.Name() != c.ID {
		t.Errorf("clean: %+v; what lies elsewhere does not count", c)
	}
}

func TestDeliverSwitchesTheFolderAsAWhole(t *testing.T) {
	r := newRig(t)
	write(t, r.host, "a", "1")
	write(t, r.host, "sub/b", "1")
	if err := os.Chmod(filepath.Join(r.host, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.committed()
	one := r.commit()
	want := ".evenkeel-commit=" + one.ID + "\n a*=1 sub/b=1"
	if !r.deliver(one) {
		t.Error("not delivered")
	}
	r.holds(r.far, want)
	if r.deliver(one) {
		t.Error("delivered twice")
	}

	write(t, r.host, "untracked", "x")
	r.remove(r.host, "sub")
	dirty := r.commit()
	for range 2 {
		if !r.deliver(dirty) {
			t.Error("what differs from its commit is delivered each time: nothing says that it is the same")
		}
	}
	r.holds(r.far, ".evenkeel-commit="+one.ID+"-dirty\n a*=1 untracked=x")
	r.remove(r.host, "untracked")
	r.git("add", ".")
	r.git("commit", "-q", "-m", "two")
	two := r.commit()
	r.deliver(two)
	r.holds(r.far, ".evenkeel-commit="+two.ID+"\n a*=1")
	got, err := sync.Delivered(context.Background(), r.client, []string{"/nowhere", r.far})
	if err != nil || len(got) != 2 || got[0] != "" || got[1] != two.ID {
		t.Errorf("recorded: %v, %v", got, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(r.far)); len(left) != 1 {
		t.Errorf("beside it: %v, want nothing", left)
	}
}

func TestADeliveryCutShortLeavesTheFolderAsItWas(t *testing.T) {
	r := newRig(t)
	for _, n := range []string{"a", "b", "c"} {
		write(t, r.host, n, strings.Repeat(n, 1<<20))
	}
	r.committed()
	write(t, r.far, "old", "1")
	ctx, cancel := context.WithCancel(context.Background())
	r.before = func(line string) {
		if strings.Contains(line, "tar -x") {
			time.AfterFunc(5*time.Millisecond, cancel)
		}
	}
	_, err := sync.Deliver(ctx, r.client, r.pair, r.commit(), sync.Options{})
	r.before = nil
	if err == nil {
		t.Skip("it was faster than the cancel")
	}
	r.holds(r.far, "old=1")
	if left, _ := os.ReadDir(filepath.Dir(r.far)); len(left) != 1 {
		t.Errorf("beside it: %v, want nothing", left)
	}
}
