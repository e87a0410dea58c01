// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// sudoers reads the rules in sudo's own order, in which the last that matches counts, whichever file holds them.
func sudoers() Group {
	return Group{
		Name: "sudoers", Lane: parity.Stable,
		About: "rules of sudo, with the files that they include",
		Script: `[ -e /etc/sudoers ] || return 0
needs_root
blank=' 	'
rules() {
	[ -f "$1" ] || return 0
	[ -r "$1" ] || unknown "$1 cannot be read"
	[ "$2" -lt 8 ] || unknown "$1 is included more than 8 levels deep"
	while IFS= read -r line || [ -n "$line" ]; do
		case $line in
		'@include'["$blank"]* | '#include'["$blank"]* | '@includedir'["$blank"]* | '#includedir'["$blank"]*)
			(
				what=${line%%["$blank"]*}
				to=${line#*["$blank"]}
				to=${to#"${to%%[!"$blank"]*}"}
				to=${to#\"}
				to=${to%\"}
				case $to in /*) ;; *) to=${1%/*}/$to ;; esac
				case $what in
				?include) rules "$to" $(($2 + 1)) ;;
				*)
					for f in "$to"/*; do
						case ${f##*/} in *.* | *~) ;; *) rules "$f" $(($2 + 1)) ;; esac
					done
					;;
				esac
			) || exit $?
			;;
		'') ;;
		'#'[!0-9]* | '#') ;;
		*) printf '%s\n' "$line" ;;
		esac
	done <"$1"
}
rules /etc/sudoers 0
`,
		Parse: parseSudoers,
	}
}

// parseSudoers gives each subject its rules in their order: whom they are for, or which defaults and aliases they are.
func parseSudoers(raw []byte) ([]parity.Item, error) {
	var p pile
	text := strings.ReplaceAll(string(raw), "\\\n", " ")
	for line := range strings.Lines(text) {
		line = squeezed(uncommented(line))
		if line == "" {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case strings.HasSuffix(word, "_Alias"):
			name, value, _ := strings.Cut(rest, "=")
			p.join(word+" "+strings.TrimSpace(name), strings.TrimSpace(value))
		case strings.HasPrefix(word, "Defaults"):
			p.join(word, rest)
		default:
			subject, hosts, ok := ruleOf(line)
			if !ok {
				subject, hosts = word, rest
			}
			p.join(subject, hosts)
		}
	}
	return p.done("; ")
}

// ruleOf splits `deploy, %ops ALL=(ALL) ...` before the list of hosts: the last word before the first "=", with what hangs on it by commas, is theirs.
func ruleOf(line string) (subject, rest string, ok bool) {
	left, right, ok := strings.Cut(line, "=")
	if !ok {
		return "", "", false
	}
	left = strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(left), " ,", ","), ", ", ",")
	i := strings.LastIndexByte(left, ' ')
	if i < 0 {
		return "", "", false
	}
	return left[:i], left[i+1:] + "=" + strings.TrimSpace(right), true
}

// uncommented is a line without what stands behind #, which names a user by number where a digit follows, and is a letter in quotes and behind a backslash.
func uncommented(line string) string {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '#' && !quoted && (i+1 >= len(line) || line[i+1] < '0' || line[i+1] > '9'):
			return line[:i]
		}
	}
	return line
}
