// SPDX-License-Identifier: Apache-2.0

// Package e2e_test runs the built binaries as a user does, over the fake provider: each test in a world of its own.
package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// bin is the folder of the binaries under test: evenkeel, env (the same file) and env-provider-fake.
var bin string

func TestMain(m *testing.M) {
	// Where the tests run as a script's background job, their children would inherit that these are ignored.
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGHUP} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "evenkeel-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	for name, pkg := range map[string]string{
		"evenkeel": "../../cmd/env", "env-provider-fake": "../../cmd/env-provider-fake", "env-provider-hosts": "../../cmd/env-provider-hosts",
		"env-provider-away": "./testdata/away", "env-provider-carried": "./testdata/carried",
	} {
		build := exec.Command("go", "build", "-o", filepath.Join(bin, name), pkg)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build %s: %v\n%s", pkg, err, out)
			return 1
		}
	}
	if err := os.Link(filepath.Join(bin, "evenkeel"), filepath.Join(bin, "env")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// project lays the shop into dir, over nothing that is there, and gives every env.yaml below dir its world.
func project(dir, world string) error {
	shop := os.DirFS("testdata/shop")
	err := fs.WalkDir(shop, ".", func(path string, d fs.DirEntry, err error) error {
		target := filepath.Join(dir, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		if _, err := os.Stat(target); err == nil {
			return nil
		}
		data, err := fs.ReadFile(shop, path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o644)
	})
	if err != nil {
		return err
	}
	return filepath.WalkDir(filepath.Dir(dir), func(path string, d fs.DirEntry, err error) error {
		if err == nil && path == world {
			return fs.SkipDir
		}
		if err != nil || filepath.Base(path) != "env.yaml" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, bytes.ReplaceAll(data, []byte("WORLD"), []byte(world)), 0o644)
	})
}

// variables are the environment of the binaries: a home of their own.
func variables(home string) []string {
	return []string{
		"HOME=" + home, "XDG_STATE_HOME=" + home + "/state", "XDG_CACHE_HOME=" + home + "/cache", "XDG_DATA_HOME=" + home + "/data",
		"PATH=" + bin + ":/usr/sbin:/usr/bin:/sbin:/bin", "USER=tester", "TERM=xterm", "LC_ALL=C.UTF-8", "NO_COLOR=1", "EVENKEEL_BOOT_DEADLINE=60s",
	}
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/scripts",
		Setup: func(e *testscript.Env) error {
			world := filepath.Join(e.WorkDir, "world")
			e.Defer(func() { remove(t, world) })
			e.Vars = append(e.Vars, variables(filepath.Join(e.WorkDir, "home"))...)
			e.Cd = filepath.Join(e.WorkDir, "shop")
			return project(e.Cd, world)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"evenkeel": evenkeel, "exits": exits, "json": jsonField, "empty-world": emptyWorld, "audit-key": auditKey,
		},
	})
}

// evenkeel ARGUMENTS... runs the command, which must succeed.
func evenkeel(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("say which status: exits STATUS evenkeel ...")
	}
	if err := ts.Exec("evenkeel", args...); err != nil {
		ts.Fatalf("evenkeel %s: %v", strings.Join(args, " "), err)
	}
}

// exits N COMMAND... runs a command that must end with that status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	status := 0
	err := ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if want, err := strconv.Atoi(args[0]); err != nil || status != want {
		ts.Fatalf("%s: got exit status %d, want %s", strings.Join(args[1:], " "), status, args[0])
	}
}

// empty-world holds that nothing of ours is left: no record of a machine or environment, no process.
func emptyWorld(ts *testscript.TestScript, _ bool, _ []string) {
	if left := leftovers(ts.Getenv("WORK") + "/world"); len(left) > 0 {
		ts.Fatalf("left over: %s", strings.Join(left, "\n  "))
	}
}

// leftovers lists what a world still holds and which processes belong to it. Stored images are no leftovers.
func leftovers(world string) []string {
	var left []string
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		left = append(records(world), processes(world)...)
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

func records(world string) (list []string) {
	_ = filepath.WalkDir(world, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(world, path)
			if strings.HasPrefix(rel, "images/") || strings.HasPrefix(rel, "failed/") || strings.HasPrefix(rel, "tmp/") || strings.HasSuffix(rel, "lock") {
				return nil
			}
			list = append(list, rel)
		}
		return nil // what vanishes meanwhile is what we wait for
	})
	return list
}

func processes(world string) (list []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err == nil && bytes.Contains(line, []byte(world)) {
			list = append(list, f+": "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return list
}

// remove ends a world: its machines' processes end when their records are gone.
func remove(t *testing.T, world string) {
	t.Helper()
	if err := os.RemoveAll(world); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		left := processes(world)
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Errorf("processes left over: %s", strings.Join(left, "\n  "))
			return
		}
	}
}
