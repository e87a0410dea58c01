// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/envs"
)

// loginUsers are the users that the keys let in: the core's own, and the definition's where it names another.
func loginUsers(plan *envs.Plan) []string {
	users := []string{LoginUser}
	if u := plan.Access.User; u != "" && u != LoginUser {
		users = append(users, u)
	}
	return users
}

// certificateAuthorities are the authorized_keys lines that let user in by a certificate of one of keys that names him. TrustedUserCAKeys of sshd would
// let in whoever else has a shell there.
func certificateAuthorities(keys []string, user string) []string {
	var lines []string
	for _, key := range keys {
		lines = append(lines, fmt.Sprintf("cert-authority,principals=%q %s", user, key))
	}
	return lines
}

// settingsFile is an environment file that systemd's EnvironmentFile= and a sourcing shell read alike: double quotes, with a backslash
// before what both treat as special (systemd.exec(5), "EnvironmentFile=").
func settingsFile(settings map[string]string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`")
	var b strings.Builder
	for _, k := range sortedKeys(settings) {
		fmt.Fprintf(&b, "%s=\"%s\"\n", k, escape.Replace(settings[k]))
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
