// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// sshd prints what its files come to and ends; it asks for the absolute path, for root, and for host keys.
func sshd() Group {
	return Group{
		Name: "sshd", Lane: parity.Stable,
		About: "what the SSH server's files come to, by its own word (sshd -T), outside of Match blocks",
		Script: `have sshd || return 0
needs_root
nl='
'
{ why=$("$(command -v sshd)" -T 2>&1 >&3 3>&-); } 3>&1 || unknown "sshd -T: ${why##*"$nl"}"
`,
		Parse: parseSSHD,
	}
}

func parseSSHD(raw []byte) ([]parity.Item, error) {
	var p pile
	for line := range strings.Lines(string(raw)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "" {
			continue
		}
		p.join(strings.ToLower(word), strings.TrimSpace(rest))
	}
	return p.done(", ")
}
