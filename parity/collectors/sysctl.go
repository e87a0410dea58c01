// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

const procSys = "/proc/sys/"

// sysctl reads the kernel's settings in force. Not looked into: fs/binfmt_misc, which would be mounted by the look; counters, random numbers, secrets and what is computed from the
// memory that was free at boot, which no two machines have alike (the volatile ones of docs/lanes.md; what files set of them is in sysctl_files); devices that come and go with a
// container or a virtual machine.
func sysctl() Group {
	return Group{
		Name: "sysctl", Lane: parity.Stable,
		About: "the kernel's settings in force, without counters and what is each machine's own",
		Script: `have find grep || unknown 'find and grep are needed'
[ -d /proc/sys/kernel ] || unknown 'there is no /proc/sys'
settings() {
	find /proc/sys \( -path '/proc/sys/fs/binfmt_misc' -o -path '/proc/sys/fs/quota' -o -path '/proc/sys/kernel/random' -o -path '/proc/sys/user' \
		-o -path '/proc/sys/net/ipv[46]/*/veth*' -o -path '/proc/sys/net/ipv[46]/*/vnet*' -o -path '/proc/sys/net/ipv[46]/*/tap*' -o -path '/proc/sys/net/ipv[46]/*/br-*' \
		-o -path '/proc/sys/net/ipv[46]/*/cali*' -o -path '/proc/sys/net/ipv[46]/*/lxc*' -o -path '/proc/sys/net/ipv[46]/*/fw[blp][nr]*' \) -prune \
		-o -type f ! -name 'dentry-state' ! -name 'file-nr' ! -name 'inode-nr' ! -name 'inode-state' ! -name 'aio-nr' ! -name 'file-max' ! -name 'max_user_watches' ! -name 'max_user_marks' \
		! -name 'ns_last_pid' ! -name 'hostname' ! -name 'osrelease' ! -path '/proc/sys/kernel/version' ! -name 'threads-max' ! -name 'cad_pid' ! -path '/proc/sys/kernel/pty/nr' \
		! -name 'perf_*rate' ! -name 'user_reserve_kbytes' ! -name 'netdev_rss_key' ! -name 'tcp_mem' ! -name 'udp_mem' ! -name 'tcp_fastopen_key' ! -name 'stable_secret' \
		! -name 'nf_conntrack_count' ! -path '/proc/sys/sunrpc/transports' ! -name 'stat_refresh' ! -name 'hung_task_detect_count' "$@" 2>/dev/null || :
}
if [ "$root" = 1 ]; then
	settings -perm -400 -exec grep -H '' '{}' +
else
	settings -perm -404 -exec grep -H '' '{}' +
	settings -perm -400 ! -perm -004 -exec printf '? %s\n' '{}' +
fi
`,
		Parse: parseSysctl,
	}
}

func parseSysctl(raw []byte) ([]parity.Item, error) {
	var p pile
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSuffix(line, "\n")
		if file, ok := strings.CutPrefix(line, "? "+procSys); ok {
			p.add(dotted(file), "").Unknown = "only root may read it"
			continue
		}
		file, value, ok := strings.Cut(line, ":")
		if file, under := strings.CutPrefix(file, procSys); ok && under {
			p.join(dotted(file), squeezed(value))
		}
	}
	if len(p.items) == 0 {
		return nil, fmt.Errorf("nothing below %s can be read", procSys)
	}
	return p.done("; ")
}

// dotted is a path below /proc/sys as sysctl names it: a dot between names, a slash where a name has a dot.
func dotted(file string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '/':
			return '.'
		case '.':
			return '/'
		}
		return r
	}, file)
}

// sysctlFiles reads what is set at boot. A file hides those of its name in the folders behind its own, also where it is empty or a link to /dev/null; all are read
// in the order of their names, and the last word counts: sysctl.d(5). /etc/sysctl.conf is not systemd's, but where a link leads to it; others read it last.
func sysctlFiles() Group {
	return Group{
		Name: "sysctl_files", Lane: parity.Stable,
		About: "what /etc/sysctl.conf and the files of sysctl.d set at boot",
		Script: `set --
seen=' '
for f in /etc/sysctl.d/*.conf /run/sysctl.d/*.conf /usr/local/lib/sysctl.d/*.conf /usr/lib/sysctl.d/*.conf /lib/sysctl.d/*.conf; do
	[ -e "$f" ] || [ -L "$f" ] || continue
	case $seen in *" ${f##*/} "*) continue ;; esac
	seen="$seen${f##*/} "
	[ ! -f "$f" ] || set -- "$@" "$f"
done
[ -d /run/systemd/system ] || [ -L /etc/sysctl.d/99-sysctl.conf ] || [ ! -f /etc/sysctl.conf ] || set -- "$@" /etc/sysctl.conf
[ $# -gt 0 ] || return 0
for f in "$@"; do [ -r "$f" ] || unknown "$f cannot be read"; done
grep -Hv '^[[:space:]]*\([#;].*\)\{0,1\}$' "$@" || [ $? = 1 ] || unknown 'grep cannot read them'
`,
		Parse: parseSysctlFiles,
	}
}

func parseSysctlFiles(raw []byte) ([]parity.Item, error) {
	type setting struct{ file, key, value string }
	var settings []setting
	for line := range strings.Lines(string(raw)) {
		file, text, ok := strings.Cut(line, ".conf:")
		text = strings.TrimSpace(text)
		if !ok || text == "" || text[0] == '#' || text[0] == ';' {
			continue
		}
		name := path.Base(file)
		if file == "/etc/sysctl" {
			name = "\xff" // behind all others
		}
		key, value, set := strings.Cut(text, "=")
		key = strings.TrimSpace(key)
		switch trimmed := strings.TrimPrefix(key, "-"); {
		case set:
			key = trimmed // a mistake in it is forgiven; it is set all the same
		case trimmed != key:
			key, value = "-"+normalized(trimmed), "left out of patterns"
		default:
			continue
		}
		if key = strings.TrimSpace(key); key != "" {
			settings = append(settings, setting{name, normalized(key), squeezed(value)})
		}
	}
	slices.SortStableFunc(settings, func(a, b setting) int { return strings.Compare(a.file, b.file) })
	last := map[string]string{}
	for _, s := range settings {
		last[s.key] = s.value
	}
	var p pile
	for key, value := range last {
		p.add(key, value)
	}
	return p.done(", ")
}

// normalized is a setting's name as dotted writes it: whichever of dot and slash comes first stands between names.
func normalized(key string) string {
	if strings.HasPrefix(key, "-") {
		return key
	}
	if i := strings.IndexAny(key, "./"); i < 0 || key[i] == '.' {
		return key
	}
	return dotted(key)
}
