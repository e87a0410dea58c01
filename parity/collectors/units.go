// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// units says what is to run, and of what is always to run whether it does. What runs for a moment (jobs, what a bus or a socket calls, sessions) is found running or not by chance: of such only
// what is to be started is said, and whether it failed.
func units() Group {
	return Group{
		Name: "units", Lane: parity.Stable,
		About: "services, sockets, timers and other units: enabled, active, failed, masked, overridden, skipped for a condition",
		Script: `if [ -d /run/systemd/system ] && have systemctl awk; then
	echo systemd
	export SYSTEMD_BUS_TIMEOUT=90s # it reads every unit file for this, which takes a busy machine longer than the 25 s it is given else
	files=$(systemctl list-unit-files --no-legend --no-pager --full) || unknown 'systemctl does not list unit files'
	printf '%s\n' "$files"
	for f in /etc/systemd/system/*.d/*.conf /etc/systemd/system.control/*.d/*.conf /run/systemd/system/*.d/*.conf /run/systemd/system.control/*.d/*.conf; do
		[ ! -f "$f" ] || printf '+ %s\n' "$f"
	done
	for f in /etc/systemd/system/*.*; do
		[ -f "$f" ] && [ ! -L "$f" ] || continue
		for d in /usr/lib /lib; do
			[ ! -e "$d/systemd/system/${f##*/}" ] || { printf '+ %s\n' "$f" && break; }
		done
	done
	shown=$(systemctl show --all --no-pager -p Id,LoadState,ActiveState,SubState,UnitFileState,Type,BusName,WantedBy,RequiredBy,UpheldBy,TriggeredBy,ConditionResult,ConditionTimestampMonotonic,Transient \
		'*.service' '*.socket' '*.timer' '*.path' '*.mount' '*.swap') || unknown 'systemctl does not show units'
	printf '%s\n' "$shown" | awk '
` + inOrder + `
	function unit(   marks, text) {
		if (is["Id"] == "" || is["Transient"] == "yes" || is["LoadState"] == "not-found") return
		marks = (is["WantedBy"] is["RequiredBy"] is["UpheldBy"] == "" ? "-" : "wanted")
		if (is["TriggeredBy"] is["BusName"] != "") marks = marks ",called"
		if (is["TriggeredBy"] ~ /\.timer/) marks = marks ",timed"
		if (is["ConditionResult"] == "no" && is["ConditionTimestampMonotonic"] + 0 > 0) marks = marks ",skipped"
		if (is["ActiveState"] != "failed") {
			if (is["Type"] == "oneshot" || is["Id"] ~ /\.(mount|swap)$/) return
			if (marks !~ /^wanted/ && (is["ActiveState"] == "inactive" || marks ~ /called/)) return
		}
		text = is["Id"] " " (is["UnitFileState"] == "" ? "-" : is["UnitFileState"]) " " is["ActiveState"] " " is["SubState"] " " (is["Type"] == "" ? "-" : is["Type"]) " " marks
		list[++n] = "= " text
	}
	/^$/ { unit(); split("", is); next }
	{ at = index($0, "="); is[substr($0, 1, at - 1)] = substr($0, at + 1) }
	END { unit(); in_order(list, n) }'
elif [ -d /run/openrc ] && [ -d /etc/init.d ]; then
	echo openrc
	for f in /etc/init.d/*; do
		[ -f "$f" ] && [ -x "$f" ] || continue
		name=${f##*/}
		levels=
		for l in /etc/runlevels/*; do [ ! -e "$l/$name" ] || levels=$levels${levels:+,}${l##*/}; done
		state=inactive
		[ ! -e "/run/openrc/started/$name" ] || state=active
		[ ! -e "/run/openrc/failed/$name" ] || state=failed
		printf '%s %s %s\n' "$name" "${levels:--}" "$state"
	done
else
	unknown 'no service manager runs here that is known (systemd, OpenRC)'
fi
`,
		Parse: parseUnits,
	}
}

// unit is what is known of one.
type unit struct {
	file, active string
	last         string // how the last run ended, where chance decides when it runs
	replaced     bool
	dropIns      []string
}

func parseUnits(raw []byte) ([]parity.Item, error) {
	manager, rest, _ := strings.Cut(string(raw), "\n")
	switch manager {
	case "openrc":
		return parseOpenRC(rest)
	case "systemd":
	default:
		return nil, fmt.Errorf("cannot read the units of %.40q", manager)
	}
	units := map[string]*unit{}
	of := func(name string) *unit {
		u := units[name]
		if u == nil {
			u = &unit{}
			units[name] = u
		}
		return u
	}
	loaded := false
	for line := range strings.Lines(rest) {
		f := strings.Fields(line)
		switch {
		case len(f) < 2:
		case f[0] == "+":
			dir, file := path.Split(f[1])
			if name, drop := strings.CutSuffix(path.Base(path.Clean(dir)), ".d"); drop {
				of(name).dropIns = append(of(name).dropIns, file)
			} else {
				of(file).replaced = true
			}
		case f[0] == "=":
			loaded = true
			// What is made at boot of the command line, fstab and what the machine has is the place's, but for services made of init scripts.
			if len(f) == 7 && !isPassing(f[1]) && (f[2] != "generated" || strings.HasSuffix(f[1], ".service") && !strings.Contains(f[1], "@")) {
				of(f[1]).seen(f[2:])
			}
		case f[1] == "transient" || isPassing(f[0]) || f[1] == "generated" && (!strings.HasSuffix(f[0], ".service") || strings.Contains(f[0], "@")):
		default:
			of(f[0]).file = f[1]
		}
	}
	if !loaded {
		return nil, errors.New("systemctl showed no unit")
	}
	var p pile
	for name, u := range units {
		if text := u.String(); text != "" {
			p.add(name, text)
		}
		if u.last != "" {
			p.add(name+" last-run", u.last)
		}
	}
	return p.done(", ")
}

// isPassing tells units of sessions and of single connections.
func isPassing(name string) bool {
	for _, prefix := range []string{"user@", "user-runtime-dir@", "session-", "run-"} {
		if strings.HasPrefix(name, prefix) && name != prefix+".service" {
			return true
		}
	}
	return false
}

// seen takes UnitFileState, ActiveState, SubState, Type and marks.
func (u *unit) seen(f []string) {
	if u.file == "" && f[0] != "-" && f[0] != "transient" && f[0] != "generated" {
		u.file = f[0] // an instance of a template
	}
	marks := strings.Split(f[4], ",")
	wanted, called := marks[0] == "wanted", slices.Contains(marks, "called")
	passes := f[3] == "oneshot"
	switch state := f[1]; {
	case state == "failed" && slices.Contains(marks, "timed"):
		u.last = "failed"
	case state == "failed":
		u.active = "failed"
	case passes || !wanted && called:
	case state == "inactive" && slices.Contains(marks, "skipped"):
		u.active = "skipped"
	case state == "inactive" && !wanted:
	case f[2] == "auto-restart":
		u.active = "restarting"
	case state == "reloading" || state == "refreshing":
		u.active = "active"
	default:
		u.active = state
	}
}

func (u *unit) String() string {
	file, active := u.file, u.active
	if (active == "inactive" || active == "skipped") && !strings.HasPrefix(file, "enabled") && file != "linked" && file != "generated" {
		active = "" // nobody said that it is to run
	}
	if active == "" && !u.replaced && len(u.dropIns) == 0 && (file == "static" || file == "alias") {
		return "" // it comes with a package, and nothing else can be said of it
	}
	words := strings.Fields(file + " " + active)
	if u.replaced {
		words = append(words, "replaced")
	}
	if len(u.dropIns) > 0 {
		slices.Sort(u.dropIns)
		words = append(words, "with "+strings.Join(slices.Compact(u.dropIns), ","))
	}
	return strings.Join(words, " ")
}

func parseOpenRC(raw string) ([]parity.Item, error) {
	var p pile
	for line := range strings.Lines(raw) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		value := "disabled"
		if f[1] != "-" {
			value = "enabled in " + f[1] + " " + f[2]
		} else if f[2] != "inactive" {
			value += " " + f[2]
		}
		p.add(f[0], value)
	}
	return p.done(", ")
}
