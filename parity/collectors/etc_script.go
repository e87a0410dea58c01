// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// ownFiles are shell patterns of the files below /etc that each machine or place has of its own, by parity.LaneRules. What Settle lays by tier is not among them: machines of a
// kind have it alike, and its digests are expected beside those of the image's files. /etc/hosts is: many systems write the machine's own name into it, which means nothing.
func ownFiles() []string {
	patterns := []string{"/etc/hosts"}
	for _, r := range parity.LaneRules() {
		if pattern, ok := strings.CutPrefix(r.Match, "etc/"); ok && r.Lane != parity.Stable && pattern != "/etc/evenkeel/*" {
			patterns = append(patterns, pattern)
		}
	}
	return patterns
}

// notListed are patterns of ownFiles that are not looked into at all: thousands of files that say nothing.
func notListed(pattern string) bool { return pattern == "/etc/.git/*" }

// neverRead are patterns of find's -path: private keys, password hashes and secrets. They are listed with mode and owner, and nobody opens them.
func neverRead() []string {
	return []string{
		"*/shadow*", "*/gshadow*", "*/opasswd*", "*/private/*", "*.key", "*_key", "*[-_.]key.pem", "*/key.pem", "*/privkey*", "*/id_rsa", "*/id_dsa", "*/id_ecdsa", "*/id_ed25519",
		"*.p12", "*.pfx", "*.jks", "*.keystore", "*.keytab", "*.kdbx", "*/.netrc", "*/.pgpass", "*-secrets", "*.secrets", "*/secrets/*", "*/system-connections/*", "*/wireguard/*",
		"*htpasswd*", "*sasl_passwd*", "*passwd.client", "*/credstore/*", "*/credstore.encrypted/*",
	}
}

// files is sh that lists what find finds, one line each with tabs between: what it is (f, l, d; k: a file that is not read; u: a folder that cannot be looked into), mode, owner:group
// by name, numbers of them where the names may be UNKNOWN, size, path, and a link's target. Between them stand sha256sum's lines. Names with a tab or a line's end in them have
// only "o" and their folder.
//
//	files WHERE... -- WHAT...  of those, what find's -path patterns WHAT match is left out
//
// find's -printf needs no further process; busybox has stat for it.
const files = say + `files() {
	tab='	' nl='
'
	where=1 n=$#
	while [ $n -gt 0 ]; do
		a=$1 n=$((n - 1))
		shift
		case $where$a in
		1--) where= && set -- "$@" -xdev '(' -name "*$tab*" -o -name "*$nl*" ')' -prune -exec sh -c 'for f; do printf "o\t%s\n" "${f%/*}"; done' sh '{}' + ;;
		1*) set -- "$@" "$a" ;;
		*) set -- "$@" -o -path "$a" -prune ;;
		esac
	done
	never= blind=
	set -f
	for a in $unread; do never="$never${never:+ -o} -path $a"; done
	[ "$root" = 1 ] || blind='-type d ( ! -readable -o ! -executable ) -printf u\t%m\t%u:%g\t\t%s\t%p\n -o'
	# shellcheck disable=SC2086 # patterns are words, and not for this shell
	list=$(find "$@" -o -type l -lname "*$nl*" -printf 'o\t%h\n' \
		-o $blind -type d -printf 'd\t%m\t%u:%g\t\t\t%p\n' -o -type l -printf 'l\t%m\t%u:%g\t\t\t%p\t%l\n' -o -type f '(' $never ')' -printf 'k\t%m\t%u:%g\t\t\t%p\n' \
		-o -type f -printf 'f\t%m\t%u:%g\t\t%s\t%p\n' -size -65536k -exec sha256sum '{}' + 2>/dev/null)
	if [ -z "$list" ]; then
		[ "$root" = 1 ] || blind="-type d ! -perm -005 -exec stat -c u$tab%a$tab%U:%G$tab%u:%g$tab$tab%n {} + -o"
		# shellcheck disable=SC2086
		list=$(
			IFS=' '
			find "$@" -o $blind -type d -exec stat -c "d$tab%a$tab%U:%G$tab%u:%g$tab$tab%n" '{}' + \
				-o -type l -exec stat -c "l$tab%a$tab%U:%G$tab%u:%g$tab$tab%N" '{}' + -o -type f '(' $never ')' -exec stat -c "k$tab%a$tab%U:%G$tab%u:%g$tab$tab%n" '{}' + \
				-o -type f -exec stat -c "f$tab%a$tab%U:%G$tab%u:%g$tab%s$tab%n" '{}' + -size -65536k -exec sha256sum '{}' + 2>/dev/null
		)
	fi
	set +f
	[ -z "$list" ] || say "$list" | sort
}
`

// later is sh that prints, on a machine whose first boot has ended, "b", and for each file that changed since then "n", when, and its path, with tabs between. What each machine has
// of its own ($1, patterns) is left out, and what Settle lays, so that equal machines print the same. busybox's find cannot tell: then nothing is printed.
const later = `later() {
	done=/var/lib/evenkeel/firstboot.done
	[ -e "$done" ] || return 0
	tab='	' nl='
'
	set -f
	own=
	for a in $1; do own="$own -o -path $a"; done
	# shellcheck disable=SC2086 # patterns are words, and not for this shell
	if list=$(find /etc -xdev '(' -name "*$tab*" -o -name "*$nl*" -o -path /etc/evenkeel $own ')' -prune -o ! -type d -cnewer "$done" -printf 'n\t%C@\t%p\n' 2>/dev/null); then
		echo b
		[ -z "$list" ] || say "$list"
	fi
	set +f
}
`

// texts is a filter behind files that adds the text of files, those of all ranks up to its argument: behind "T", a tab and the path come its lines, each behind two tabs. Those of a known form come first, then what
// everybody may read; at most 64 KiB of one and 1 MiB of all. What may hold a secret in a place that says nothing of it stays on the machine: certificates and keys,
// and what not everybody may read, itself or for its folder, unless it is of a form in which no secrets stand.
const texts = `texts() {
	have awk || { cat; return; }
	awk -v most="$1" -F '\t' '
	function text(path, line) {
		print "T\t" path
		while ((getline line < path) > 0) print "\t\t" line
		close(path)
	}
	function shut(path) {
		while (sub(/\/[^\/]*$/, "", path) && path != "") if (path in closed) return 1
		return 0
	}
	{ print }
	($1 == "d" || $1 == "u") && $2 !~ /[1357]$/ { closed[$6] }
	$1 == "f" && $5 > 0 && $5 <= 65536 {
		p = $6
		if (p ~ /^\/etc\/(ssh\/sshd_config(\.d\/[^\/]*\.conf)?|sysctl\.conf|sysctl\.d\/[^\/]*\.conf|fstab|hosts|crontab|cron\.d\/[^\/]*|apt\/sources\.list|apt\/sources\.list\.d\/[^\/]*|systemd\/.*\.(conf|service|socket|timer|mount|automount|target|path|slice|swap|network|netdev|link|nspawn))$/)
			rank = 1
		else if ($2 !~ /[4-7]$/ || shut(p) || p ~ /secret|passw|credential|token|psk|auth\.conf|\.(pem|crt|cer|der|gpg|asc|pub|bin|db|cache)$/ && p !~ /^\/etc\/(passwd|pam\.d\/.*)$/)
			next
		else if (p ~ /^\/etc\/(environment|locale\.conf|os-release|vconsole\.conf|default\/[^\/]*)$|\.(json|yaml|yml|toml|ini)$/)
			rank = 2
		else
			rank = 3
		if (rank > most) next
		want[rank, ++n[rank]] = p
		size[p] = $5
	}
	END {
		left = 1048576
		for (rank = 1; rank <= 3; rank++)
			for (i = 1; i <= n[rank]; i++) {
				p = want[rank, i]
				if (size[p] <= left) { left -= size[p]; text(p) }
			}
	}'
}
`

// quoted are words of sh.
func quoted(words []string) string {
	return "'" + strings.Join(words, "' '") + "'"
}
