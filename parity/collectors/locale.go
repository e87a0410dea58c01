// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

func locale() Group {
	return Group{
		Name: "locale", Lane: parity.Stable,
		About: "language and keyboard that the machine is set to",
		Script: show + `for f in /etc/locale.conf /etc/default/locale /etc/vconsole.conf /etc/default/keyboard; do show set "$f"; done
`,
		Parse: parseLocale,
	}
}

func parseLocale(raw []byte) ([]parity.Item, error) {
	last := map[string]string{}
	for word, rest := range tagged(raw) {
		key, value, set := strings.Cut(strings.TrimPrefix(strings.TrimSpace(rest), "export "), "=")
		if word != "set" || !set || strings.HasPrefix(key, "#") || key == "" {
			continue
		}
		value = strings.TrimSpace(value)
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		last[strings.TrimSpace(key)] = value
	}
	var p pile
	for key, value := range last {
		p.add(key, value)
	}
	return p.done(", ")
}
