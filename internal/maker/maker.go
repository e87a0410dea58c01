// SPDX-License-Identifier: Apache-2.0

// Package maker names the process that makes something in a place where others may meet it half-made, so that they can tell whether it is still at work. It asks /proc, so it is
// for Linux.
package maker

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// makingTime is how long a making may take at most where the maker cannot be asked for.
const makingTime = 10 * time.Minute

// Self names this process.
func Self() string { return Of(os.Getpid()) }

// Of names a process of this computer, seen from our PID namespace: by boot, PID namespace, PID and the PID's start time (field 22 of /proc/PID/stat, see proc(5)), since PIDs come
// again. It is made of ASCII letters, digits, '-' and ':'. The name of one that does not run is nobody's.
func Of(pid int) string {
	return strings.Join([]string{bootID(), pidNamespace(), strconv.Itoa(pid), startTime(pid)}, ":")
}

// Alive reports whether the process of that name may still be at work on what it began at since (RFC 3339). One that cannot be asked for, being in another container, is given ten
// minutes; so is one of another boot where abroad: makers may be on computers of their own. What is no name is dead.
func Alive(maker, since string, abroad bool) bool {
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
