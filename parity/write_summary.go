// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"fmt"
	"strings"
)

// Bounds of what one row may take in any report. The whole is in the snapshots.
const (
	keyBytes    = 300
	valueBytes  = 600
	noteBytes   = 2000
	diffBytes   = 64 << 10
	foldedBytes = 400
)

// summary is what a report comes to: what all writers say first.
type summary struct {
	findings   int
	severities []tally // worst first, none that is 0
	kinds      []tally
	tiers      []tally // in the order of columns, also those without a finding
	waived     int
	expected   int
	others     int // rows that neither count nor are waived or expected: what could not be judged
}

type tally struct {
	name string
	n    int
}

func severityOrder() []Severity { return []Severity{Security, Packages, Config, Info} }
func kindOrder() []Kind         { return []Kind{Skew, Drift, Stale, Inventory} }

func summarize(r *Report) summary {
	var s summary
	severities, kinds, tiers := map[string]int{}, map[string]int{}, map[string]int{}
	for i := range r.Rows {
		row := &r.Rows[i]
		switch {
		case row.Counts:
			s.findings++
			severities[string(row.Severity)]++
			kinds[string(row.Kind)]++
			for _, t := range rowTiers(r, row) {
				tiers[t]++
			}
		case row.Waiver != "":
			s.waived++
		case hasState(row, Expected):
			s.expected++
		default:
			s.others++
		}
	}
	for _, v := range severityOrder() {
		s.severities = appendTally(s.severities, severities, string(v))
	}
	for _, k := range kindOrder() {
		s.kinds = appendTally(s.kinds, kinds, string(k))
	}
	for _, t := range tierOrder(r) {
		s.tiers = append(s.tiers, tally{t, tiers[t]})
	}
	return s
}

func appendTally(to []tally, counts map[string]int, name string) []tally {
	if counts[name] > 0 {
		to = append(to, tally{name, counts[name]})
	}
	return to
}

// tierOrder is the tiers of r's columns, each once, then those that have no machine and are spoken of.
func tierOrder(r *Report) []string {
	var all []string
	seen := map[string]bool{}
	add := func(t string) {
		if !seen[t] {
			seen[t] = true
			all = append(all, t)
		}
	}
	for i := range r.Columns {
		add(r.Columns[i].Tier)
	}
	for i := range r.Rows {
		if t := r.Rows[i].Tier; t != "" {
			add(t)
		}
	}
	return all
}

// rowTiers is the tiers that a row is about: those where something is other than its reference, else where that is waived or expected, else
// where it could not be known.
func rowTiers(r *Report, row *Row) []string {
	if row.Tier != "" {
		return []string{row.Tier}
	}
	var certain, agreed, unsure, any []string
	for i, c := range row.Cells {
		if i >= len(r.Columns) {
			break
		}
		t := r.Columns[i].Tier
		switch c.State {
		case Different, Absent:
			certain = addOnce(certain, t)
		case Waived, Expected:
			agreed = addOnce(agreed, t)
		case Unknown, Unreachable:
			unsure = addOnce(unsure, t)
		}
		if c.State != "" {
			any = addOnce(any, t)
		}
	}
	switch {
	case len(certain) > 0:
		return certain
	case len(agreed) > 0:
		return agreed
	case len(unsure) > 0:
		return unsure
	}
	return any
}

// verdict is the three lines every report begins with: how it stands, where, and how much was looked at.
func (s summary) verdict(r *Report) [3]string {
	return [3]string{s.standing(r), s.where(r), s.checked(r)}
}

// clean tells whether the report may be shown in green: all was read and nothing counts.
func (s summary) clean(r *Report) bool {
	return s.findings == 0 && r.Complete()
}

func nothingCompared(r *Report) bool {
	return r.Checked.Machines <= r.Checked.Unreachable || r.Checked.Facts == 0
}

func (s summary) standing(r *Report) string {
	switch {
	case s.findings > 0:
		return fmt.Sprintf("NOT THE SAME: %s (%s)", counted(s.findings, "finding"), tallies(s.severities))
	case nothingCompared(r):
		return "NOTHING COMPARED: no facts of any machine were read, so nothing can be said"
	case !s.clean(r):
		return "INCOMPLETE: no difference was found, but not all could be read (" + unread(r) + ")"
	}
	return "THE SAME: no difference that counts"
}

func unread(r *Report) string {
	var parts []string
	if n := r.Checked.Unreachable; n > 0 {
		parts = append(parts, counted(n, "machine")+" unreachable")
	}
	if n := r.Checked.Unlisted; n > 0 {
		parts = append(parts, counted(n, "tier")+" could not be listed")
	}
	if n := r.Checked.Unknown; n > 0 {
		parts = append(parts, counted(n, "fact")+" unknown")
	}
	return strings.Join(parts, ", ")
}

func (s summary) where(r *Report) string {
	base := ""
	if r.Baseline != "" {
		base = "; compared with " + inertLine(r.Baseline, keyBytes)
	}
	if s.findings == 0 {
		var names []string
		for _, t := range s.tiers {
			names = append(names, inertLine(t.name, keyBytes))
		}
		if len(names) == 0 {
			return "No tier has machines" + base
		}
		return "Tiers: " + strings.Join(names, ", ") + base
	}
	var parts []string
	for _, t := range s.tiers {
		if t.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", inertLine(t.name, keyBytes), grouped(t.n)))
		}
	}
	return "Where: " + strings.Join(parts, ", ") + "; " + tallies(s.kinds) + base
}

func (s summary) checked(r *Report) string {
	c := r.Checked
	machines := counted(c.Machines, "machine")
	if c.Unreachable > 0 {
		machines = grouped(c.Machines-c.Unreachable) + " of " + machines
	}
	parts := []string{machines + " in " + counted(c.Tiers, "tier"), counted(c.Facts, "fact") + " compared"}
	if c.Unknown > 0 {
		parts = append(parts, grouped(c.Unknown)+" unknown")
	}
	if n := max(s.waived, c.Waived); n > 0 {
		parts = append(parts, grouped(n)+" waived")
	}
	if s.expected > 0 {
		parts = append(parts, grouped(s.expected)+" expected")
	}
	return "Checked: " + strings.Join(parts, ", ")
}

func tallies(all []tally) string {
	var parts []string
	for _, t := range all {
		parts = append(parts, grouped(t.n)+" "+t.name)
	}
	return strings.Join(parts, ", ")
}
