// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"fmt"
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// keys reads the files that sshd itself says it looks into. A user may make his file a link to another's or a pipe: pipes are not opened, and of a line only what has a public key's form
// is printed, so that a link to /etc/shadow brings nothing out.
func keys() Group {
	return Group{
		Name: "keys", Lane: parity.Stable,
		About: "keys that may log in by SSH: fingerprint, options and comment, of each user with a shell",
		Script: `needs_root
nl='
'
files='.ssh/authorized_keys .ssh/authorized_keys2'
if have sshd; then
	said=$("$(command -v sshd)" -T 2>/dev/null) || unknown 'sshd -T does not say in which files keys are'
	case $nl$said in *"$nl"'authorizedkeysfile '*)
		said=$nl$said
		files=${said##*"$nl"authorizedkeysfile }
		files=${files%%"$nl"*}
		;;
	esac
fi
expand() {
	to=
	left=$1
	while :; do
		case $left in
		*%*)
			to=$to${left%%"%"*}
			left=${left#*"%"}
			case $left in u*) to=$to$name ;; h*) to=$to$home ;; U*) to=$to$uid ;; %*) to=$to% ;; esac
			left=${left#?}
			;;
		*) to=$to$left && break ;;
		esac
	done
	case $to in /*) ;; *) to=$home/$to ;; esac
}
set -f
while IFS=: read -r name hash uid gid about home shell || [ -n "$name" ]; do
	case $name:$shell in '' | '#'* | */nologin | */false | */sync | */halt | */shutdown) continue ;; esac
	for f in $files; do
		expand "$f"
		# Of a home on a server, root may be nobody.
		if [ -d "$home" ] && [ ! -x "$home" ] || [ -f "$to" ] && [ ! -r "$to" ]; then
			printf 'unread %s %s\n' "$name" "$to"
			continue
		fi
		[ -f "$to" ] || continue
		printf 'in %s %s\n' "$name" "$to"
		head -c 1048576 "$to" | while IFS= read -r line || [ -n "$line" ]; do
			case $line in
			'' | '#'*) ;;
			*ssh-*' AAAA'* | *ecdsa-*' AAAA'* | sk-*' AAAA'*) printf 'key %s\n' "$line" ;;
			*) echo other ;;
			esac
		done
	done
done </etc/passwd
`,
		Parse: parseKeys,
	}
}

func parseKeys(raw []byte) ([]parity.Item, error) {
	var p pile
	seen := map[parity.Item]bool{}
	user, file, others := "", "", 0
	flush := func() {
		if others > 0 {
			p.add(user+" "+file, fmt.Sprintf("%d lines that hold no key", others))
		}
		others = 0
	}
	for word, rest := range tagged(raw) {
		switch word {
		case "in":
			flush()
			user, file, _ = strings.Cut(rest, " ")
		case "key":
			item, ok := parity.AuthorizedKey(user, rest)
			if !ok {
				others++
			} else if !seen[item] {
				seen[item] = true
				p.join(item.Key, item.Value)
			}
		case "unread":
			p.add(rest, "").Unknown = "root may not read it there"
		case "other":
			others++
		}
	}
	flush()
	return p.done(", ")
}
