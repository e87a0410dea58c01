// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/parity"
)

// birth is when a machine was made, by each mark that it bears.
func birth() Group {
	return Group{
		Name: "birth", Lane: parity.Volatile,
		About: "when the machine was made: by the stamp of its first boot, by cloud-init's, by its root file system, by its packages' log",
		Script: `have stat && stat -c '%Y %W %n' / /var/lib/evenkeel/seeded /var/lib/cloud/instance/sem/* 2>/dev/null
for log in /var/log/dnf.rpm.log /var/log/dpkg.log; do
	n=52 first=
	while [ $n -gt 0 ]; do
		[ ! -r $log.$n ] || { IFS= read -r first <$log.$n && break; }
		[ ! -r $log.$n.gz ] || ! have gzip || { first=$(gzip -dc $log.$n.gz 2>/dev/null | { IFS= read -r line && echo "$line"; }) && [ -n "$first" ] && break; }
		n=$((n - 1))
	done
	[ -n "$first" ] || [ ! -r $log ] || IFS= read -r first <$log || :
	[ -z "$first" ] || echo "log $(date +%z) $first"
done
`,
		Parse: parseBirth,
	}
}

// parseBirth takes of several marks of one sort the oldest: cloud-init leaves one for each of its steps, anew for each machine that is made from one image.
func parseBirth(raw []byte) ([]parity.Item, error) {
	at := map[string]time.Time{}
	mark := func(source string, t time.Time) {
		if had, known := at[source]; (!known || t.Before(had)) && t.Year() > 1970 && t.Year() < 10000 {
			at[source] = t
		}
	}
	for word, rest := range tagged(raw) {
		if word == "log" {
			if t, ok := entryTime(rest); ok {
				mark("packages", t)
			}
			continue
		}
		born, name, _ := strings.Cut(rest, " ")
		switch changed, err := strconv.ParseInt(word, 10, 40); {
		case name == "/":
			if n, err := strconv.ParseInt(born, 10, 40); err == nil {
				mark("rootfs", time.Unix(n, 0))
			}
		case err != nil:
		case name == "/var/lib/evenkeel/seeded":
			mark("stamp", time.Unix(changed, 0))
		case strings.HasPrefix(name, "/var/lib/cloud/instance/"):
			mark("cloud-init", time.Unix(changed, 0))
		}
	}
	var s itemSet
	for source, t := range at {
		s.put(source, t.UTC().Format(time.RFC3339))
	}
	return s.list, nil
}

// entryTime is the time of a log's line behind the zone that the machine is in: dpkg's is local and does not say so, dnf's says.
func entryTime(text string) (time.Time, bool) {
	zone, line, _ := strings.Cut(text, " ")
	f := strings.Fields(line)
	if len(f) > 0 {
		if t, err := time.Parse("2006-01-02T15:04:05Z0700", f[0]); err == nil {
			return t, true
		}
	}
	if len(f) < 2 {
		return time.Time{}, false
	}
	t, err := time.Parse("2006-01-02 15:04:05 -0700", f[0]+" "+f[1]+" "+zone)
	return t, err == nil
}
