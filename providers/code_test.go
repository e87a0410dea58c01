// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
)

// project is a folder with a repository of one commit that holds app/main.
func project(t *testing.T) (dir string, git func(args ...string) string) {
	t.Helper()
	dir = t.TempDir()
	git = func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	put(t, dir, "app/main", "one")
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "one")
	return dir, git
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// coded is a machine with the project's app.
func coded(dir string) envs.Machine {
	m := web("1")
	m.Code = []envs.Code{{From: filepath.Join(dir, "app"), To: "/srv/app"}}
	return m
}

func TestElsewhereTheCommitIsDeliveredAndRecorded(t *testing.T) {
	dir, git := project(t)
	at := world(t, nil)
	far := func() *providers.Core {
		c := at(coded(dir))
		c.Plugin.Traits.Local = false
		c.Plan.Access.Keys = c.Identity.PublicKeys()
		return c
	}
	one := git("rev-parse", "HEAD")
	c := far()
	res := up(t, c, providers.UpOptions{})
	if len(res.Code) != 1 || res.Code[0].Commit != one {
		t.Errorf("code %+v, want commit %s", res.Code, one)
	}
	if got := on(t, c, res.Machines[0], "cat /srv/app/main"); got != "one" {
		t.Errorf("the machine holds %q", got)
	}
	if res := up(t, far(), providers.UpOptions{}); res.Changed() {
		t.Errorf("again: %+v", res.Changes)
	}

	put(t, dir, "app/main", "two")
	_, err := far().Up(t.Context(), providers.UpOptions{})
	if providers.CodeOf(err) != providers.Denied || !strings.Contains(err.Error(), "differs from commit "+one[:12]+": app/main") {
		t.Errorf("dirty: got %v", err)
	}
	c = far()
	c.AllowDirty = true
	if res := up(t, c, providers.UpOptions{}); !res.Changed() || res.Code[0].Commit != one+"-dirty" {
		t.Errorf("allowed: %+v", res)
	}
	if got := on(t, c, res.Machines[0], "cat /srv/app/main"); got != "two" {
		t.Errorf("the machine holds %q", got)
	}
	git("commit", "-q", "-a", "-m", "two")
	two := git("rev-parse", "HEAD")
	up(t, far(), providers.UpOptions{})
	status, err := far().Status(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if got := status[0].Commits["/srv/app"]; got != two {
		t.Errorf("status says %q (%s), want %s", got, status[0].Reason, two)
	}
}

func TestADirtyTreeIsRefusedBeforeAnythingIsMade(t *testing.T) {
	dir, _ := project(t)
	put(t, dir, "app/new", "x")
	c := world(t, nil)(coded(dir))
	c.Plugin.Traits.Local = false
	if _, err := c.Up(t.Context(), providers.UpOptions{}); providers.CodeOf(err) != providers.Denied {
		t.Errorf("got %v, want it denied", err)
	}
	if envs, err := c.Provider.ListEnvs(t.Context()); err != nil || len(envs) > 0 {
		t.Errorf("made: %v, %v", envs, err)
	}
	c.AllowDirty = true
	if err := os.RemoveAll(filepath.Join(dir, ".git")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Up(t.Context(), providers.UpOptions{}); err == nil || !strings.Contains(err.Error(), "it is in no git repository") {
		t.Errorf("got %v, want it said that there is no repository", err)
	}
}

// A run ends with every machine settled, so code of a machine that nobody named counts too; and verbs that deliver none have no use for a clean tree.
func TestADirtyTreeStopsNoRunHalfWay(t *testing.T) {
	dir, _ := project(t)
	app, plain := coded(dir), web("1")
	plain.Name, plain.Kind = "cache-1", "cache"
	at := world(t, nil)
	far := func() *providers.Core {
		c := at(app, plain)
		c.Plugin.Traits.Local = false
		c.Plan.Access.Keys = c.Identity.PublicKeys()
		return c
	}
	before := up(t, far(), providers.UpOptions{})
	there := func() []providers.Machine {
		list, err := far().Provider.ListMachines(t.Context(), before.Env)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	put(t, dir, "app/main", "two")
	for name, verb := range map[string]func(*providers.Core) error{
		"rebuild": func(c *providers.Core) error {
			_, err := c.Rebuild(t.Context(), []string{"cache"}, providers.RollOptions{AllowDowntime: true})
			return err
		},
		"up": func(c *providers.Core) error {
			_, err := c.Up(t.Context(), providers.UpOptions{Only: []string{"cache"}})
			return err
		},
		"may replace": func(c *providers.Core) error {
			return c.MayReplace(t.Context(), []string{"cache"}, providers.RollOptions{AllowDowntime: true})
		},
	} {
		if err := verb(far()); providers.CodeOf(err) != providers.Denied || !strings.Contains(err.Error(), "app/main") {
			t.Errorf("%s: got %v, want the dirty tree denied", name, err)
		}
	}
	for i, m := range there() {
		if m.ID != before.Machines[i].ID {
			t.Errorf("%s was replaced", m.Name)
		}
	}
	c := far()
	if _, err := c.Stop(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := far().Start(t.Context(), nil); err != nil {
		t.Errorf("start: %v", err)
	}
	if _, err := far().Remove(t.Context(), []string{"cache"}); err != nil {
		t.Errorf("down of a machine: %v", err)
	}
	if got := on(t, far(), there()[0], "cat /srv/app/main"); got != "one" {
		t.Errorf("the machine holds %q, want the commit that it was given", got)
	}
}

// Each of the machines has the same new file, and what one brings here the other finds changed under its hands.
func TestWhatTwoMachinesBringAlikeIsNoConflict(t *testing.T) {
	dir, _ := project(t)
	one, two := coded(dir), coded(dir)
	two.Name = "web-2"
	at := world(t, nil)
	state := t.TempDir()
	core := func() *providers.Core {
		c := at(one, two)
		c.CodeDir = state
		return c
	}
	c := core()
	res := up(t, c, providers.UpOptions{})
	for range 3 {
		for _, m := range res.Machines {
			on(t, c, m, "cd /srv/app && for i in $(seq 40); do echo $i >made-$i; done")
		}
		again := up(t, core(), providers.UpOptions{})
		for _, r := range again.Code {
			if len(r.Conflicts) > 0 {
				t.Errorf("%s: got conflicts %+v", r.Machine, r.Conflicts)
			}
		}
		for _, m := range res.Machines {
			on(t, c, m, "rm -f /srv/app/made-*")
		}
		up(t, core(), providers.UpOptions{})
	}
}

func TestSyncBringsOneMachinesChangesToAllInOneCall(t *testing.T) {
	dir, _ := project(t)
	one, two := coded(dir), coded(dir)
	two.Name = "web-2"
	c := world(t, nil)(one, two)
	c.CodeDir = t.TempDir()
	res := up(t, c, providers.UpOptions{})
	on(t, c, res.Machines[0], "echo from web-1 >/srv/app/new")
	list, err := c.SyncCode(t.Context(), nil, "")
	if err != nil || len(list) != 2 || list[0].Pulled != 1 || list[1].Pushed != 1 {
		t.Errorf("got %+v, %v", list, err)
	}
	if got := on(t, c, res.Machines[1], "cat /srv/app/new"); got != "from web-1\n" {
		t.Errorf("web-2 holds %q", got)
	}
	kept := func() (n int) {
		list, _ := filepath.Glob(filepath.Join(c.CodeDir, "sync", "shop.laptop@*-????????????????"))
		return len(list)
	}
	if kept() != 2 {
		t.Errorf("%d baselines, want one a machine", kept())
	}
	if _, err := c.Down(t.Context(), true); err != nil || kept() != 0 {
		t.Errorf("down left %d baselines, %v", kept(), err)
	}
	if left, err := os.ReadDir(filepath.Join(c.CodeDir, "sync")); err != nil || len(left) > 0 {
		t.Errorf("down left %v, %v", left, err)
	}
	c.Plugin.Traits.Local = false
	if _, err := c.SyncCode(t.Context(), nil, ""); providers.CodeOf(err) != providers.Unsupported {
		t.Errorf("elsewhere: got %v, want it unsupported", err)
	}
}
