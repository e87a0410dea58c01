// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/envs"
)

// sizeOf is the value of LabelSize. What does not fit into a label is left out, last disks first.
func sizeOf(s Spec) string {
	words := []string{fmt.Sprintf("cpus=%d", s.CPUs), "memory=" + compact(s.Memory), "disk=" + compact(s.Disk)}
	for _, d := range s.Data {
		words = append(words, "data/"+d.Name+"="+compact(d.Size))
	}
	for len(strings.Join(words, " ")) > maxLabel {
		words = words[:len(words)-1]
	}
	return strings.Join(words, " ")
}

// compact writes n bytes with the largest unit that loses nothing: 4G.
func compact(n int64) string {
	unit := ""
	for _, u := range []string{"K", "M", "G", "T"} {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, unit = n/1024, u
	}
	return strconv.FormatInt(n, 10) + unit
}

// bytesOf reads what compact wrote.
func bytesOf(text string) (int64, bool) {
	digits := strings.TrimRight(text, "KMGT")
	n, err := strconv.ParseInt(digits, 10, 64)
	shift := map[string]int{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
	bits, known := shift[text[len(digits):]]
	if err != nil || !known || n < 0 || n > (1<<62)>>bits {
		return 0, false
	}
	return n << bits, true
}

// differences are, for people, what of m is not as the machine that has its role was made: "memory: 512 MiB to 1 GiB".
func (c *Core) differences(m envs.Machine, there Machine) []string {
	var said []string
	if was := there.Labels[LabelImageKey]; was != m.ImageKey {
		said = append(said, fmt.Sprintf("image: %.12s to %.12s", was, m.ImageKey))
	}
	was, is := words(there.Labels[LabelSize]), words(sizeOf(c.spec(m)))
	if len(was) > 0 {
		for _, what := range sortedKeys(is) {
			if _, ok := was[what]; !ok && strings.HasPrefix(what, "data/") {
				said = append(said, fmt.Sprintf("%s: new, %s", label(what), amount(what, is[what])))
			} else if was[what] != is[what] {
				said = append(said, fmt.Sprintf("%s: %s to %s", label(what), amount(what, was[what]), amount(what, is[what])))
			}
		}
		for _, what := range sortedKeys(was) {
			if _, ok := is[what]; !ok && strings.HasPrefix(what, "data/") {
				said = append(said, fmt.Sprintf("%s: not in the definition any more; the disk stays", label(what)))
			}
		}
	}
	if len(said) == 0 {
		said = []string{"cpus, memory, disk or data disks differ from what it was made with"}
	}
	return said
}

func words(text string) map[string]string {
	m := map[string]string{}
	for _, w := range strings.Fields(text) {
		if k, v, ok := strings.Cut(w, "="); ok {
			m[k] = v
		}
	}
	return m
}

func label(what string) string { return strings.Replace(what, "data/", "data ", 1) }

// amount is a value of LabelSize for people.
func amount(what, value string) string {
	n, ok := bytesOf(value)
	switch {
	case what == "cpus" || !ok:
		return value
	case n == 0:
		return "0"
	}
	for _, u := range []struct {
		name string
		bits int
	}{{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}} {
		if n%(1<<u.bits) == 0 {
			return fmt.Sprintf("%d %s", n>>u.bits, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
