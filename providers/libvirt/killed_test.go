// SPDX-License-Identifier: Apache-2.0

package libvirt_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/libvirt"
	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/test/conformance"
)

// killedVariable tells a process of this test what to do until it is killed.
const killedVariable = "EVENKEEL_TEST_KILLED"

// What the data disk holds, as qemu-io patterns: what is saved, and what is written over it later.
const (
	savedPattern = "0x11"
	laterPattern = "0x22"
	written      = "600M" // copied in half a second or more
)

// place is an environment with one machine, whose system nobody waits for, and its data disk.
type place struct {
	*testing.T
	providers.Provider
	providers.Snapshotter
	providers.Suspender
	providers.Starter
	disk    providers.DataRef
	machine string // ID
}

// TestKilledClientLeavesDataWhole kills clients that save, restore and suspend at moments spread over the time each takes. A disk is what it was
// before or what was saved, never between; what is not whole is not listed; the next call finds nothing in its way.
func TestKilledClientLeavesDataWhole(t *testing.T) {
	conformance.Require(t, "libvirt", reach(t))
	p := openPlace(t)
	if order := os.Getenv(killedVariable); order != "" {
		p.play(order)
		return
	}
	before := leaks(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := p.DeleteEnv(ctx, p.disk.Env, false); err != nil {
			t.Error(err)
		}
		if left := slices.DeleteFunc(leaks(t), func(s string) bool { return slices.Contains(before, s) }); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	p.put()
	p.destroy()
	p.fill(savedPattern)
	p.start()
	for i, after := range []time.Duration{100, 300, 600} {
		p.kill("save", after*time.Millisecond)
		if list, err := p.ListSnapshots(t.Context(), p.disk.Env); err != nil || len(list) != i && len(list) != i+1 {
			t.Errorf("save killed after %d ms: got %+v, %v, want what was there, or one more", after, list, err)
		}
		if err := p.DeleteSnapshot(t.Context(), p.disk, "killed"); err != nil {
			t.Fatal(err)
		}
		p.save(fmt.Sprintf("after-%d", after))
	}
	p.kill("suspend", 200*time.Millisecond)
	p.wantState(providers.Suspended, providers.Running)
	if m, err := p.ResumeMachine(t.Context(), p.machine); err != nil || m.State != providers.Running {
		t.Fatalf("resuming after a killed suspend: got %+v, %v", m, err)
	}
	p.destroy()
	p.fill(laterPattern)
	for _, after := range []time.Duration{50, 150, 300, 500, 800} {
		p.kill("restore", after*time.Millisecond)
		p.start()
		if got := p.holds(); got != savedPattern && got != laterPattern {
			t.Errorf("restore killed after %d ms: got a disk that is neither what was saved nor what was there", after)
		} else {
			t.Logf("restore killed after %d ms: the disk holds %s", after, got)
		}
		p.destroy()
		if p.holds() == savedPattern {
			p.fill(laterPattern)
		}
	}
	if err := p.RestoreSnapshot(t.Context(), p.disk, "after-600"); err != nil {
		t.Fatal(err)
	}
	if got := p.holds(); got != savedPattern {
		t.Errorf("got a disk of %s after a restore, want %s", got, savedPattern)
	}
}

func openPlace(t *testing.T) *place {
	t.Helper()
	p, err := libvirt.Plugin().Open(t.Context(), json.RawMessage(`{"subnet": "10.214.9.0/24"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return &place{
		T: t, Provider: p, Snapshotter: p.(providers.Snapshotter), Suspender: p.(providers.Suspender), Starter: p.(providers.Starter),
		disk: providers.DataRef{Env: "confkilled.test", Machine: "db-1", Name: "pg"},
	}
}

// play is the part of the process that is killed.
func (p *place) play(order string) {
	verb, machine, _ := strings.Cut(order, " ")
	var err error
	switch verb {
	case "save":
		_, err = p.SaveSnapshot(p.Context(), p.disk, "killed")
	case "restore":
		err = p.RestoreSnapshot(p.Context(), p.disk, "after-600")
	case "suspend":
		err = p.SuspendMachine(p.Context(), machine)
	}
	if err != nil {
		p.Fatal(err)
	}
}

// kill starts a process that does so, kills it, and waits for what the daemon still does for it.
func (p *place) kill(verb string, after time.Duration) {
	p.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+p.Name()+"$", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), killedVariable+"="+verb+" "+p.machine)
	if err := cmd.Start(); err != nil {
		p.Fatal(err)
	}
	time.Sleep(after)
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed, or done just before
	time.Sleep(2 * time.Second)
}

func (p *place) put() {
	p.Helper()
	img := conformance.SmallImage(p.T, libvirt.Plugin().Formats)
	ref, err := p.PutImage(p.Context(), img, nil)
	if err != nil {
		p.Fatal(err)
	}
	key, _, err := ssh.GenerateKey("bootstrap")
	if err != nil {
		p.Fatal(err)
	}
	spec := providers.Spec{
		Env: p.disk.Env, Name: p.disk.Machine, CPUs: 1, Memory: 256 << 20, Disk: 4 << 30, ImageKey: img.Key,
		Data:   []providers.Data{{Name: p.disk.Name, Size: 1 << 30, Mount: "/srv/pg"}},
		Labels: providers.Labels{providers.LabelProject: "c0ffee"},
		Seed:   providers.Seed{Hostname: p.disk.Machine, HostKey: key, User: providers.LoginUser},
	}
	m, err := p.PutMachine(p.Context(), spec, ref, nil)
	if err != nil {
		p.Fatal(err)
	}
	p.machine = m.ID
}

func (p *place) start() {
	p.Helper()
	if _, err := p.StartMachine(p.Context(), p.machine); err != nil {
		p.Fatal(err)
	}
}

func (p *place) save(name string) {
	p.Helper()
	if _, err := p.SaveSnapshot(p.Context(), p.disk, name); err != nil {
		p.Fatal(err)
	}
}

func (p *place) destroy() {
	p.Helper()
	virsh(p.T, "destroy", p.machine)
}

func (p *place) wantState(want ...providers.State) {
	p.Helper()
	list, err := p.ListMachines(p.Context(), p.disk.Env)
	if err != nil || len(list) != 1 || !slices.Contains(want, list[0].State) {
		p.Errorf("got %+v, %v, want one machine in state %v", list, err, want)
	}
}

// file is the disk's, as the machine's definition has it.
func (p *place) file() string {
	p.Helper()
	for line := range strings.Lines(virsh(p.T, "domblklist", p.machine)) {
		if f := strings.Fields(line); len(f) == 2 && strings.Contains(filepath.Base(f[1]), "-data_") {
			return f[1]
		}
	}
	p.Fatal("the machine has no data disk")
	return ""
}

// fill writes the pattern over the disk's beginning, while nobody has it.
func (p *place) fill(pattern string) {
	p.Helper()
	if out, err := exec.Command("qemu-io", "-f", "qcow2", "-c", "write -P "+pattern+" 0 "+written, p.file()).CombinedOutput(); err != nil {
		p.Fatalf("qemu-io: %v: %s", err, out)
	}
}

// holds is the pattern that all of the disk's beginning holds, or "". The machine may run.
func (p *place) holds() string {
	p.Helper()
	for _, pattern := range []string{savedPattern, laterPattern} {
		out, err := exec.Command("qemu-io", "-U", "-f", "qcow2", "-r", "-c", "read -P "+pattern+" 0 "+written, p.file()).CombinedOutput()
		if err == nil && !strings.Contains(string(out), "verification failed") {
			return pattern
		}
	}
	return ""
}
