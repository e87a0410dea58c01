// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// makingTime is how long a making may take at most where the maker cannot be asked for: it is on another computer, or in another container.
const makingTime = 10 * time.Minute

// self names this process so that any other process of this computer can tell whether it still runs: boot, PID namespace, PID and the
// PID's start time (field 22 of /proc/PID/stat, see proc(5)), since PIDs come again.
func self() string {
	return strings.Join([]string{bootID(), pidNamespace(), strconv.Itoa(os.Getpid()), startTime(os.Getpid())}, ":")
}

// alive reports whether the maker may still be at work. Clients of a daemon elsewhere (abroad) may be on computers of their own.
func alive(maker, since string, abroad bool) bool {
	parts := strings.Split(maker, ":")
	if len(parts) != 4 {
		return false
	}
	if parts[0] != bootID() && !abroad {
		return false
	}
	if parts[0] != bootID() || parts[1] != pidNamespace() {
		t, err := time.Parse(time.RFC3339, since)
		return err == nil && time.Since(t) < makingTime
	}
	pid, err := strconv.Atoi(parts[2])
	return err == nil && parts[3] != "" && startTime(pid) == parts[3]
}

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func pidNamespace() string {
	s, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.Trim(strings.TrimPrefix(s, "pid:"), "[]")
}

// startTime is "" where there is no such process, or only what its parent has not yet taken notice of (a zombie).
func startTime(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field is the command in brackets and may hold anything; the third is the state.
	_, rest, ok := strings.Cut(string(b[strings.LastIndexByte(string(b), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	return fields[19]
}
