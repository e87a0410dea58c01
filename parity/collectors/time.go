// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"path"
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// timekeeping reads files and names of processes. timedatectl is not asked, since that starts a service; chronyc and ntpq neither, since they make sockets.
func timekeeping() Group {
	return Group{
		Name: "time", Lane: parity.Stable,
		About: "time zone, what keeps the clock, whether the hardware's clock runs in UTC",
		Script: show + `if [ -L /etc/localtime ] && have readlink; then
	echo "zone $(readlink /etc/localtime)"
elif [ -f /etc/localtime ]; then
	echo "rule $(tail -n 1 /etc/localtime)"
fi
show name /etc/timezone
show adjtime /etc/adjtime
[ -r /proc/1/comm ] || echo blind
for f in /proc/[0-9]*/comm; do
	read -r comm 2>/dev/null <"$f" || continue
	case $comm in chronyd | ntpd | openntpd | systemd-timesyn) echo "keeper $comm" ;; esac
done 2>/dev/null
`,
		Parse: parseTime,
	}
}

// synchronised is apart: how soon after a start the first answer of a time server comes is chance.
func synchronised() Group {
	return Group{
		Name: "time_own", Lane: parity.Volatile,
		About: "whether systemd-timesyncd has heard of a time server since the machine started",
		Script: `if [ -e /run/systemd/timesync/synchronized ]; then echo yes; elif [ -d /run/systemd/timesync ]; then echo no; fi
`,
		Parse: func(raw []byte) ([]parity.Item, error) {
			var p pile
			if text := strings.TrimSpace(string(raw)); text == "yes" || text == "no" {
				p.add("synchronised", text)
			}
			return p.done(", ")
		},
	}
}

func parseTime(raw []byte) ([]parity.Item, error) {
	zone, name, rule, clock := "", "", "", ""
	keepers, blind := map[string]bool{}, false
	for word, rest := range tagged(raw) {
		switch rest = strings.TrimSpace(rest); word {
		case "zone":
			zone = rest
			if i := strings.Index(rest, "zoneinfo/"); i >= 0 {
				zone = strings.TrimPrefix(path.Clean(rest[i+len("zoneinfo/"):]), "/")
			}
		case "name":
			if name == "" && !strings.HasPrefix(rest, "#") {
				name = rest
			}
		case "rule":
			rule = rest
		case "adjtime":
			if rest == "UTC" || rest == "LOCAL" {
				clock = rest
			}
		case "blind":
			blind = true
		case "keeper":
			if rest == "systemd-timesyn" {
				rest = "systemd-timesyncd" // the kernel keeps 15 letters of a name
			}
			keepers[rest] = true
		}
	}
	var p pile
	switch {
	case zone != "":
	case name != "":
		zone = name
	case rule != "":
		zone = "by the rule " + rule
	default:
		zone = "UTC"
	}
	p.add("zone", zone)
	if clock == "" {
		clock = "UTC"
	}
	p.add("hardware_clock", clock)
	for _, keeper := range []string{"chronyd", "ntpd", "openntpd", "systemd-timesyncd"} {
		if keepers[keeper] {
			p.join("kept_by", keeper)
		}
	}
	switch {
	case len(keepers) > 0:
	case blind:
		p.add("kept_by", "").Unknown = "only root may see what runs"
	default:
		p.add("kept_by", "nothing that is known here")
	}
	return p.done(", ")
}
