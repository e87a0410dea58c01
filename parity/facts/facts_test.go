// SPDX-License-Identifier: Apache-2.0

package facts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/parity/facts"
	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
)

// counted runs commands by a real shell and counts what they say.
func counted(t testing.TB, n *atomic.Int64) func(context.Context, *sshtest.Session) int {
	shell := sshtest.Shell(t.TempDir())
	return func(ctx context.Context, s *sshtest.Session) int {
		s.Stdout = io.MultiWriter(s.Stdout, writeFunc(func(p []byte) { n.Add(int64(len(p))) }))
		return shell(ctx, s)
	}
}

type writeFunc func([]byte)

func (f writeFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

func TestMachinesAreReadByOneExec(t *testing.T) {
	r := newRig(t)
	var execs atomic.Int64
	shell := sshtest.Shell(t.TempDir())
	m := r.machine(t, "web-1", func(ctx context.Context, s *sshtest.Session) int {
		execs.Add(1)
		return shell(ctx, s)
	})
	before := time.Now()
	s := collect(t, facts.Options{Groups: []collectors.Group{group("two", "echo b=2; echo a=1"), group("one", "unknown no such thing"), group("three", "printf 'password=hunter2'")}}, m)["web-1"]
	const want = "one?no such thing; three{password="
	if got := text(s); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "; two{a=1 b=2}") || strings.Contains(got, "hunter2") {
		t.Errorf("got %s, want %s...", got, want)
	}
	if s.Taken.Before(before.Add(-time.Second)) || s.Taken.After(time.Now()) || math.Abs(s.Skew) > 60 || s.KeyID == "" || len(s.Collector) != 64 || s.Format != parity.SnapshotFormat {
		t.Errorf("got %+v", s)
	}
	if execs.Load() != 1 {
		t.Errorf("%d execs", execs.Load())
	}
}

func TestTheScriptDependsOnGroupsAlone(t *testing.T) {
	a, da := facts.Script(collectors.All())
	b, db := facts.Script(collectors.All())
	if a != b || da != db || da != hexSum(a) || !strings.HasPrefix(a, "#!/bin/sh\n") {
		t.Error("the script changes from call to call, or its digest is not its own")
	}
	if _, other := facts.Script(nil); other == da {
		t.Error("other groups, same digest")
	}
}

// memory is a Cache.
type memory struct {
	mu       sync.Mutex
	sections map[facts.SectionID]parity.Section
	forgets  bool // it offers what it then does not have
	fails    bool
}

func (m *memory) Known(context.Context, int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails {
		return nil, errors.New("disk full")
	}
	var list []string
	for id := range m.sections {
		list = append(list, id.Raw)
	}
	return list, nil
}

func (m *memory) Section(_ context.Context, id facts.SectionID) (parity.Section, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sections[id]
	return s, ok && !m.forgets, nil
}

func (m *memory) Keep(_ context.Context, id facts.SectionID, s parity.Section) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails {
		return errors.New("disk full")
	}
	m.sections[id] = s
	return nil
}

// long prints 9 KB that are the same on each machine, and own what differs.
const long = `i=0; while [ $i -lt 900 ]; do echo "key$i=val"; i=$((i+1)); done`

func TestKnownSectionsDoNotTravel(t *testing.T) {
	r := newRig(t)
	var parsed, said atomic.Int64
	g := group("long", long)
	g.Parse = func(raw []byte) ([]parity.Item, error) { parsed.Add(1); return pairs(raw) }
	cache := &memory{sections: map[facts.SectionID]parity.Section{}}
	o := facts.Options{Groups: []collectors.Group{g, group("short", "echo a=1")}, Cache: cache, Parallel: 1}
	m := r.machine(t, "web-1", counted(t, &said))
	first := collect(t, o, m)["web-1"]
	if n := said.Swap(0); n < 9000 {
		t.Fatalf("the first time %d bytes came", n)
	}
	second := collect(t, o, m)["web-1"]
	if n := said.Swap(0); n > 500 {
		t.Errorf("the second time %d bytes came", n)
	}
	if d := cmp.Diff(first.Sections, second.Sections); d != "" || parsed.Load() != 1 {
		t.Errorf("parsed %d times; %s", parsed.Load(), d)
	}
	// In one run the second machine learns from the first.
	o.Cache = nil
	all := collect(t, o, m, r.machine(t, "web-2", counted(t, &said)))
	if n := said.Swap(0); n > 9000+4000 {
		t.Errorf("two equal machines said %d bytes", n)
	}
	if a, b := all["web-1"].Sections[0], all["web-2"].Sections[0]; &a.Items[0] != &b.Items[0] {
		t.Error("equal sections are twice in memory")
	}
	// A cache that lost what it offered: the machine is asked again for that alone.
	cache.forgets, o.Cache = true, cache
	if d := cmp.Diff(first.Sections, collect(t, o, m)["web-1"].Sections); d != "" {
		t.Error(d)
	}
	// A cache that fails costs time, not facts, and is told once.
	told := 0
	o.Cache, o.Warn = &memory{sections: map[facts.SectionID]parity.Section{}, fails: true}, func(error) { told++ }
	if d := cmp.Diff(first.Sections, collect(t, o, m)["web-1"].Sections); d != "" || told != 1 {
		t.Errorf("told %d times; %s", told, d)
	}
}

func TestLongSectionsTravelPacked(t *testing.T) {
	r := newRig(t)
	var said atomic.Int64
	s := collect(t, facts.Options{Groups: []collectors.Group{group("long", strings.ReplaceAll(long, "900", "9000"))}}, r.machine(t, "web-1", counted(t, &said)))["web-1"]
	if len(s.Sections[0].Items) != 9000 || said.Load() > 50_000 {
		t.Errorf("%d items in %d bytes; %s", len(s.Sections[0].Items), said.Load(), s.Sections[0].Unknown)
	}
}

func TestWithoutSumAndGzipFactsComeAllTheSame(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"sh", "date", "cat", "id"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	line, input := facts.Program([]collectors.Group{group("long", strings.ReplaceAll(long, "900", "3000"))})
	text := strings.Replace(string(input), "PATH=/usr/local/sbin:", "PATH="+dir+"; : ", 1)
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", line)
	cmd.Stdin = strings.NewReader("z 0123456789abcdef" + text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all, err := facts.Answer(out)
	if err != nil || len(all["long"].Raw) < 30_000 || !strings.Contains(string(out), "section long plain 34890 -\n") {
		t.Errorf("%v, %.300q", err, out)
	}
}

func TestReasonsHoldNoSecrets(t *testing.T) {
	r := newRig(t)
	const reason = "line 3: bad option: password=hunter2"
	all := collect(t, facts.Options{Groups: []collectors.Group{group("one", "unknown '"+reason+"'")}}, r.machine(t, "a", sshtest.Shell(t.TempDir())),
		r.machine(t, "b", func(_ context.Context, s *sshtest.Session) int { fmt.Fprintln(s.Stderr, reason); return 1 }))
	for name, s := range all {
		if got := text(s); !strings.Contains(got, "line 3: bad option: password=hmac:") || strings.Contains(got, "hunter2") {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestUnreachableMachinesHoldUpNobody(t *testing.T) {
	r := newRig(t)
	machines := []facts.Machine{
		{Subject: parity.Subject{Name: "a"}, Dial: func(context.Context) (*ssh.Client, error) { return nil, errors.New("no\x1b[31m route\nto host") }},
		{Subject: parity.Subject{Name: "b"}, Dial: func(ctx context.Context) (*ssh.Client, error) { <-ctx.Done(); return nil, ctx.Err() }},
		r.machine(t, "c", sshtest.Shell(t.TempDir())),
	}
	began := time.Now()
	all := collect(t, facts.Options{Groups: []collectors.Group{group("one", "echo a=1")}, Deadline: 20 * time.Second}, machines...)
	for name, want := range map[string]string{"a": "unreachable: no [31m route to host", "b": "unreachable: it did not answer within 20s", "c": "one{a=1}"} {
		if got := text(all[name]); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if took := time.Since(began); took > 2*time.Minute {
		t.Errorf("took %s", took)
	}
}

func TestSnapshotsComeOneAtATimeAndTakeEndsIt(t *testing.T) {
	r := newRig(t)
	var machines []facts.Machine
	shell := sshtest.Shell(t.TempDir())
	for i := range 12 {
		machines = append(machines, r.machine(t, fmt.Sprint("m", i), shell))
	}
	o := facts.Options{Groups: []collectors.Group{group("one", "echo a=1")}, Parallel: 4, Key: []byte("0123456789abcdef")}
	var at atomic.Int32
	n, enough := 0, errors.New("enough")
	err := facts.Collect(t.Context(), machines, o, func(*parity.Snapshot) error {
		if at.Add(1) != 1 {
			t.Error("two at once")
		}
		time.Sleep(time.Millisecond)
		at.Add(-1)
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 3 {
		t.Errorf("got %v after %d", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = facts.Collect(ctx, machines, o, func(*parity.Snapshot) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	o.Key = nil
	if err := facts.Collect(t.Context(), machines, o, nil); err == nil {
		t.Error("no key was taken")
	}
	o.Key, o.Groups = []byte("0123456789abcdef"), []collectors.Group{group("one", ""), group("one", "")}
	if err := facts.Collect(t.Context(), machines, o, nil); err == nil {
		t.Error("two groups of one name were taken")
	}
}

// The line that reaches a machine, as an account without rights: a sudo stands in for the real one, and refuses by default.
func TestTheCollectorBecomesRootWhereItMay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("becoming somebody else needs root")
	}
	dir, err := os.MkdirTemp("/var/tmp", "evenkeel-facts-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "evenkeel-facts")
	groups := []collectors.Group{group("one", "echo root=$root")}
	script, digest := facts.Script(groups)
	other, otherDigest := facts.Script([]collectors.Group{group("one", "echo copy=$root"), group("more", "echo a=1")})
	for name, c := range map[string]struct{ sudo, copy, want, digest string }{
		"no sudo":                       {"", "", "one{root=0}", digest},
		"sudo refuses":                  {"echo 'a password is required' >&2; exit 1", "", "one{root=0}", digest},
		"sudo permits all":              {`[ "$1" = -n ] && shift && exec "$@"`, "", "one{root=0}", digest},
		"sudo permits the copy alone":   {`case $2 in *evenkeel-facts) exec "$2" ;; esac; exit 1`, script, "one{root=0}", digest},
		"another copy":                  {`case $2 in *evenkeel-facts) exec "$2" ;; esac; exit 1`, other, "one{copy=0}", otherDigest},
		"a copy that sudo refuses":      {"exit 1", other, "one{root=0}", digest},
		"a copy that does not read one": {`exec "$2"`, "#!/bin/sh\nread x; echo 'evenkeel-facts 1 0 1 " + otherDigest + "'; echo end; exit 0\n", "one?the copy of the collector on the machine does not read it", otherDigest},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			_ = os.Remove(copied)
			if c.copy != "" {
				if err := os.WriteFile(copied, []byte(c.copy), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			bin := filepath.Join(dir, "bin")
			if err := os.MkdirAll(bin, 0o755); err != nil {
				t.Fatal(err)
			}
			_ = os.Remove(filepath.Join(bin, "sudo"))
			if c.sudo != "" {
				if err := os.WriteFile(filepath.Join(bin, "sudo"), []byte("#!/bin/sh\n"+c.sudo+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"sh", "cat"} {
				_ = os.Symlink("/bin/"+name, filepath.Join(bin, name))
			}
			s := collect(t, facts.Options{Groups: groups}, r.machine(t, "m", func(ctx context.Context, s *sshtest.Session) int {
				line := strings.ReplaceAll(s.Command, facts.PinnedPath, copied)
				cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
				cmd.Dir, cmd.Env = "/", []string{"PATH=" + bin}
				cmd.Stdin, cmd.Stdout, cmd.Stderr = s.Stdin, s.Stdout, s.Stderr
				cmd.WaitDelay = time.Second
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
				_ = cmd.Run()
				return cmd.ProcessState.ExitCode()
			}))["m"]
			if got := text(s); got != c.want || s.Collector != c.digest {
				t.Errorf("got %s by %.8s, want %s by %.8s", got, s.Collector, c.want, c.digest)
			}
		})
	}
}

func TestAKeyIsMadeOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a", "b", "key")
	var keys [8]string
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			key, err := facts.LoadKey(file)
			if err != nil {
				t.Error(err)
			}
			keys[i] = string(key)
		})
	}
	all.Wait()
	for _, key := range keys {
		if key != keys[0] || len(key) != 32 {
			t.Errorf("keys differ, or are short: %d bytes", len(key))
		}
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Dir(file) + "/.*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := facts.LoadKey(file); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others read: %v", err)
	}
	if err := os.WriteFile(file, []byte("short\n"), 0o600); err != nil || os.Chmod(file, 0o600) != nil {
		t.Fatal(err)
	}
	if _, err := facts.LoadKey(file); err == nil || !strings.Contains(err.Error(), "64 hex digits") {
		t.Errorf("a damaged key: %v", err)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(header() + plain("one", "a=1\n") + "section two unknown 2 -\nno\nend\n"))
	f.Add([]byte("motd\n" + header() + fmt.Sprintf("section one gzip 4 %s\n%s\nend\n", hexSum("a=1\n"), packed("a=1\n"))))
	f.Add([]byte(header() + "section one known 5 " + hexSum("x") + "\nend\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := facts.Answer(data)
		total := 0
		for _, said := range all {
			total += len(said.Raw)
		}
		if total > 32<<20 {
			t.Errorf("%d bytes were taken", total)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\x00\n") {
			t.Errorf("the error holds what a terminal acts on: %q", err)
		}
	})
}

// The machine is asked what time it has in the same exec; half of what the answer took is given to each way.
func TestClockSkewIsAgainstTheMiddleOfQuestionAndAnswer(t *testing.T) {
	r := newRig(t)
	const off, wait = time.Hour, 600 * time.Millisecond
	began := time.Now()
	s := collect(t, facts.Options{Groups: []collectors.Group{group("one", "")}}, r.machine(t, "m", answer(func(_ context.Context, w io.Writer) {
		clock := time.Now().Add(off)
		time.Sleep(wait)
		fmt.Fprintf(w, "evenkeel-facts 1 1 %d.%09d -\n%send\n", clock.Unix(), clock.Nanosecond(), plain("one", ""))
	})))["m"]
	took := time.Since(began).Seconds()
	if least, most := off.Seconds()-took/2-0.01, off.Seconds()-wait.Seconds()/2+took-wait.Seconds(); s.Skew < least || s.Skew > most {
		t.Errorf("got %.3f s, want %.3f to %.3f", s.Skew, least, most)
	}
	// busybox's date knows no %N.
	s = collect(t, facts.Options{Groups: []collectors.Group{group("one", "")}}, r.machine(t, "m", answer(func(_ context.Context, w io.Writer) {
		fmt.Fprintf(w, "evenkeel-facts 1 1 %d.%%N -\n%send\n", time.Now().Add(-off).Unix(), plain("one", ""))
	})))["m"]
	if math.Abs(s.Skew+off.Seconds()) > 60 {
		t.Errorf("without parts of a second: got %.3f s", s.Skew)
	}
}
