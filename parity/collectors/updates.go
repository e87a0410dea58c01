// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/parity"
)

// updates are security updates that the machine's own package lists know of. apt-get -s is not asked: as root it writes its cache anew where it is old, and takes long. dnf writes
// its logs and caches, whatever it is asked.
func updates() Group {
	return Group{
		Name: "updates", Lane: parity.Volatile,
		About: "pending security updates by the machine's own package lists, which are read as they are, and how old those are",
		Script: `[ -s /var/lib/dpkg/status ] || unknown 'only apt keeps lists that can be asked for security updates without writing'
have awk stat || unknown 'awk and stat are needed'
cd /var/lib/apt/lists 2>/dev/null || unknown 'there is no /var/lib/apt/lists that can be read'
stat -c 'time %Y' . partial ../periodic/update-success-stamp ../periodic/update-stamp 2>/dev/null
set --
for f in *_InRelease *_Release *_Packages *_Packages.*; do
	[ -r "$f" ] || continue
	case $f in *[!A-Za-z0-9._%+~:@,=-]*) echo "unread $f" && continue ;; esac # a shell would read the name; apt writes such letters as %xx
	set -- "$@" "$f"
done
[ $# -gt 0 ] || { echo nolists; exit 0; }
awk '
function field(line) { sub(/^[^:]*: */, "", line); return line }
function candidate() {
	if (name != "" && (at = name ":" arch) in has && has[at] != version) print "update " at " " has[at] " " version
	name = ""
}
BEGIN {
	while ((getline line < "/var/lib/dpkg/status") > 0) {
		if (line ~ /^Package:/) { name = field(line); ok = 0 }
		else if (line ~ /^Status:/) ok = line !~ /(config-files|not-installed)$/
		else if (line ~ /^Architecture:/) arch = field(line)
		else if (line ~ /^Version:/ && ok) has[name ":" arch] = field(line)
	}
	for (i = 1; i < ARGC; i++) {
		file = ARGV[i]
		if (file !~ /_(In)?Release$/) continue
		for (n = 0; n < 30 && (getline line < file) > 0; n++)
			if (line ~ /^(Suite|Codename): .*-security$/ || line ~ /^Label: .*[Ss]ecurity/) {
				sub(/_(In)?Release$/, "_", file)
				secure[file]
				break
			}
		close(ARGV[i])
	}
	for (i = 1; i < ARGC; i++) {
		file = ARGV[i]
		if (file ~ /Release$/) continue
		mine = 0
		for (prefix in secure) if (index(file, prefix) == 1) mine = 1
		if (!mine) continue
		print "list"
		name = ""
		packed = file !~ /_Packages$/
		command = "/usr/lib/apt/apt-helper cat-file ./" file " 2>/dev/null"
		while ((packed ? (command | getline line) : (getline line < file)) > 0) {
			if (line == "") candidate()
			else if (line ~ /^Package:/) name = field(line)
			else if (line ~ /^Architecture:/) arch = field(line)
			else if (line ~ /^Version:/) version = field(line)
		}
		candidate()
		if (close(packed ? command : file) != 0 && packed) print "unread " file
	}
}' "$@"
`,
		Parse: parseUpdates,
	}
}

func parseUpdates(raw []byte) ([]parity.Item, error) {
	var asked int64
	var s itemSet
	lists, none, unread := false, false, ""
	newest := map[string][2]string{} // by name: installed, candidate
	var order []string
	for word, rest := range tagged(raw) {
		switch word {
		case "time":
			if n, err := strconv.ParseInt(rest, 10, 40); err == nil {
				asked = max(asked, n)
			}
		case "nolists":
			none = true
		case "list":
			lists = true
		case "unread":
			unread = rest
		case "update":
			f := strings.Fields(rest)
			if len(f) != 3 {
				continue
			}
			if n, ok := parity.CompareVersions(parity.DPKG, f[2], f[1]); !ok || n <= 0 {
				continue
			}
			name, _, _ := strings.Cut(f[0], ":")
			had, known := newest[name]
			if !known {
				order = append(order, name)
			}
			if n, _ := parity.CompareVersions(parity.DPKG, f[2], had[1]); !known || n > 0 {
				newest[name] = [2]string{f[1], f[2]}
			}
		}
	}
	for _, name := range order {
		if name != "" && name != "lists_time" && name != "security" {
			s.add(parity.Item{Key: name, Value: newest[name][0] + " -> " + newest[name][1]})
		}
	}
	switch {
	case none || asked == 0:
		s.add(parity.Item{Key: "lists_time", Unknown: "the machine has no package lists"})
	default:
		s.add(parity.Item{Key: "lists_time", Value: time.Unix(asked, 0).UTC().Format(time.RFC3339)})
		switch {
		case unread != "":
			s.add(parity.Item{Key: "security", Unknown: "the package list " + unread + " cannot be read"})
		case !lists:
			s.add(parity.Item{Key: "security", Unknown: "none of the machine's package lists is of an archive of security updates"})
		}
	}
	return s.list, nil
}
