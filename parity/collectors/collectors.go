// SPDX-License-Identifier: Apache-2.0

// Package collectors holds what is read of a machine: one group a file, each a few lines of POSIX sh that only read, and the parser of what they print.
// Package facts makes one script of them and runs it; nothing here reaches a machine.
package collectors

import (
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// Group reads one section of facts.
//
// Script runs as the body of a shell function in a subshell, under dash, busybox's ash, bash and ksh alike, with LC_ALL=C, umask 077, stdin at its end, and PATH with the
// sbin folders. It must not write a file, make a socket, wait for anybody (but a few seconds for a machine that was just set up), or run a program that does; a program that could (nginx -T) is not run. It prints raw
// facts on stdout, sorted or not. It ends with 0 where it could read all, and by `unknown REASON` where it could not; any other status is unknown too,
// with the last line of stderr as the reason. What it prints is the whole truth: a group that has nothing to say prints nothing and ends with 0. The functions of Library
// are there for it, and $root is 1 where it runs as root, else 0.
//
// Parse reads what Script printed: bounded, but otherwise a stranger's word. It never panics, and its items have unique keys, in any order. An error makes the section
// unknown, as a whole; what is true of one item only is that item's Unknown. It is called by several goroutines at once. Secrets in values and bodies are masked after it.
//
// What machines in equal state print must be equal byte for byte: it travels and is parsed once for all of them. So what each machine has of its own (the identity and
// volatile lanes of docs/lanes.md: /etc/machine-id, host keys) is a group, and thus a section, beside the other: its name is the other's and "_own". Rules for lanes hold
// for both. Package facts/factstest runs a group in tests.
type Group struct {
	Name   string // the section: packages
	Lane   parity.Lane
	About  string // one line: what is read, for `env facts --print-collector` and the documentation
	Script string
	Parse  func(raw []byte) ([]parity.Item, error)
}

// Library is sh that stands before every group's script:
//
//	have CMD...     true where each can be run
//	unknown REASON  ends the group: it could not be read, and why
//	needs_root      ends the group where it does not run as root
const Library = `have() { for c in "$@"; do command -v "$c" >/dev/null 2>&1 || return 1; done; }
unknown() { printf '%s\n' "$*" >&2; exit 9; }
needs_root() { [ "$root" = 1 ] || unknown 'only root may read it, and sudo does not permit that here'; }
`

// All are the groups, sorted by name. Names are unique.
func All() []Group {
	all := []Group{
		archives(),
		authorities(),
		birth(),
		boot(),
		conffiles(),
		languages(),
		settled(),
		updates(),
		cmdline(),
		cron(),
		etc(),
		etcOwn(),
		firewall(),
		hostname(),
		keys(),
		locale(),
		modules(),
		mounts(),
		packages(),
		ports(),
		sshd(),
		sudoers(),
		synchronised(),
		sysctl(),
		sysctlFiles(),
		system(),
		timekeeping(),
		timers(),
		units(),
		userGroups(),
		users(),
	}
	slices.SortFunc(all, func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
	return all
}
