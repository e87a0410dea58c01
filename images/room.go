// SPDX-License-Identifier: Apache-2.0

package images

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// treeRoom is how much room building these packages' tree takes, in bytes: what they unpack to, their files, and what their scripts make
// (initrd, byte code, caches).
func treeRoom(controls [][]byte, packages []LockedPackage) int64 {
	var total int64 = 512 << 20
	for i, c := range controls {
		// Debian Policy 5.6.20: an estimate in KiB
		kib, err := strconv.ParseInt(stanzaField(c, "Installed-Size"), 10, 32)
		if err == nil {
			total += kib << 10
		}
		total += packages[i].Size
	}
	return total + total/4
}

// memoryTree is the size of a memory file system to build in, as mount(8) takes it; "" where memory is scarce and the disk is used. In
// memory a build is several times quicker, since dpkg makes each file safe by itself, and a killed build leaves nothing.
func (s *Store) memoryTree(room int64) string {
	if s.noMemory || availableMemory() < 2*room {
		return ""
	}
	return strconv.FormatInt(room, 10)
}

// availableMemory is what can be used without swapping, in bytes; 0 where unknown. A container may have less than its machine.
func availableMemory() int64 {
	data, err := os.ReadFile("/proc/meminfo") // proc(5): kB
	if err != nil {
		return 0
	}
	var available int64
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemAvailable:" {
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			available = kib << 10
		}
	}
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseInt(string(bytes.TrimSpace(data)), 10, 64); err == nil {
			available = min(available, limit)
		}
	}
	return available
}
