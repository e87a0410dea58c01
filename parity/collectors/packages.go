// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/parity"
)

// rpmQuery is sh that asks rpm's database without changing it. Root's rpm writes the database's index anew just to read it (sqlite's -shm file; __db.* of older ones),
// so it is asked as nobody.
//
//	rpm_database       sets db to the folder of the database; ends with 1 where there is none. To ask rpm where there is none would make one.
//	rpm_query ARGS...  rpm -qa ARGS
const rpmQuery = `rpm_database() {
	for db in /usr/lib/sysimage/rpm /var/lib/rpm; do
		for f in rpmdb.sqlite Packages.db Packages; do [ ! -s $db/$f ] || return 0; done
	done
	return 1
}
rpm_query() {
	as=
	for c in /usr/sbin/chroot /usr/bin/chroot; do [ ! -x $c ] || as=$c; done
	if [ "$root" = 1 ]; then set -- $as --userspec=65534:65534 / /usr/bin/rpm --dbpath "$db" -qa "$@"; else set -- /usr/bin/rpm --dbpath "$db" -qa "$@"; fi
	[ "$root$as" != 1 ] && "$@" 2>/dev/null
}
`

// packages is what the system's package manager has.
func packages() Group {
	return Group{
		Name: "packages", Lane: parity.Stable,
		About: "installed packages with their versions: of dpkg, with what is not plainly installed; of rpm; of apk",
		Script: say + rpmQuery + `if [ -s /var/lib/dpkg/status ] && have dpkg-query; then
	echo dpkg
	dpkg-query -W -f '${db:Status-Abbrev}	${Package}	${Architecture}	${Version}\n' || unknown 'dpkg-query cannot read all of its database'
	[ ! -e /var/lib/evenkeel/seeded ] || find /var/lib/dpkg/info -maxdepth 1 -name '*.list' -newer /var/lib/evenkeel/seeded -printf 'since\t%T@\t%f\n' 2>/dev/null | sort
elif db=/lib/apk/db/installed && [ -r $db ] || db=/usr/lib/apk/db/installed && [ -r $db ]; then
	echo apk
	grep -E '^([PVAf]:|$)' $db
elif [ -x /usr/bin/rpm ] && rpm_database; then
	echo rpm
	list=$(rpm_query --qf '%{NAME}\t%{ARCH}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n') && [ -n "$list" ] || unknown 'rpm cannot read its database as nobody, and root writes to it when it reads'
	say "$list" | sort
else
	unknown 'the machine has no package manager that is known: dpkg, rpm, apk'
fi
`,
		Parse: parsePackages,
	}
}

var errNoPackages = errors.New("the machine's package manager lists no packages")

func parsePackages(raw []byte) ([]parity.Item, error) {
	manager, list, _ := strings.Cut(string(raw), "\n")
	var s itemSet
	switch manager {
	case "dpkg":
		parseDPKG(list, &s)
	case "rpm":
		parseRPM(list, &s)
	case "apk":
		parseAPK(list, &s)
	}
	if len(s.list) == 0 {
		return nil, errNoPackages
	}
	return s.list, nil
}

// parseDPKG reads db:Status-Abbrev (dpkg-query(1)): a letter each for what is wanted, for the state, and for an error. What only left its configuration is not
// installed, and is not told: old kernels leave dozens of such. When a package came is told of those that came after the machine was made; of all it would be another
// time on each machine.
func parseDPKG(list string, s *itemSet) {
	since := map[string]string{} // seconds, by the name of dpkg's list of the package's files
	for line := range strings.Lines(list) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) == 3 && f[0] == "since" {
			since[strings.TrimSuffix(f[2], ".list")] = f[1]
		}
		if len(f) != 4 || len(f[0]) < 2 || f[1] == "" {
			continue
		}
		want, state, fault := f[0][0], f[0][1], byte(' ')
		if len(f[0]) > 2 {
			fault = f[0][2]
		}
		if state == 'n' || state == 'c' {
			continue
		}
		value := f[3]
		for _, word := range []string{wantWord(want), stateWord(state)} {
			if word != "" {
				value += " " + word
			}
		}
		if fault != ' ' {
			value += " reinstall-required"
		}
		s.join(f[1]+":"+f[2], value)
	}
	for i := range s.list {
		name, _, _ := strings.Cut(s.list[i].Key, ":")
		if n, ok := seconds(cmp.Or(since[s.list[i].Key], since[name])); ok && n < 1e11 {
			s.list[i].Since = time.Unix(int64(n), 0).UTC().Format(time.RFC3339)
		}
	}
}

func wantWord(b byte) string {
	switch b {
	case 'i':
		return ""
	case 'h':
		return "hold"
	case 'r':
		return "to-be-removed"
	case 'p':
		return "to-be-purged"
	}
	return "not-wanted"
}

func stateWord(b byte) string {
	switch b {
	case 'i':
		return ""
	case 'H':
		return "half-installed"
	case 'U':
		return "unpacked"
	case 'F':
		return "half-configured"
	case 'W':
		return "triggers-awaited"
	case 't':
		return "triggers-pending"
	}
	return "state-" + string(b)
}

// parseRPM reads names, architectures and versions. An epoch of 0 is none. Kernels are there in several versions; what is called gpg-pubkey is no package but a key that is
// trusted, its id the version: each is an item of its own.
func parseRPM(list string, s *itemSet) {
	versions := map[string][]string{}
	var order []string
	for line := range strings.Lines(list) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 || f[0] == "" {
			continue
		}
		key, version := f[0]+":"+f[1], strings.TrimPrefix(strings.TrimPrefix(f[2], "0:"), "(none):")
		if f[0] == "gpg-pubkey" {
			id, made, _ := strings.Cut(version, "-")
			key, version = f[0]+"-"+id+":key", made
		}
		if versions[key] == nil {
			order = append(order, key)
		}
		versions[key] = append(versions[key], version)
	}
	for _, key := range order {
		list := versions[key]
		slices.SortFunc(list, func(a, b string) int {
			if order, ok := parity.CompareVersions(parity.RPM, a, b); ok && order != 0 {
				return order
			}
			return strings.Compare(a, b)
		})
		s.add(parity.Item{Key: key, Value: strings.Join(list, ", ")})
	}
}

// parseAPK reads records of apk's database (apk-installed(5)): P is the name, V the version, A the architecture, f what is broken. An empty line ends one.
func parseAPK(list string, s *itemSet) {
	var name, version, arch, broken string
	end := func() {
		if name != "" && version != "" {
			s.join(name+":"+arch, version+broken)
		}
		name, version, arch, broken = "", "", "", ""
	}
	for line := range strings.Lines(list) {
		field, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		switch field {
		case "P":
			name = text
		case "V":
			version = text
		case "A":
			arch = text
		case "f":
			if text != "" {
				broken = " broken"
			}
		case "":
			end()
		}
	}
	end()
}
