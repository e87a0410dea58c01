// SPDX-License-Identifier: Apache-2.0

package collectors_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/parity/facts/factstest"
	"github.com/evenkeel/evenkeel/test/conformance"
)

var (
	update = flag.Bool("update", false, "write the golden files anew")
	record = flag.String("record", "", "GROUP[,GROUP...]=SYSTEM: write what this machine prints to testdata/GROUP/SYSTEM.txt; look through it for what is nobody's business")
	within = flag.String("chroot", "", "record the tree in this folder instead")
)

func TestRecord(t *testing.T) {
	if *record == "" {
		return
	}
	names, system, _ := strings.Cut(*record, "=")
	for name := range strings.SplitSeq(names, ",") {
		raw, unknown := factstest.Raw(t, group(t, name), factstest.Options{Root: *within})
		if unknown != "" {
			t.Errorf("%s is unknown: %s", name, unknown)
			continue
		}
		a := txtar.Archive{Files: []txtar.File{{Name: "raw", Data: append(bytes.TrimRight(raw, "\n"), '\n')}}}
		file := filepath.Join("testdata", name, system+".txt")
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, txtar.Format(&a), 0o644)); err != nil {
			t.Error(err)
		}
	}
}

// group is the group with that name.
func group(t testing.TB, name string) collectors.Group {
	t.Helper()
	for _, g := range collectors.All() {
		if g.Name == name {
			return g
		}
	}
	t.Fatalf("there is no group %s", name)
	return collectors.Group{}
}

// shells are those that a collector may meet, as arguments before a script: those that this machine has.
func shells(t testing.TB) [][]string {
	t.Helper()
	var found [][]string
	for _, words := range [][]string{{"dash", "-c"}, {"bash", "-c"}, {"busybox", "sh", "-c"}, {"mksh", "-c"}} {
		if _, err := exec.LookPath(words[0]); err == nil {
			found = append(found, words)
		}
	}
	if len(found) == 0 {
		t.Fatal("this machine has no shell")
	}
	return found
}

// program is a group's script as a program of its own.
func program(g collectors.Group, root string) string {
	return "umask 077; LC_ALL=C; export LC_ALL; root=" + root + "\n" + collectors.Library + "\ngroup() {\n" + g.Script + "\n}\n(group)"
}

// said is what a group's script prints under a command (a shell, or what starts one), and why it says that it is unknown.
func said(t testing.TB, g collectors.Group, root string, command ...string) (raw []byte, unknown string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], append(slices.Clone(command[1:]), program(g, root))...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 9 {
		lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
		return nil, lines[len(lines)-1]
	}
	if err != nil {
		t.Fatalf("%s under %v: %v: %s", g.Name, command, err, errs.String())
	}
	return bytes.ReplaceAll(bytes.TrimRight(out.Bytes(), "\n"), []byte{0}, nil), ""
}

// items are what a group makes of what was printed, sorted, as every caller must find them.
func items(t testing.TB, g collectors.Group, raw []byte) []parity.Item {
	t.Helper()
	list, err := g.Parse(raw)
	if err != nil {
		t.Fatalf("%s: %v", g.Name, err)
	}
	slices.SortFunc(list, func(a, b parity.Item) int { return strings.Compare(a.Key, b.Key) })
	for i := range list {
		if list[i].Key == "" || i > 0 && list[i].Key == list[i-1].Key {
			t.Errorf("%s: key %q is empty or there twice", g.Name, list[i].Key)
		}
	}
	return list
}

// value is the value of an item, "" where there is none.
func value(list []parity.Item, key string) string { return itemAt(list, key).Value }

func itemAt(list []parity.Item, key string) parity.Item {
	for _, item := range list {
		if item.Key == key {
			return item
		}
	}
	return parity.Item{}
}

// Each group was tried on what a real machine printed, whichever other tests it has.
func TestEveryGroupHasRecordedOutputs(t *testing.T) {
	for _, g := range collectors.All() {
		t.Run(g.Name, func(t *testing.T) { testGolden(t, g.Name) })
	}
}

// testGolden parses what machines printed: testdata/GROUP/SYSTEM.txt holds it (raw), and what it comes to (items).
func testGolden(t *testing.T, name string) {
	g := group(t, name)
	files, err := filepath.Glob(filepath.Join("testdata", name, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded outputs of %s: %v", name, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var raw, want []byte
			for _, f := range a.Files {
				switch f.Name {
				case "raw":
					raw = f.Data
				case "items":
					want = f.Data
				}
			}
			var got bytes.Buffer
			encoder := json.NewEncoder(&got)
			encoder.SetEscapeHTML(false)
			for _, item := range items(t, g, bytes.TrimRight(raw, "\n")) {
				if err := encoder.Encode(item); err != nil {
					t.Fatal(err)
				}
			}
			if *update {
				a.Files = []txtar.File{{Name: "raw", Data: raw}, {Name: "items", Data: got.Bytes()}}
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("got\n%s\nwant\n%s", got.Bytes(), want)
			}
		})
	}
}

// read is what a group's script came to on this machine.
type read struct {
	group   collectors.Group
	raw     []byte
	unknown string
	root    bool
}

// known are its items; that it is unknown is a failure.
func (r read) known(t *testing.T) []parity.Item {
	t.Helper()
	if r.unknown != "" {
		t.Fatalf("%s is unknown: %s", r.group.Name, r.unknown)
	}
	return items(t, r.group, r.raw)
}

// everyShell runs a group on this machine under each shell, as who the test is.
func everyShell(t *testing.T, name string, check func(t *testing.T, r read)) {
	root := "0"
	if os.Geteuid() == 0 {
		root = "1"
	}
	for _, words := range shells(t) {
		t.Run(words[0], func(t *testing.T) {
			g := group(t, name)
			raw, unknown := said(t, g, root, words...)
			check(t, read{group: g, raw: raw, unknown: unknown, root: root == "1"})
		})
	}
}

// eachWay is everyShell with the whole collector, and as a plain user too; wrap stands before the shell.
func eachWay(t *testing.T, name string, check func(t *testing.T, r read), wrap ...string) {
	g := group(t, name)
	for _, shell := range factstest.Shells(t) {
		for _, plain := range []bool{false, true} {
			if plain && (os.Geteuid() != 0 || wrap != nil) {
				continue
			}
			t.Run(fmt.Sprintf("%s, plain %t", shell[0], plain), func(t *testing.T) {
				raw, unknown := factstest.Raw(t, g, factstest.Options{Shell: shell, Plain: plain, Wrap: wrap})
				check(t, read{group: g, raw: raw, unknown: unknown, root: os.Geteuid() == 0 && !plain})
			})
		}
	}
}

// etcOf makes a folder stand for /etc in what it is put before; the folder's files are those of an archive of txtar, and what a machine needs to tell owners' names.
func etcOf(t *testing.T, archive string) (dir string, wrap []string) {
	t.Helper()
	dir = t.TempDir()
	files := txtar.Parse([]byte(archive)).Files
	for _, f := range append(files, txtar.File{Name: "passwd", Data: []byte("root:x:0:0::/:/bin/sh\nwww:x:33:33::/:/bin/false\n")}, txtar.File{Name: "group", Data: []byte("root:x:0:\nwww:x:33:\n")}) {
		at := filepath.Join(dir, f.Name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, f.Data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if awk, err := filepath.EvalSymlinks("/usr/bin/awk"); err == nil { // by way of /etc/alternatives, in Debian
		if err := errors.Join(os.Mkdir(filepath.Join(dir, "alternatives"), 0o755), os.Symlink(awk, filepath.Join(dir, "alternatives", "awk"))); err != nil {
			t.Fatal(err)
		}
	}
	wrap = []string{"unshare", "-m", "sh", "-c", `mount --bind "$0" /etc && exec "$@"`, dir}
	out, err := exec.Command(wrap[0], append(slices.Clone(wrap[1:]), "true")...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("unshare and mount: %w: %s", err, out)
	}
	conformance.Require(t, "mounts", err)
	return dir, wrap
}

// same fails where items are not those of want, key -> value.
func same(t *testing.T, got []parity.Item, want map[string]string) {
	t.Helper()
	for _, item := range got {
		if w, ok := want[item.Key]; !ok || w != item.Value {
			t.Errorf("%s is %q, want %q (there: %t)", item.Key, item.Value, w, ok)
		}
	}
	for key := range want {
		if itemAt(got, key).Key == "" {
			t.Errorf("%s is missing", key)
		}
	}
}

// fuzz parses whatever a machine may print: no panic, and unique keys.
func fuzz(f *testing.F, name string, seeds ...string) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	g := group(f, name)
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := g.Parse(raw)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, item := range list {
			if item.Key == "" || seen[item.Key] {
				t.Errorf("key %q is empty or there twice", item.Key)
			}
			seen[item.Key] = true
		}
	})
}
