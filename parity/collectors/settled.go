// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// settled is what Settle recorded of what it laid. The record's salt stays on the machine: with it a short secret could be guessed from the digest of its part.
func settled() Group {
	return Group{
		Name: "settled", Lane: parity.Volatile,
		About: "the parts that were laid on the machine, by digests that say nothing to who has not the salt, which is not read out",
		Script: `[ -e /etc/evenkeel/settled ] || { [ ! -d /etc/evenkeel ] || [ -x /etc/evenkeel ] || needs_root; exit 0; }
[ -r /etc/evenkeel/settled ] || needs_root
while read -r part digest rest; do
	case $part in
	'' | salt) ;;
	*) echo "$part $digest" ;;
	esac
done </etc/evenkeel/settled
`,
		Parse: func(raw []byte) ([]parity.Item, error) {
			var s itemSet
			state := ""
			for part, digest := range tagged(raw) {
				switch {
				case part == "laying":
					state = part
				case part != "salt" && part != "state" && (digest == "-" || len(digest) == 64 && strings.Trim(digest, "0123456789abcdef") == ""):
					s.put(part, digest)
					if state == "" {
						state = "settled"
					}
				}
			}
			s.put("state", state)
			return s.list, nil
		},
	}
}
