// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/parity"
)

// users are the accounts that the machine itself has; those of a directory service are not asked for, since that could wait for a network.
func users() Group {
	return Group{
		Name: "users", Lane: parity.Stable,
		About: "accounts in /etc/passwd: ids, home, shell, and whether a password lets in; the hash itself stays on the machine",
		// The second field of either file may be a hash: it is named by its kind here and printed nowhere.
		Script: `[ -r /etc/passwd ] || unknown '/etc/passwd cannot be read'
kind() { case $1 in '') kind=none ;; x) kind=shadow ;; '!'* | '*'*) kind=locked ;; *) kind=set ;; esac; }
while IFS=: read -r name hash uid gid about home shell || [ -n "$name" ]; do
	case $name in '' | '#'*) continue ;; esac
	kind "$hash"
	printf 'user %s:%s:%s:%s:%s:%s\n' "$name" "$kind" "$uid" "$gid" "$home" "$shell"
done </etc/passwd
[ "$root" = 1 ] || return 0
[ -e /etc/shadow ] || { echo shadowless; return 0; }
while IFS=: read -r name hash changed least most warn grace expires rest || [ -n "$name" ]; do
	kind "$hash"
	[ "$kind" != shadow ] || kind=locked
	[ "$changed" = 0 ] || changed=
	printf 'login %s:%s:%s:%s:%s\n' "$name" "$kind" "$changed" "$most" "$expires"
done </etc/shadow
`,
		Parse: parseUsers,
	}
}

func parseUsers(raw []byte) ([]parity.Item, error) {
	logins := map[string]string{} // the first counts, as it does for the C library
	shadow := false
	for word, rest := range tagged(raw) {
		switch name, fields, _ := strings.Cut(rest, ":"); word {
		case "login":
			shadow = true
			if _, known := logins[name]; !known {
				logins[name] = loginOf(fields)
			}
		case "shadowless":
			shadow = true
		}
	}
	var p pile
	for word, rest := range tagged(raw) {
		if word != "user" {
			continue
		}
		f := strings.SplitN(rest, ":", 6)
		if len(f) != 6 {
			return nil, fmt.Errorf("cannot read the account %q", rest)
		}
		value := fmt.Sprintf("uid=%s gid=%s home=%s shell=%s", f[2], f[3], f[4], f[5])
		login, known := logins[f[0]]
		switch {
		case f[1] != "shadow":
			login = f[1]
		case !shadow:
			p.add(f[0], value).Unknown = "only root may read whether a password lets in"
			continue
		case !known:
			login = "locked" // a password that is nowhere
		}
		p.add(f[0], value+" login="+login)
	}
	return p.done(", ")
}

// loginOf is what the kind of a password, "0" where it was to be changed at once, its longest life and the account's end (days since 1970) come to.
func loginOf(fields string) string {
	f := append(strings.Split(fields, ":"), "", "", "", "")
	text := f[0]
	if f[1] == "0" {
		text += " must-change"
	}
	if f[2] != "" && f[2] != "99999" {
		text += " max-days=" + f[2]
	}
	if days, err := strconv.Atoi(f[3]); err == nil && days >= 0 && days < 1e6 {
		text += " until=" + time.Unix(0, 0).UTC().AddDate(0, 0, days).Format(time.DateOnly)
	}
	return text
}

func userGroups() Group {
	return Group{
		Name: "groups", Lane: parity.Stable,
		About: "groups in /etc/group: id and members",
		Script: `[ -r /etc/group ] || unknown '/etc/group cannot be read'
while IFS=: read -r name hash gid members || [ -n "$name" ]; do
	case $name in '' | '#'*) continue ;; esac
	printf 'group %s:%s:%s\n' "$name" "$gid" "$members"
done </etc/group
`,
		Parse: parseGroups,
	}
}

func parseGroups(raw []byte) ([]parity.Item, error) {
	var p pile
	for word, rest := range tagged(raw) {
		if word != "group" {
			continue
		}
		f := strings.SplitN(rest, ":", 3)
		if len(f) != 3 {
			return nil, fmt.Errorf("cannot read the group %q", rest)
		}
		members := strings.FieldsFunc(f[2], func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(members)
		value := "gid=" + f[1]
		if len(members) > 0 {
			value += " members=" + strings.Join(slices.Compact(members), ",")
		}
		p.add(f[0], value)
	}
	return p.done(", ")
}
