// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"fmt"
	"slices"
	"strings"
)

// Differs reports whether anything in r counts. Words of on choose what does: a kind (drift), or a severity, which stands for itself and all that is worse (config:
// security and packages too). One that matches is enough; none: all that counts.
func (r *Report) Differs(on []string) bool {
	return slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Counts && chosen(&row, on) })
}

func chosen(row *Row, on []string) bool {
	return len(on) == 0 || slices.ContainsFunc(on, func(word string) bool {
		return word == string(row.Kind) || slices.Contains(severityOrder(), Severity(word)) && rank(row.Severity) <= rank(Severity(word))
	})
}

// Complete reports whether all that was asked for was read: then a report without a finding says that there is none.
func (r *Report) Complete() bool {
	return !nothingCompared(r) && r.Checked.Unreachable == 0 && r.Checked.Unknown == 0 && r.Checked.Unlisted == 0
}

// Verdict is the first line of every form of r.
func (r *Report) Verdict() string { return summarize(r).standing(r) }

// Findings is how many rows count.
func (r *Report) Findings() int { return summarize(r).findings }

// DiffersWords are those that Differs knows.
func DiffersWords() []string {
	var all []string
	for _, k := range kindOrder() {
		all = append(all, string(k))
	}
	for _, s := range severityOrder() {
		all = append(all, string(s))
	}
	return all
}

// CheckDiffers is an error where a word is none of these.
func CheckDiffers(on []string) error {
	for _, word := range on {
		if all := DiffersWords(); !slices.Contains(all, word) {
			return fmt.Errorf("got %q; allowed are %s", word, strings.Join(all, ", "))
		}
	}
	return nil
}
