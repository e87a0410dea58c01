// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// inOrder is a function of awk that prints the texts in list[1..n] sorted, so that equal machines print alike.
const inOrder = `function in_order(list, n,   i, j, text) {
	for (i = 2; i <= n && n < 3000; i++) {
		text = list[i]
		for (j = i - 1; j > 0 && list[j] > text; j--) list[j + 1] = list[j]
		list[j + 1] = text
	}
	for (i = 1; i <= n; i++) if (list[i] != list[i - 1]) print list[i]
}
`

// ports reads /proc and not ss, which makes the kernel load modules that answer it. A socket is its oldest holder's: systemd keeps those that it hands on, and a daemon those of its children.
func ports() Group {
	return Group{
		Name: "ports", Lane: parity.Stable,
		About: "ports that wait for connections or packets, and the program and unit behind each",
		Script: `have awk ls || unknown 'awk and ls are needed'
[ -r /proc/net/tcp ] || unknown '/proc/net/tcp cannot be read'
all=0
while read -r word caps; do
	case $word$caps in CapEff:*[89abcdefABCDEF]????) all=1 ;; esac
done </proc/self/status
while read -r low high; do echo "range $low $high"; done 2>/dev/null </proc/sys/net/ipv4/ip_local_port_range
ls -ln /proc/[0-9]*/fd 2>/dev/null | awk -v all="$all" '
` + inOrder + `
function scope(hex) {
	if (hex ~ /^0+$/) return "any"
	if (substr(hex, 1, 24) == "0000000000000000FFFF0000") return scope(substr(hex, 25))
	if (length(hex) == 8 && substr(hex, 7) == "7F") return "loopback"
	if (hex == "00000000000000000000000001000000") return "loopback"
	return "address"
}
BEGIN {
	m = split("tcp tcp6 udp udp6", names, " ")
	for (i = 1; i <= m; i++) {
		file = "/proc/net/" names[i]
		while ((getline line <file) > 0) {
			split(line, word, " ")
			proto = substr(names[i], 1, 3)
			if (word[4] != (proto == "tcp" ? "0A" : "07")) continue
			split(word[2], address, ":")
			text = proto " " scope(address[1]) " " address[2]
			if (word[10] + 0 == 0) list[++n] = text " - kernel"
			else waits[word[10]] = text
		}
		close(file)
	}
}
/^\/proc\// { listed = 1; pid = $1; gsub(/[^0-9]/, "", pid); next }
/ -> socket:\[/ {
	inode = $NF
	gsub(/[^0-9]/, "", inode)
	if (inode in waits && (!(inode in owner) || pid + 0 < owner[inode] + 0)) owner[inode] = pid
}
END {
	for (inode in waits) {
		unit = "-"
		comm = (all && listed ? "kernel" : "?") # more processes than an argument list holds are not listed
		if (inode in owner) {
			comm = "?"
			file = "/proc/" owner[inode] "/comm"
			if ((getline line <file) > 0) comm = line
			close(file)
			file = "/proc/" owner[inode] "/cgroup"
			while ((getline line <file) > 0) if (line ~ /^(0::|[0-9]+:name=systemd:).*\.service$/) { unit = line; sub(/.*\//, "", unit); gsub(/ /, "_", unit) }
			close(file)
		}
		list[++n] = waits[inode] " " unit " " comm
	}
	in_order(list, n)
}'
`,
		Parse: parsePorts,
	}
}

func parsePorts(raw []byte) ([]parity.Item, error) {
	low, high := uint64(32768), uint64(60999)
	holders := map[string][]string{}
	for word, rest := range tagged(raw) {
		f := strings.SplitN(rest, " ", 4)
		switch {
		case word == "range" && len(f) == 2:
			a, errA := strconv.ParseUint(f[0], 10, 16)
			b, errB := strconv.ParseUint(strings.TrimSpace(f[1]), 10, 16)
			if errA == nil && errB == nil {
				low, high = a, b
			}
		case (word == "tcp" || word == "udp") && len(f) == 4:
			port, err := strconv.ParseUint(f[1], 16, 16)
			if err != nil {
				return nil, fmt.Errorf("cannot read the port %q", f[1])
			}
			unit, comm := f[2], f[3]
			key := fmt.Sprintf("%s/%s/%d", word, f[0], port)
			// Clients, remote procedure calls, and what sshd forwards for a session that is open now.
			picked := port >= low && port <= high && (word == "udp" || comm == "kernel" || strings.HasPrefix(comm, "rpc."))
			if picked || f[0] == "loopback" && unit == "-" && strings.HasPrefix(comm, "sshd") {
				key += "-ephemeral"
			}
			holder := comm
			if unit != "-" {
				holder += " (" + unit + ")"
			}
			holders[key] = append(holders[key], holder)
		}
		if len(holders) > maxPile {
			return nil, fmt.Errorf("cannot read more than %d ports", maxPile)
		}
	}
	var p pile
	for key, list := range holders {
		slices.Sort(list)
		list = slices.Compact(list)
		known := slices.DeleteFunc(slices.Clone(list), func(holder string) bool { return holder == "?" })
		item := p.add(key, strings.Join(known, ", "))
		if len(known) < len(list) {
			item.Unknown = "only root may see which program it is"
		}
	}
	return p.done(", ")
}
