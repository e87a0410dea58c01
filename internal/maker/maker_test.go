// SPDX-License-Identifier: Apache-2.0

package maker_test

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/internal/maker"
)

func TestMakerIsAliveUntilItsProcessEnds(t *testing.T) {
	now := time.Now().UTC().Format(time.RFC3339)
	me := maker.Self()
	if !maker.Alive(me, now, false) {
		t.Errorf("this process, %s, is not found alive", me)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(me, ":")
	parts[2], parts[3] = strconv.Itoa(cmd.Process.Pid), "1" // it began just after the boot
	if maker.Alive(strings.Join(parts, ":"), now, false) {
		t.Error("a process that took the PID later is taken for the maker")
	}
	other := maker.Of(cmd.Process.Pid)
	if !maker.Alive(other, now, false) {
		t.Errorf("the process %s is not found alive", other)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); maker.Alive(other, now, false) && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond) // it is a zombie soon
	}
	if maker.Alive(other, now, false) {
		t.Error("a killed process that nobody waited for is found alive")
	}
	_ = cmd.Wait() // killed
	if maker.Alive(other, now, false) {
		t.Error("a killed process is found alive")
	}
}

func TestMakerThatCannotBeAskedIsAliveForAWhile(t *testing.T) {
	parts := strings.Split(maker.Self(), ":")
	parts[1] = "1" // another PID namespace
	name := strings.Join(parts, ":")
	if !maker.Alive(name, time.Now().Add(-time.Minute).Format(time.RFC3339), false) {
		t.Error("a maker in another container is given up after a minute")
	}
	if maker.Alive(name, time.Now().Add(-time.Hour).Format(time.RFC3339), false) || maker.Alive(name, "", false) {
		t.Error("a maker in another container is waited for for an hour")
	}
	parts[0] = "another boot"
	if maker.Alive(strings.Join(parts, ":"), time.Now().Format(time.RFC3339), false) {
		t.Error("a maker from before a restart is found alive")
	}
	if elsewhere := strings.Join(parts, ":"); !maker.Alive(elsewhere, time.Now().Format(time.RFC3339), true) || maker.Alive(elsewhere, "", true) {
		t.Error("a maker on another computer than the daemon's other clients is not waited for, or for ever")
	}
}
