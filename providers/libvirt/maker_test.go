// SPDX-License-Identifier: Apache-2.0

package libvirt_test

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers/libvirt"
)

func TestMakerIsAliveUntilItsProcessEnds(t *testing.T) {
	now := time.Now().UTC().Format(time.RFC3339)
	me := libvirt.Self()
	if !libvirt.Alive(me, now) {
		t.Errorf("this process, %s, is not found alive", me)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(me, ":")
	parts[2] = strconv.Itoa(cmd.Process.Pid)
	if libvirt.Alive(strings.Join(parts, ":"), now) {
		t.Error("a process that took the PID later is taken for the maker")
	}
	parts[3] = libvirt.StartTime(cmd.Process.Pid)
	other := strings.Join(parts, ":")
	if !libvirt.Alive(other, now) {
		t.Errorf("the process %s is not found alive", other)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); libvirt.StartTime(cmd.Process.Pid) != "" && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond) // it is a zombie soon
	}
	if libvirt.Alive(other, now) {
		t.Error("a killed process that nobody waited for is found alive")
	}
	_ = cmd.Wait() // killed
	if libvirt.Alive(other, now) {
		t.Error("a killed process is found alive")
	}
}

func TestMakerThatCannotBeAskedIsAliveForAWhile(t *testing.T) {
	parts := strings.Split(libvirt.Self(), ":")
	parts[1] = "1" // another PID namespace
	maker := strings.Join(parts, ":")
	if !libvirt.Alive(maker, time.Now().Add(-time.Minute).Format(time.RFC3339)) {
		t.Error("a maker in another container is given up after a minute")
	}
	if libvirt.Alive(maker, time.Now().Add(-time.Hour).Format(time.RFC3339)) || libvirt.Alive(maker, "") {
		t.Error("a maker in another container is waited for for an hour")
	}
	parts[0] = "another boot"
	if libvirt.Alive(strings.Join(parts, ":"), time.Now().Format(time.RFC3339)) {
		t.Error("a maker from before a restart is found alive")
	}
}

func TestVirtualizationIsReadFromTheFlags(t *testing.T) {
	for text, want := range map[string]bool{
		"processor\t: 0\nflags\t\t: fpu vme vmx sse\n":         true,
		"processor\t: 0\nflags\t\t: fpu svm\n":                 true,
		"processor\t: 0\nflags\t\t: fpu hypervisor svm_lock\n": false,
		"vmx flags\t: vnmi\nmodel name\t: vmx svm\n":           false,
		"": false,
	} {
		if got := libvirt.Virtualizes(strings.NewReader(text)); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
