// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/parity"
)

// boot is since when a machine runs.
func boot() Group {
	return Group{
		Name: "boot", Lane: parity.Volatile,
		About: "how long the machine has been up, with the time it was suspended, since when, and the id of this boot",
		Script: show + `show uptime /proc/uptime
show first /proc/1/stat
show boot_id /proc/sys/kernel/random/boot_id
grep -hE '^btime | /proc/uptime ' /proc/stat /proc/self/mountinfo 2>/dev/null
for f in /.dockerenv /run/.containerenv /run/systemd/container; do [ ! -e $f ] || echo "container $f"; done
`,
		Parse: parseBoot,
	}
}

const (
	// ticks are those of /proc/PID/stat in a second, on every architecture that Linux runs on today (USER_HZ).
	ticks = 100
	// hostsFirst is how long after the kernel its first process may have been made, in seconds. It is made with it; a container's is made much later.
	hostsFirst = 60
)

// parseBoot tells a container's own age from its host's, which is what its kernel counts: by when its first process began, which is that of the kernel elsewhere. Where something
// is mounted over /proc/uptime (lxcfs), that is trusted, unless it says 0, as lxcfs does when it fails.
func parseBoot(raw []byte) ([]parity.Item, error) {
	said := map[string]string{}
	mounted := false
	for word, rest := range tagged(raw) {
		if strings.Contains(rest, " /proc/uptime ") && word != "first" {
			mounted = true
		} else if _, known := said[word]; !known {
			said[word] = rest
		}
	}
	up, upKnown := seconds(said["uptime"])
	if !upKnown {
		return nil, errors.New("/proc/uptime cannot be read")
	}
	since, sinceKnown := began(said["first"])
	contained := sinceKnown && since > hostsFirst || mounted
	marked := said["container"] != ""
	var s itemSet
	uptime := parity.Item{Key: "uptime"}
	switch {
	case mounted && up == 0:
		uptime.Unknown = "what is mounted over /proc/uptime says 0"
	case mounted:
		uptime.Value = wholeSeconds(up)
	case contained && up >= since:
		uptime.Value = wholeSeconds(up - since)
	case contained:
		uptime.Unknown = "its first process began later than its clock says now"
	case marked:
		uptime.Unknown = "it is a container, and sees its host's first process only"
	default:
		uptime.Value = wholeSeconds(up)
	}
	s.add(uptime)
	if booted, ok := seconds(said["btime"]); ok {
		bootTime := parity.Item{Key: "boot_time"}
		if contained && sinceKnown {
			booted += since
		}
		if marked && !contained || booted > 1e11 {
			bootTime.Unknown = "what it sees is its host's"
		} else {
			bootTime.Value = time.Unix(int64(booted), 0).UTC().Format(time.RFC3339)
		}
		s.add(bootTime)
	}
	if id := strings.TrimSpace(said["boot_id"]); id != "" {
		if contained || marked {
			s.add(parity.Item{Key: "boot_id", Unknown: "what it sees is its host's"})
		} else {
			s.add(parity.Item{Key: "boot_id", Value: id})
		}
	}
	return s.list, nil
}

// seconds is the first word of a text as a time that can be.
func seconds(text string) (float64, bool) {
	word, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	f, err := strconv.ParseFloat(word, 64)
	return f, err == nil && f >= 0 && f < 1e12 && !math.IsNaN(f)
}

// began is when a process began, in seconds since the kernel did: the 22nd field of proc(5)'s stat, of which the second, in parentheses, may hold anything.
func began(stat string) (float64, bool) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0, false
	}
	n, ok := seconds(fields[19])
	return n / ticks, ok
}

func wholeSeconds(f float64) string { return strconv.FormatFloat(math.Floor(f), 'f', 0, 64) }
