// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/facts"
	"github.com/evenkeel/evenkeel/parity/store"
)

// What a victim does, and where.
const (
	victimDir  = "EVENKEEL_TEST_STORE"
	victimDeed = "EVENKEEL_TEST_DEED"
)

// begun is what a victim says first: a test binary takes its time to start, and nobody is to be killed before.
const begun = "begun"

// machinesOfVictim are in each audit that a victim keeps.
const machinesOfVictim = 40

// playVictim is what a process that tests kill does, without end: it keeps audits and says of each that it is kept, or prunes, or fills the cache.
func playVictim(dir, deed string) error {
	ctx := context.Background() // it is ended from outside
	fmt.Println(begun)
	for n := 0; ; n++ {
		s, err := store.Open(ctx, dir)
		if err != nil {
			return err
		}
		for range 20 {
			switch deed {
			case "keep":
				var list []*parity.Snapshot
				for i := range machinesOfVictim {
					list = append(list, snapshot("ci", fmt.Sprintf("web-%d", i), packages("a", fmt.Sprint(i%4), "pid", fmt.Sprint(os.Getpid())), section("boot", parity.Volatile, "uptime", fmt.Sprint(n, i))))
				}
				a, err := tryKeep(ctx, s, project, time.Now(), list...)
				if err != nil {
					return err
				}
				fmt.Println("kept", a.ID)
			case "prune":
				if _, err := s.Prune(ctx, store.Keep{For: time.Nanosecond, Last: 8}); err != nil {
					return err
				}
			case "cache":
				id := facts.SectionID{Group: "packages", Script: "s", Raw: fmt.Sprint(rand.IntN(1000)), KeyID: "k"}
				if err := s.Keep(ctx, id, packages("raw", id.Raw)); err != nil {
					return err
				}
			}
		}
		if err := s.Close(); err != nil {
			return err
		}
	}
}

// victim starts a process that does deed; kill ends it and gives what it said.
func victim(t *testing.T, dir, deed string) (kill func() (said []string)) {
	t.Helper()
	kill, _ = speaking(t, dir, deed)
	return kill
}

// speaking is a victim that can be waited for: spoke is closed when it has said something, or ended.
func speaking(t *testing.T, dir, deed string) (kill func() (said []string), spoke <-chan struct{}) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimDir+"="+dir, victimDeed+"="+deed)
	var wrong strings.Builder
	cmd.Stderr = &wrong
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(out)
	if line, err := in.ReadString('\n'); err != nil || strings.TrimSpace(line) != begun {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("got %q, %v of a victim: %s", line, err, wrong.String())
	}
	var lines []string
	var wg sync.WaitGroup
	said := make(chan struct{})
	once := sync.OnceFunc(func() { close(said) })
	wg.Go(func() {
		defer once()
		for {
			line, err := in.ReadString('\n')
			if err != nil { // half a line says nothing
				_, _ = io.Copy(io.Discard, in)
				return
			}
			lines = append(lines, strings.TrimSpace(line))
			once()
		}
	})
	kill = func() []string {
		_ = cmd.Process.Kill() // SIGKILL; it may have ended, which wrong tells
		wg.Wait()
		_ = cmd.Wait() // it was killed
		if wrong.Len() > 0 {
			t.Errorf("%s: %s", deed, wrong.String())
		}
		return lines
	}
	return kill, said
}

func TestKilledAtAnyMomentItLosesNothingAndLeavesNothingHalf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := map[string]bool{}
	rounds := 15
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		first, spoke := speaking(t, dir, "keep")
		kills := []func() []string{first, victim(t, dir, "keep"), victim(t, dir, "cache")}
		if round == 0 { // however slow the computer is, something is there to be lost
			<-spoke
		}
		for _, i := range rand.Perm(len(kills)) { // one after the other, while others go on
			time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond)
			for _, line := range kills[i]() {
				kept[line] = true
			}
		}
		checkAll(t, dir, kept)
	}
	if len(kept) == 0 {
		t.Error("no audit was kept; the victims were killed too early to show anything")
	}
}

// checkAll looks at a store after its processes were killed: what was said to be kept is, and all that is kept is whole.
func checkAll(t *testing.T, dir string, kept map[string]bool) {
	t.Helper()
	s, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	whole(t, s)
	list, err := s.Audits(t.Context(), "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, a := range list {
		there[fmt.Sprintf("kept %d", a.ID)] = true
		if got := len(read(t, s, a.ID)); got != machinesOfVictim {
			t.Errorf("audit %d has %d snapshots, want %d", a.ID, got, machinesOfVictim)
		}
		if r, err := s.Report(t.Context(), a.ID); err != nil || r.Checked.Machines != machinesOfVictim {
			t.Errorf("audit %d: got report %+v, %v", a.ID, r, err)
		}
	}
	for line := range kept {
		if !there[line] {
			t.Errorf("lost: %s", line)
		}
	}
	if left := orphans(t, s); left > 0 {
		t.Errorf("%d sections are of nothing", left)
	}
}

// orphans are sections that nothing needs.
func orphans(t *testing.T, s *store.Store) int {
	t.Helper()
	return count(t, s, "sections WHERE NOT EXISTS (SELECT 1 FROM uses WHERE section = sections.id) AND NOT EXISTS (SELECT 1 FROM cache WHERE section = sections.id)")
}

func TestKilledWhileItIsMadeItIsMadeByTheNext(t *testing.T) {
	t.Parallel()
	for range 12 {
		dir := t.TempDir()
		kills := []func() []string{victim(t, dir, "keep"), victim(t, dir, "cache")}
		kept := map[string]bool{}
		for _, kill := range kills {
			time.Sleep(time.Duration(rand.IntN(8000)) * time.Microsecond)
			for _, line := range kill() {
				kept[line] = true
			}
		}
		checkAll(t, dir, kept)
		s := open(t, dir)
		if v, err := s.Setting("auto_vacuum"); v != "2" || err != nil {
			t.Errorf("got auto_vacuum %q, %v, want 2", v, err)
		}
		if v, err := s.Setting("journal_mode"); v != "wal" || err != nil {
			t.Errorf("got journal_mode %q, %v, want wal", v, err)
		}
	}
}

func TestPruningKilledAtAnyMomentLeavesTheRestWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 8 {
		kills := []func() []string{victim(t, dir, "keep"), victim(t, dir, "prune"), victim(t, dir, "prune")}
		time.Sleep(time.Duration(200+rand.IntN(200)) * time.Millisecond)
		for _, i := range rand.Perm(len(kills)) {
			kills[i]()
		}
		checkAll(t, dir, nil)
	}
}

func TestTwoProcessesAtOnceBothKeepAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var kills []func() []string
	var all []<-chan struct{}
	for range 3 {
		kill, spoke := speaking(t, dir, "keep")
		kills, all = append(kills, kill), append(all, spoke)
	}
	for _, spoke := range all {
		<-spoke
	}
	time.Sleep(time.Second) // they go on beside each other
	kept := map[string]bool{}
	for _, kill := range kills {
		lines := kill()
		if len(lines) == 0 {
			t.Error("a process kept nothing")
		}
		for _, line := range lines {
			if kept[line] {
				t.Errorf("two audits have one number: %s", line)
			}
			kept[line] = true
		}
	}
	checkAll(t, dir, kept)
}
