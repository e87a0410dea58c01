// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers"
)

// childVariable makes Run put one machine, or save one snapshot, and return. The suite starts the test binary with it, to kill it.
const childVariable = "EVENKEEL_CONFORMANCE_CHILD"

// childBegins is what the child says right before it does so.
const childBegins = "conformance child begins"

// Child reports that this process is one that the suite started to kill. A harness may then do without what costs time: of its fields the
// child uses Plugin and Image only.
func Child() bool { return os.Getenv(childVariable) != "" }

type childOrder struct {
	Config json.RawMessage
	Env    string
	Name   string
	Owner  string
	Save   string // name of the snapshot of disk files to save, instead of putting the machine
}

func playChild(t *testing.T, h Harness, text string) {
	var o childOrder
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	h.Config = o.Config
	s := &suite{h: h}
	s.p = s.open(t)
	if o.Save != "" {
		snapshotter, ok := providers.As[providers.Snapshotter](s.p)
		if !ok {
			t.Fatal("the place keeps no snapshots")
		}
		fmt.Println(childBegins)
		if _, err := snapshotter.SaveSnapshot(t.Context(), providers.DataRef{Env: o.Env, Machine: o.Name, Name: "files"}, o.Save); err != nil {
			t.Fatal(err)
		}
		return
	}
	ref, err := s.p.PutImage(t.Context(), h.Image, nil)
	if err != nil {
		t.Fatal(err)
	}
	spec, _ := s.spec(t, o.Env, o.Name)
	spec = withData(spec, "files", filesSize, filesMount)
	spec.Labels[providers.LabelOwner] = o.Owner
	fmt.Println(childBegins)
	if _, err := s.p.PutMachine(t.Context(), spec, ref, nil); err != nil {
		t.Fatal(err)
	}
}

// startChild starts the running test alone in a process of its own and returns when that is about to do as ordered. It is killed, and
// waited for, by end.
func (s *suite) startChild(t *testing.T, o childOrder) (end func()) {
	t.Helper()
	order, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(s.top, "/")
	for i := range parts {
		parts[i] = "^" + parts[i] + "$"
	}
	// A killed test removes nothing, so its temporary files get a place that is removed for it; a short name, since sockets' are bounded.
	temp, err := os.MkdirTemp("", "child")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temp) }) // best effort: what the dead process's helpers still hold goes with them
	cmd := exec.Command(os.Args[0], "-test.run="+strings.Join(parts, "/"), "-test.timeout=5m")
	cmd.Env = append(os.Environ(), childVariable+"="+string(order), "TMPDIR="+temp)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed, or done just before
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == childBegins {
			return end
		}
	}
	end()
	t.Fatalf("the test in a process of its own never began what it was ordered")
	return nil
}

// downAfterKill wants DeleteEnv to remove all that a killed process left. What its place goes on to make for it, for at most late, comes after DeleteEnv has looked: the
// next one removes it.
func (s *suite) downAfterKill(t *testing.T, env string, before []string, late time.Duration) {
	t.Helper()
	there := s.h.Leaks()
	if err := s.p.DeleteEnv(t.Context(), env, false); err != nil {
		t.Fatalf("DeleteEnv after a kill: %v", err)
	}
	came := false
	for end := time.Now().Add(late); !came && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		came = slices.ContainsFunc(s.h.Leaks(), func(name string) bool { return !slices.Contains(there, name) && !slices.Contains(before, name) })
	}
	if came {
		t.Log("the place made something for the dead process after DeleteEnv had looked")
		if err := s.p.DeleteEnv(t.Context(), env, false); err != nil {
			t.Fatalf("DeleteEnv once more: %v", err)
		}
	}
	s.wantGone(t, env)
	checkLeaks(t, s.h, before)
}

// killedClient kills processes that put a machine, at moments spread over the time a Put takes, and wants what they leave to be settled by the next
// Put and by DeleteEnv.
func killedClient(t *testing.T, s *suite) {
	env := s.env(t, "killed")
	begin := time.Now()
	spec, _ := s.spec(t, env, "web-0")
	m := s.put(t, spec)
	took := time.Since(begin)
	if err := s.p.DeleteMachine(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	before := s.h.Leaks()
	files := map[providers.DataRef]int64{{Env: env, Machine: "web-1", Name: "files"}: filesSize}
	for _, share := range []time.Duration{10, 35, 60, 85, 110} {
		child := childOrder{Config: s.h.Config, Env: env, Name: "web-1", Owner: fmt.Sprintf("killed@%d", share)}
		end := s.startChild(t, child)
		time.Sleep(took * share / 100)
		end()

		left := s.list(t, s.p, env)
		if len(left) > 1 {
			t.Fatalf("killed at %d %%: got %d machines, want at most 1: %+v", share, len(left), left)
		}
		for _, l := range left {
			t.Logf("killed at %d %%: machine is %s", share, l.State)
			if l.State != providers.Partial && l.State != providers.Running && l.State != providers.Stopped {
				t.Errorf("killed at %d %%: got state %q, want partial, or running where Put was through", share, l.State)
			}
			if l.Labels[providers.LabelOwner] != child.Owner {
				t.Errorf("killed at %d %%: got labels %v, want the dead run's", share, l.Labels)
			}
			info, ok := s.envInfo(t, env) // gone where a helper of the dead process undid its work since
			partial := func(m providers.Machine) bool { return m.State == providers.Partial }
			if ok && partial(l) && !info.Partial && slices.ContainsFunc(s.list(t, s.p, env), partial) {
				t.Errorf("killed at %d %%: got environment %+v, want one with something half-made", share, info)
			}
		}
		if share == 60 { // down, instead of up again
			s.downAfterKill(t, env, before, 2*took)
			continue
		}
		if disks := s.disks(t, env); len(disks) > 0 && !areDisks(disks, files) { // in one look: a helper of the dead process may be undoing its work
			t.Errorf("killed at %d %%: got disks %v, want %v, whole if at all", share, disks, files)
		}
		spec, _ := s.spec(t, env, "web-1")
		spec = withData(spec, "files", filesSize, filesMount)
		got := s.put(t, spec)
		s.wantDisks(t, env, files)
		if one := s.only(t, s.p, env); one.ID != got.ID || one.State != providers.Running {
			t.Errorf("after Put again got %+v, want %+v", one, got)
		}
		if len(left) == 1 && left[0].State == providers.Partial {
			t.Run(fmt.Sprintf("partial_is_remade/killed_at_%d_percent", share), func(t *testing.T) { wantLabels(t, got.Labels, spec.Labels) })
		}
		if err := s.p.DeleteMachine(t.Context(), got.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.p.DeleteEnv(t.Context(), env, false); err != nil {
		t.Fatal(err)
	}
	s.wantGone(t, env)
	checkLeaks(t, s.h, before)
}
