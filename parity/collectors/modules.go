// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// modules are those that are loaded; the rest of what /proc/modules says of them changes by the second. A machine of ours that was just set up still loads some: that is waited
// for, ten seconds at most (images, evenkeel-coldplug.service).
func modules() Group {
	return Group{
		Name: "modules", Lane: parity.Place,
		About: "kernel modules that are loaded",
		Script: `[ -e /proc/modules ] || return 0
[ -r /proc/modules ] || unknown '/proc/modules cannot be read'
for second in 1 2 3 4 5 6 7 8 9 10; do
	[ -e /run/systemd/generator/systemd-udev-trigger.service.d/evenkeel.conf ] || break
	[ ! -d /run/evenkeel-coldplug ] || [ -e /run/udev/queue ] || break
	sleep 1
done
in_order=cat
! have sort || in_order=sort
while read -r name rest; do printf '%s\n' "$name"; done </proc/modules | $in_order
`,
		Parse: parseModules,
	}
}

func parseModules(raw []byte) ([]parity.Item, error) {
	var p pile
	seen := map[string]bool{}
	for name := range strings.FieldsSeq(string(raw)) {
		if !seen[name] {
			seen[name] = true
			p.add(name, "loaded")
		}
	}
	return p.done(", ")
}

func cmdline() Group {
	return Group{
		Name: "cmdline", Lane: parity.Place,
		About: "the kernel's command line",
		Script: `[ -r /proc/cmdline ] || unknown '/proc/cmdline cannot be read'
while IFS= read -r line || [ -n "$line" ]; do printf '%s\n' "$line"; done </proc/cmdline
`,
		Parse: parseCmdline,
	}
}

// parseCmdline splits at white space outside of double quotes, as the kernel does.
func parseCmdline(raw []byte) ([]parity.Item, error) {
	quoted := false
	words := strings.FieldsFunc(string(raw), func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && strings.ContainsRune(" \t\n", r)
	})
	var p pile
	for i, word := range words {
		if word == "--" { // what follows is init's
			p.add("--", strings.Join(words[i+1:], " "))
			break
		}
		key, value, set := strings.Cut(word, "=")
		if !set {
			value = "set"
		}
		p.join(strings.Trim(key, `"`), strings.Trim(value, `"`))
	}
	return p.done(", ")
}
