// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// timers are schedules; when one of them is next, or was last, is each machine's own.
func timers() Group {
	return Group{
		Name: "timers", Lane: parity.Stable,
		About: "timers of systemd that are loaded: when they run, and what",
		Script: `if [ -d /run/systemd/system ] && have systemctl awk; then
	shown=$(systemctl show --all --no-pager -p Id,Unit,TimersCalendar,TimersMonotonic,RandomizedDelayUSec,Persistent,Transient '*.timer') || unknown 'systemctl does not show timers'
	printf '%s\n' "$shown" | awk '
` + inOrder + `
	function timer() {
		if (id != "" && !passing) list[++n] = id text
		id = text = ""
		passing = 0
	}
	/^$/ { timer(); next }
	/^Id=/ { id = substr($0, 4); next }
	/^Transient=/ { passing = ($0 ~ /yes/); next }
	{ sub(/ ; next_elapse=.*/, ""); sub(/=\{ /, " "); sub(/ \}$/, ""); text = text "|" $0 }
	END { timer(); in_order(list, n) }'
elif [ ! -d /run/openrc ]; then
	unknown 'no service manager runs here that is known (systemd, OpenRC)'
fi
`,
		Parse: parseTimers,
	}
}

func parseTimers(raw []byte) ([]parity.Item, error) {
	var p pile
	for line := range strings.Lines(string(raw)) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		if !strings.HasSuffix(fields[0], ".timer") {
			return nil, fmt.Errorf("cannot read the timer %.60q", fields[0])
		}
		if isPassing(fields[0]) {
			continue
		}
		var when, more []string
		for _, field := range fields[1:] {
			if text, ok := strings.CutPrefix(field, "TimersCalendar "); ok {
				when = append(when, text)
			} else if text, ok := strings.CutPrefix(field, "TimersMonotonic "); ok {
				when = append(when, strings.Replace(text, "USec=", "Sec=", 1))
			} else if field == "Persistent=yes" {
				more = append(more, field)
			} else if key, value, _ := strings.Cut(field, "="); key == "RandomizedDelayUSec" && value != "0" {
				more = append(more, "RandomizedDelaySec="+value)
			} else if key == "Unit" && strings.TrimSuffix(value, ".service") != strings.TrimSuffix(fields[0], ".timer") {
				more = append(more, field)
			}
		}
		if len(when) == 0 {
			continue // masked
		}
		slices.Sort(when)
		slices.Sort(more)
		p.add(fields[0], strings.Join(append(when, more...), "; "))
	}
	return p.done(", ")
}
