// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"path"
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// cron reads the tables of Debian's cron, cronie and busybox.
func cron() Group {
	return Group{
		Name: "cron", Lane: parity.Stable,
		About: "jobs of cron: its tables, those of users, and the folders that run by the hour, day, week and month",
		Script: `table() {
	[ -f "$2" ] || return 0
	if [ ! -r "$2" ]; then
		printf 'unread %s\n' "$2"
		return 0
	fi
	printf '%s %s\n' "$1" "$2"
	while IFS= read -r line || [ -n "$line" ]; do
		case $line in '' | '#'*) ;; *) printf 'line %s\n' "$line" ;; esac
	done <"$2"
}
for d in /etc/cron.d /etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly /etc/periodic /etc/periodic/*; do
	[ ! -d "$d" ] || { [ -r "$d" ] && [ -x "$d" ]; } || echo "unread $d"
done
for f in /etc/crontab /etc/cron.d/*; do table system "$f"; done
table anacron /etc/anacrontab
for d in /var/spool/cron/crontabs /var/spool/cron /etc/crontabs; do
	[ -d $d ] && [ ! -L $d ] || continue
	if [ -r $d ] && [ -x $d ]; then
		for f in $d/*; do table user "$f"; done
	else
		echo "unread $d"
	fi
done
for f in /etc/cron.hourly/* /etc/cron.daily/* /etc/cron.weekly/* /etc/cron.monthly/* /etc/periodic/*/*; do
	[ -f "$f" ] || continue
	if [ -x "$f" ]; then printf 'runs %s\n' "$f"; else printf 'rests %s\n' "$f"; fi
done
`,
		Parse: parseCron,
	}
}

func parseCron(raw []byte) ([]parity.Item, error) {
	var p pile
	form, file := "", ""
	for word, rest := range tagged(raw) {
		switch word {
		case "system", "anacron", "user":
			form, file = word, rest
		case "unread":
			p.add(rest, "").Unknown = "only root may read it"
		case "runs":
			p.add(rest, "runs")
		case "rests":
			p.add(rest, "does not run: it is not executable")
		case "line":
			if key, value, ok := jobOf(form, file, strings.TrimSpace(rest)); ok {
				p.add(file+" "+key, value)
			}
		}
	}
	return p.done(", ")
}

// jobOf is when a line of a table runs, and what as whom; or a variable and its value.
func jobOf(form, file, line string) (key, value string, ok bool) {
	if line == "" || line[0] == '#' {
		return "", "", false
	}
	if name, value, set := strings.Cut(line, "="); set && isVariable(strings.TrimSpace(name)) {
		return strings.Trim(strings.TrimSpace(name), `"'`), strings.TrimSpace(value), true
	}
	times := 5
	switch {
	case form == "anacron":
		times = 3 // period, delay, name
	case line[0] == '@':
		times = 1
	}
	var when []string
	for range times {
		var word string
		word, line = cutWord(line)
		when = append(when, word)
	}
	switch form {
	case "system":
		user, command := cutWord(line)
		return strings.Join(when, " "), user + ": " + command, true
	case "user":
		return strings.Join(when, " "), path.Base(file) + ": " + line, true
	}
	return strings.Join(when, " "), line, true
}

func cutWord(line string) (word, rest string) {
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		return line[:i], strings.TrimSpace(line[i:])
	}
	return line, ""
}

func isVariable(name string) bool {
	name = strings.Trim(name, `"'`)
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) && (name[0] < '0' || name[0] > '9')
}
