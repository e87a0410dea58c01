// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// forRuns has a tier for CI whose machines take a moment.
const forRuns = `evenkeel: 1
name: shop
id: "a1b2c3"
image: images/web.yaml
machines:
  web: {count: 2, stateless: true, allow: [{from: anywhere, port: 80}], health: {http: ":80/", within: 60s}}
tiers:
  laptop: {provider: fake, config: {world: WORLD}}
  ci: {provider: fake, ttl: 1h, config: {world: WORLD, http: [80], latency: {put_image: 200ms, put_machine: 200ms, delete_machine: 50ms}, boot: 300ms}}
`

func TestInterruptDuringTheBringUpOfARunLeavesNothing(t *testing.T) {
	for _, tt := range []struct {
		signal syscall.Signal
		at     string
	}{{syscall.SIGINT, "create"}, {syscall.SIGTERM, "boot"}, {syscall.SIGHUP, "image"}} {
		t.Run(tt.at, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, map[string]string{"env.yaml": forRuns})
			p := s.start("run", "--artifacts", "out", "--", "touch", "ran")
			p.stderr.await(t, "web-1: "+tt.at)
			_ = p.Process.Signal(tt.signal)
			if got := p.end(t); got != 130 {
				t.Errorf("got status %d, want 130\n%s", got, p.stderr)
			}
			if _, err := os.Stat(filepath.Join(s.dir, "ran")); err == nil {
				t.Error("the command ran")
			}
			if _, err := os.Stat(filepath.Join(s.dir, "out", "junit.xml")); err != nil {
				t.Errorf("no results are kept: %v", err)
			}
			s.wantEmpty()
		})
	}
}

func TestSignalsOfARunAreItsCommands(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, map[string]string{"env.yaml": forRuns})
			// The command's child gets it too, and what the command does about it is its own business.
			p := s.start("run", "--", "sh", "-c", `trap 'echo it was `+name+`; exit 41' `+name+`; sh -c 'trap "echo child got it; exit" `+name+`; echo child waits; while :; do sleep 0.1; done'; sleep 60`)
			p.stdout.await(t, "child waits")
			_ = p.Process.Signal(signal)
			if got := p.end(t); got != 41 {
				t.Errorf("got status %d, want the command's own, 41\n%s", got, p.stderr)
			}
			for _, want := range []string{"it was " + name, "child got it"} {
				if !strings.Contains(p.stdout.String(), want) {
					t.Errorf("got %q, want %q in it", p.stdout, want)
				}
			}
			s.wantEmpty()
		})
	}
}

func TestTwiceInterruptedRunKillsItsCommandAndRemovesItsCopy(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"env.yaml": forRuns})
	p := s.start("run", "--", "sh", "-c", `trap 'echo heard' INT; echo waits; while :; do sleep 0.1; done`)
	p.stdout.await(t, "waits")
	_ = p.Process.Signal(syscall.SIGINT)
	p.stdout.await(t, "heard")
	p.stderr.await(t, "once more kills it")
	time.Sleep(300 * time.Millisecond) // what comes at once is one signal
	_ = p.Process.Signal(syscall.SIGINT)
	if got := p.end(t); got != 137 {
		t.Errorf("got status %d, want 137\n%s", got, p.stderr)
	}
	s.wantEmpty()
}

func TestTimeoutEndsAlsoACommandThatDoesNotListen(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"env.yaml": forRuns})
	p := s.start("run", "--timeout", "12s", "--", "sh", "-c", `trap '' TERM; echo waits; while :; do sleep 0.1; done`)
	if got := p.end(t); got != 124 {
		t.Errorf("got status %d, want 124\n%s", got, p.stderr)
	}
	s.wantEmpty()
}

// What a command left in its group ends with its time, too.
func TestTimeoutEndsAlsoWhatACommandLeftBehind(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"env.yaml": forRuns})
	p := s.start("run", "--timeout", "12s", "--", "sh", "-c", `sh -c 'trap "" TERM; echo "child $$"; while :; do sleep 0.1; done' & wait`)
	if got := p.end(t); got != 124 {
		t.Errorf("got status %d, want 124\n%s", got, p.stderr)
	}
	var child int
	if _, err := fmt.Sscanf(p.stdout.String(), "child %d", &child); err != nil {
		t.Fatalf("the command said %q", p.stdout)
	}
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child)); err == nil && !strings.Contains(string(text), ") Z ") { // whoever has inherited it need not have looked yet
		_ = syscall.Kill(child, syscall.SIGKILL)
		t.Errorf("the command's child is left: %s", text)
	}
	s.wantEmpty()
}

func TestASignalIsPassedOnAlsoWhenTheTimeIsOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"env.yaml": forRuns})
	p := s.start("run", "--timeout", "12s", "--", "sh", "-c", `trap '' TERM; trap 'echo heard; exit 3' INT; echo waits; while :; do sleep 0.1; done`)
	p.stderr.await(t, "the command is told to end")
	_ = p.Process.Signal(syscall.SIGINT)
	p.stdout.await(t, "heard")
	if got := p.end(t); got != 124 {
		t.Errorf("got status %d, want 124\n%s", got, p.stderr)
	}
	s.wantEmpty()
}

// wantNothingKept wants nothing about any copy in this user's folders: kept says in which of the state's folders something may be.
func wantNothingKept(t *testing.T, s *site, kept ...string) {
	t.Helper()
	for _, folder := range []string{"locks", "copies", "tls", "sync"} {
		left, _ := filepath.Glob(filepath.Join(s.home, "state", "evenkeel", folder, "*"))
		if may := slices.Contains(kept, folder); may != (len(left) > 0) {
			t.Errorf("%s holds %v; want something: %t", folder, left, may)
		}
	}
}

func TestKilledRunIsLeftToItsTTL(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"env.yaml": strings.Replace(forRuns, "machines:", "tls: true\nmachines:", 1)})
	s.env = []string{"TMPDIR=" + t.TempDir()} // what is not ours there nobody removes
	s.run(0, "run", "-q", "--", "true")
	wantNothingKept(t, s)
	p := s.start("run", "--", "sh", "-c", "echo waits; exec sleep 600")
	p.stdout.await(t, "waits")
	command := children(t, p.Process.Pid)
	_ = p.Process.Kill()
	if got := p.end(t); got != 137 {
		t.Errorf("got status %d\n%s", got, p.stderr)
	}
	for _, pid := range command { // of the killed run nobody else is left to do it
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if text := s.run(0, "gc", "--yes", "--tier", "ci").stdout.String(); text != "nothing to remove\n" {
		t.Errorf("gc of what has not expired: %q", text)
	}
	wantNothingKept(t, s, "copies", "tls")
	age(t, s.world)
	copies, err := filepath.Glob(filepath.Join(s.home, "state", "evenkeel", "copies", "*", "copy.json"))
	if err != nil || len(copies) != 1 {
		t.Fatalf("got %v, %v; want what one copy's users read", copies, err)
	}
	ageFile(t, copies[0])
	if text := s.run(0, "gc", "--yes", "--tier", "ci").stdout.String(); !strings.Contains(text, "expired") || !strings.HasSuffix(text, ": removed\n") {
		t.Errorf("gc says %q", text)
	}
	s.wantEmpty()
	wantNothingKept(t, s)
}

var expires = regexp.MustCompile(`"expires": ?"[^"]*"`)

// ageFile lets what a file says of have expired; false where it says nothing of that.
func ageFile(t *testing.T, file string) bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	aged := expires.ReplaceAll(text, []byte(`"expires":"2026-01-01T00:00:00Z"`))
	if bytes.Equal(aged, text) {
		return false
	}
	if err := os.WriteFile(file, aged, 0o600); err != nil {
		t.Fatal(err)
	}
	return true
}

// age lets every environment of a world have expired.
func age(t *testing.T, world string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(world, "envs", "*", "machines", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		if ageFile(t, f) {
			n++
		}
	}
	if n == 0 {
		t.Fatalf("no record in %v says when it expires", files)
	}
}

// children are the processes that a process started.
func children(t *testing.T, pid int) (list []int) {
	t.Helper()
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		var child, parent int
		rest := text[bytes.LastIndexByte(text, ')')+1:]
		if _, err := fmt.Sscanf(string(text), "%d", &child); err != nil {
			continue
		}
		var state string
		if _, err := fmt.Sscanf(string(rest), " %1s %d", &state, &parent); err == nil && parent == pid {
			list = append(list, child)
		}
	}
	return list
}

func TestRunHasTheTerminal(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"env.yaml": forRuns})
	term := newTerminal(t, 100, 30)
	cmd := s.onTerminal(term, "run", "--", "sh", "-c", `printf 'name? '; read -r name; echo "hello $name"; trap 'echo got ^C; exit 9' INT; echo waits; while :; do sleep 0.1; done`)
	term.shown.await(t, "name? ")
	_, _ = term.WriteString("ann\n")
	term.shown.await(t, "hello ann")
	term.shown.await(t, "waits")
	_, _ = term.WriteString("\x03")
	term.shown.await(t, "got ^C")
	if got := status(cmd); got != 9 {
		t.Errorf("got status %d, want the command's, 9\n%s", got, term.shown)
	}
	term.shown.await(t, "is removed")
	s.wantEmpty()
}

// Eight jobs on one computer have eight copies of one image.
func TestRunsAtOnceDoNotMeet(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"env.yaml": forRuns})
	const jobs = 8
	out := make([]string, jobs)
	var work sync.WaitGroup
	for i := range jobs {
		p := s.start("run", "-q", "--", "sh", "-c", `curl -sS --retry 5 http://$EVENKEEL_WEB_1_ADDR:$EVENKEEL_WEB_1_PORT_80/; echo "$EVENKEEL_ENV $EVENKEEL_WEB_1_PORT_80 $EVENKEEL_WEB_2_PORT_80"`)
		work.Go(func() {
			if got := p.end(t); got != 0 {
				t.Errorf("job %d: got status %d\n%s", i, got, p.stderr)
			}
			out[i] = p.stdout.String()
		})
	}
	work.Wait()
	met := map[string]bool{}
	for i, text := range out {
		words := strings.Fields(text)
		if len(words) != 4 || words[0] != "web-1" {
			t.Errorf("job %d: got %q, want web-1's answer, its environment and two ports", i, text)
			continue
		}
		for _, w := range words[1:] {
			if met[w] {
				t.Errorf("job %d: %s is another job's too", i, w)
			}
			met[w] = true
		}
	}
	images, err := filepath.Glob(filepath.Join(s.world, "images", "*.json"))
	if err != nil || len(images) != 1 {
		t.Errorf("got images %v, %v; want one", images, err)
	}
	s.wantEmpty()
}

func TestARunsResultsAreOneCaseAStage(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"env.yaml": forRuns})
	s.run(0, "run", "-q", "--artifacts", "out", "--", "true")
	text, err := os.ReadFile(filepath.Join(s.dir, "out", "junit.xml"))
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Tests  int `xml:"tests,attr"`
		Suites []struct {
			Name  string `xml:"name,attr"`
			Cases []struct {
				Name string  `xml:"name,attr"`
				Time float64 `xml:"time,attr"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &all); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(all.Suites) != 2 {
		t.Fatalf("got %d suites, want one a machine\n%s", len(all.Suites), text)
	}
	n := 0
	for _, suite := range all.Suites {
		var names []string
		for _, c := range suite.Cases {
			names = append(names, c.Name)
			if c.Name == "boot" && (c.Time < 0.2 || c.Time > 100) {
				t.Errorf("%s: the boot took %v s, want 0.3 s and more", suite.Name, c.Time)
			}
		}
		n += len(names)
		for _, want := range []string{"image", "create", "boot", "settle", "health"} {
			if !slices.Contains(names, want) {
				t.Errorf("%s has the cases %v, want %s among them", suite.Name, names, want)
			}
		}
	}
	if all.Tests != n {
		t.Errorf("got %d tests, want %d", all.Tests, n)
	}
}

func TestARunThatIsInterruptedWhileItRemovesItsCopyGoesOnWithThat(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{"env.yaml": strings.Replace(forRuns, "delete_machine: 50ms", "delete_env: 3s", 1)})
	p := s.start("run", "--", "sh", "-c", "exit 6")
	p.stderr.await(t, "web-1: remove")
	_ = p.Process.Signal(syscall.SIGTERM)
	p.stderr.await(t, "removing the copy; once more stops at once")
	if got := p.end(t); got != 6 {
		t.Errorf("got status %d, want the command's, 6\n%s", got, p.stderr)
	}
	s.wantEmpty()
}
