// SPDX-License-Identifier: Apache-2.0

package facts

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// PinnedPath is where a site puts a root-owned copy of the collector, if its sudoers permit nothing else. It runs there as it is, whatever is sent along.
const PinnedPath = "/usr/local/sbin/evenkeel-facts"

// Script is the collector made of groups, and its SHA-256 in hex. It depends on nothing else. It is a program for /bin/sh; its input is one line.
func Script(groups []collectors.Group) (text, digest string) {
	var b strings.Builder
	b.WriteString(prologue)
	b.WriteString(collectors.Library)
	for _, g := range groups {
		b.WriteString("\n# " + g.Name + ": " + strings.ReplaceAll(g.About, "\n", " ") + "\nek_group_" + g.Name + "() {\n" + strings.TrimRight(g.Script, "\n") + "\n}\n")
	}
	b.WriteString("\nek_header\n")
	for _, g := range groups {
		b.WriteString("ek_run " + g.Name + "\n")
	}
	b.WriteString("echo end\nexit 0\n")
	text = b.String()
	sum := sha256.Sum256([]byte(text))
	return text, hex.EncodeToString(sum[:])
}

// prologue is sh of which every line runs on every machine, so it starts few programs: date, and of each section that is long sha256sum, and gzip where it travels.
//
// A group's output goes to a variable together with a last line that says how it ended; stderr goes to another one. The shell drops NUL on the way, which is how raw
// facts are defined. Lengths are of bytes, as LC_ALL is C.
const prologue = `#!/bin/sh
# Evenkeel's collector of facts. It only reads: it writes no file, and asks nobody but the machine it runs on.
#
# Its input is one line of words: z, if answers may come compressed; =NAME for each section that is wanted, all if there is none; and the first 16 digits of the
# SHA-256 of answers that need not be sent again. It prints a header, and for each section how many bytes follow, and those.
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin
LC_ALL=C
export PATH LC_ALL
unset LANGUAGE CDPATH ENV BASH_ENV GREP_OPTIONS POSIXLY_CORRECT BLOCK_SIZE BLOCKSIZE DF_BLOCK_SIZE LS_BLOCK_SIZE
ek_nl='
'
ek_self=-
case ${ek_input+x} in
'') # a copy on the machine
	IFS= read -r ek_input
	ek_self=$(sha256sum "$0" 2>/dev/null)
	ek_self=${ek_self%% *}
	;;
esac
root=
while read -r ek_key ek_real root ek_rest; do
	case $ek_key in Uid:) break ;; esac
	root=
done 2>/dev/null </proc/self/status
case ${root:=$(id -u)} in 0) root=1 ;; *) root=0 ;; esac
ek_put() { printf %s "$1"; }
[ -z "$KSH_VERSION" ] || ek_put() { print -rn -- "$1"; } # its printf may be a program
ek_header() {
	printf 'evenkeel-facts 1 %s %s %s\n' "$root" "$(date +%s.%N)" "${ek_self:--}"
	ek_sum= ek_gzip=
	case "$ek_input " in *[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]' '*) have sha256sum && ek_sum=1 ;; esac
	case "$ek_input " in 'z '*) have gzip && ek_gzip=1 ;; esac
}
ek_run() {
	case " $ek_input " in *" =$1 "*) ;; *' ='*) return ;; esac
	{ ek_raw=$(
		{ ek_err=$("ek_group_$1" 2>&1 >&3 3>&- </dev/null); } 3>&1
		ek_status=$?
		ek_err=${ek_err##*"$ek_nl"}
		case $ek_status in
		0) ek_put "${ek_nl}0" ;;
		9) ek_put "${ek_nl}1$ek_err" ;;
		*) ek_put "${ek_nl}1ended with status $ek_status${ek_err:+: $ek_err}" ;;
		esac
	); } 2>/dev/null # bash tells of NUL
	case $ek_raw in
	*"$ek_nl"0) ek_raw=${ek_raw%??} ;;
	*)
		ek_raw=${ek_raw##*"$ek_nl"1}
		printf 'section %s unknown %s -\n' "$1" "${#ek_raw}"
		ek_put "$ek_raw$ek_nl"
		return
		;;
	esac
	ek_digest=- ek_how=plain
	if [ "${#ek_raw}" -ge 1024 ]; then
		if [ "$ek_sum" ]; then
			ek_digest=$(ek_put "$ek_raw" | sha256sum)
			ek_digest=${ek_digest%% *}
			case " $ek_input " in *" ${ek_digest%????????????????????????????????????????????????} "*) ek_how=known ;; esac
		fi
		if [ "$ek_gzip" ] && [ $ek_how = plain ] && [ "${#ek_raw}" -ge 32768 ]; then ek_how=gzip; fi
	fi
	printf 'section %s %s %s %s\n' "$1" $ek_how "${#ek_raw}" "${ek_digest:--}"
	case $ek_how in
	plain) ek_put "$ek_raw$ek_nl" ;;
	gzip)
		ek_put "$ek_raw" | gzip -c -1
		echo
		;;
	esac
}
`

// small is the length below which a section travels always: to say that it is known would cost the machine two processes.
const small = 1024

// The command line on the machine: short and constant. What it runs comes by stdin: one line that the collector reads, then the collector. read takes a pipe byte by byte, so cat
// finds the rest (sh -s would not do: dash reads ahead). The collector always ends with 0 and sudo with 1 where it refuses, so one sudo both asks and runs. No backslash and no
// quote in it: any login shell passes it on.
const (
	evalLine  = `IFS= read -r ek_input; eval "$(cat)"`
	bootstrap = `u=; while read -r k r u x; do case $k in Uid:) break;; esac; u=; done 2>/dev/null </proc/self/status; ` +
		`if [ "${u:=$(id -u)}" != 0 ]; then for s in sudo doas; do if command -v $s >/dev/null 2>&1; then ` +
		`if [ -x ` + PinnedPath + ` ]; then $s -n ` + PinnedPath + `; [ $? = 1 ] || exit 0; fi; ` +
		`$s -n sh -c "$1"; [ $? = 1 ] || exit 0; fi; done; fi; eval "$1"`
)

// commandLine is what is run on a machine.
func commandLine() string {
	return "exec sh -c " + ssh.Quote(bootstrap) + " evenkeel-facts " + ssh.Quote(evalLine)
}

// inputLine is the collector's input. most of known are offered.
func inputLine(only []string, known []string) string {
	words := []string{"z"}
	for _, name := range only {
		words = append(words, "="+name)
	}
	for _, digest := range known {
		words = append(words, digest[:offered])
	}
	return strings.Join(words, " ") + "\n"
}

// offered is how many digits of a digest are told to a machine: each costs it a system call, and it cannot gain by a collision what it could not just claim.
const offered = 16

// Program is what a shell runs to answer with groups: `sh -c LINE` with input as its stdin. It is for whoever reaches a machine by another way than Collect; Answer reads what it
// prints. It does not try to become root.
func Program(groups []collectors.Group) (line string, input []byte) {
	text, _ := Script(groups)
	return evalLine, []byte(" \n" + text)
}

// Said is a section as a machine said it.
type Said struct {
	Raw     []byte
	Unknown string // why it could not be read; then Raw is empty
}

// Answer reads what the collector printed, by section. After an error what came before it is there.
func Answer(text []byte) (map[string]Said, error) {
	all := map[string]Said{}
	err := readFrames(bytes.NewReader(text), hearer{
		begun: func(header) {},
		long:  func() (func(), error) { return func() {}, nil },
		each: func(f frame) {
			if f.how == "unknown" {
				all[f.name] = Said{Unknown: cmp.Or(string(f.raw), "it does not say why")}
				return
			}
			all[f.name] = Said{Raw: bytes.Clone(f.raw)}
		},
	})
	return all, err
}
