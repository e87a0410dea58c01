// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"path"
	"slices"
	"strings"
)

// lens reads a file's text as what it means to the program that reads it: comments, blank lines and spacing are gone, and so is order where it does not
// matter. A lens may call two texts different that mean the same; it never calls two the same that do not.
type lens struct {
	name string
	// read is false where the text has not the form.
	read func(text string) ([]pair, bool)
	// ordered: the order of pairs means something.
	ordered bool
}

// pair is one statement of a file.
type pair struct{ key, value string }

// maxText is the most of a file that is read by meaning, in bytes.
const maxText = 256 << 10

// lensOf is the lens for a file below /etc, the zero lens where its form is not known.
func lensOf(name string) lens {
	base, dir, ext := path.Base(name), path.Dir(name), path.Ext(name)
	switch {
	case name == "/etc/ssh/sshd_config" || dir == "/etc/ssh/sshd_config.d" && ext == ".conf":
		return lens{"sshd_config", readSSHD, true}
	case name == "/etc/sysctl.conf" || dir == "/etc/sysctl.d" && ext == ".conf":
		return lens{"sysctl", readSysctl, true}
	case name == "/etc/fstab":
		return lens{"fstab", readFstab, true}
	case name == "/etc/hosts":
		return lens{"hosts", readHosts, true}
	case name == "/etc/crontab" || dir == "/etc/cron.d":
		return lens{"cron", readCron, true}
	case name == "/etc/apt/sources.list" || dir == "/etc/apt/sources.list.d" && ext == ".list":
		return lens{"apt", readAptList, false}
	case dir == "/etc/apt/sources.list.d" && ext == ".sources":
		return lens{"apt", readAptSources, false}
	case strings.HasPrefix(name, "/etc/systemd/") && (ext == ".conf" || unitForm(ext)):
		return lens{"systemd", readUnit, true}
	case dir == "/etc/default" || slices.Contains([]string{"environment", "locale.conf", "os-release", "vconsole.conf"}, base) && dir == "/etc":
		return lens{"key=value", readKeyValue, true}
	case ext == ".json":
		return lens{"JSON", readJSON, false}
	case ext == ".yaml" || ext == ".yml":
		return lens{"YAML", readYAML, false}
	case ext == ".toml":
		return lens{"TOML", readTOML, false}
	case ext == ".ini":
		return lens{"ini", readINI, true}
	}
	return lens{}
}

func unitForm(ext string) bool {
	return slices.Contains([]string{".service", ".socket", ".timer", ".mount", ".automount", ".target", ".path", ".slice", ".swap", ".network", ".netdev", ".link", ".nspawn"}, ext)
}

// meaning is the statements of text in their one order; false where it is too long or not of the form.
func (l lens) meaning(text string) ([]pair, bool) {
	if l.read == nil || len(text) > maxText || strings.ContainsRune(text, 0) {
		return nil, false
	}
	pairs, ok := l.read(text)
	if ok && !l.ordered {
		slices.SortStableFunc(pairs, func(a, b pair) int {
			if c := strings.Compare(a.key, b.key); c != 0 {
				return c
			}
			return strings.Compare(a.value, b.value)
		})
	}
	return pairs, ok
}

// linesOf are the lines of a text without what ends them.
func linesOf(text string) []string {
	return strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
}

// blank is what programs that read lines take for space.
const blank = " \t"

// plainLines are lines trimmed, without those that are empty or begin with one of the comment's characters.
func plainLines(text, comment string) []string {
	var lines []string
	for _, line := range linesOf(text) {
		line = strings.Trim(line, blank)
		if line != "" && !strings.ContainsRune(comment, rune(line[0])) {
			lines = append(lines, line)
		}
	}
	return lines
}

// words splits at blanks.
func words(line string) []string {
	return strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
}
