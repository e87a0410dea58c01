// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"fmt"
	"slices"
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
		case slices.ContainsFunc(row.Cells, func(c Cell) bool { return c.State == Expected }):
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
	add := func(to []string, t string) []string {
		if len(to) > 0 && to[len(to)-1] == t || slices.Contains(to, t) {
			return to
		}
		return append(to, t)
	}
	for i, c := range row.Cells {
		if i >= len(r.Columns) {
			break
		}
		t := r.Columns[i].Tier
		switch c.State {
		case Different, Absent:
			certain = add(certain, t)
		case Waived, Expected:
			agreed = add(agreed, t)
		case Unknown, Unreachable:
			unsure = add(unsure, t)
		}
		if c.State != "" {
			any = add(any, t)
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
	return s.findings == 0 && !nothingCompared(r) && r.Checked.Unreachable == 0 && r.Checked.Unknown == 0
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

// block is rows about machines of one kind, with the columns that have something to say of them.
type block struct {
	machines string
	// sets are the columns as shown: each one of Report.Columns, or, in a block that was split, all that have equal cells in every row.
	sets  [][]int
	all   []int // every column that the kind's rows speak of
	rows  []*Row
	split bool
}

// blocks groups the rows that want keeps, by the kind of machines they are about; the kind with the worst row comes first.
func blocks(r *Report, want func(*Row) bool) []*block {
	var all []*block
	byKind := map[string]*block{}
	for i := range r.Rows {
		row := &r.Rows[i]
		if !want(row) {
			continue
		}
		b := byKind[row.Machines]
		if b == nil {
			b = &block{machines: row.Machines}
			byKind[row.Machines] = b
			all = append(all, b)
		}
		b.rows = append(b.rows, row)
	}
	for _, b := range all {
		for i := range r.Columns {
			if slices.ContainsFunc(b.rows, func(row *Row) bool { return cellAt(row, i).State != "" }) {
				b.all = append(b.all, i)
				b.sets = append(b.sets, []int{i})
			}
		}
	}
	return all
}

// parts is the block itself where it has at most limit columns. Else it is a block for each way in which rows divide the columns: forty
// variants that differ from the baseline in three ways are three small tables, not one that nobody can read. Machines that were not read
// are in none of them, since they would be in all.
func (b *block) parts(r *Report, limit int) []*block {
	if len(b.sets) <= limit {
		return []*block{b}
	}
	var all []*block
	byPattern := map[string]*block{}
	for _, row := range b.rows {
		var sets [][]int
		at := map[Cell]int{}
		var pattern strings.Builder
		for _, i := range b.all {
			c := cellAt(row, i)
			if c.State == "" || r.Columns[i].Unreachable {
				pattern.WriteString("-,")
				continue
			}
			n, seen := at[c]
			if !seen {
				n = len(sets)
				at[c] = n
				sets = append(sets, nil)
			}
			sets[n] = append(sets[n], i)
			fmt.Fprintf(&pattern, "%d%t,", n, c.State == Same)
		}
		p := byPattern[pattern.String()]
		if p == nil {
			p = &block{machines: b.machines, sets: sets, all: b.all, split: true}
			byPattern[pattern.String()] = p
			all = append(all, p)
		}
		p.rows = append(p.rows, row)
	}
	return all
}

// cell is what a row has in the block's nth set.
func (b *block) cell(row *Row, n int) Cell { return cellAt(row, b.sets[n][0]) }

// title names the block's machines and, in a block that was split, those in which they differ.
func (b *block) title(r *Report, times string) string {
	title := orWord(inertLine(b.machines, 120), "all machines")
	if !b.split {
		return title
	}
	var differ []int
	for n, set := range b.sets {
		if b.cell(b.rows[0], n).State != Same {
			differ = append(differ, set...)
		}
	}
	if len(differ) > 0 {
		title += ": " + setName(r, b.all, differ, times)
	}
	return title
}

// foldedIn names a set's machines in few words, by their tiers where they are of several.
func foldedIn(r *Report, set []int) string {
	by := map[string][]string{}
	var order []string
	for _, i := range set {
		c := &r.Columns[i]
		if by[c.Tier] == nil {
			order = append(order, c.Tier)
		}
		by[c.Tier] = append(by[c.Tier], c.Machines...)
	}
	var parts []string
	for _, tier := range order {
		text := Fold(by[tier])
		if len(order) > 1 {
			text = tier + " " + text
		}
		parts = append(parts, text)
	}
	return inertLine(strings.Join(parts, "; "), foldedBytes)
}

// setName names columns in few words: production A ×147, dev B-D ×9, all of staging ×52.
func setName(r *Report, among, set []int, times string) string {
	var parts []string
	for _, tier := range tierOrder(r) {
		var own []int // positions within the tier, of those that were read
		count, of := 0, 0
		first, last := "", ""
		var runs []string
		flush := func() {
			switch {
			case first == "":
			case first == last:
				runs = append(runs, first)
			default:
				runs = append(runs, first+"-"+last)
			}
			first, last = "", ""
		}
		for _, i := range among {
			c := &r.Columns[i]
			if c.Tier != tier || c.Unreachable {
				continue
			}
			of++
			if !slices.Contains(set, i) {
				flush()
				continue
			}
			own = append(own, i)
			count += columnCount(c)
			last = inertLine(c.Variant, 20)
			if first == "" {
				first = last
			}
		}
		flush()
		name := inertLine(tier, 80)
		switch {
		case len(own) == 0:
			continue
		case len(own) == of && of > 1:
			name = "all of " + name
		default:
			name = strings.TrimSpace(name + " " + strings.Join(runs, ","))
		}
		parts = append(parts, name+" "+times+grouped(count))
	}
	if len(parts) == 0 && len(set) == 1 { // machines that were not read
		return columnName(&r.Columns[set[0]], times)
	}
	return strings.Join(parts, ", ")
}

// head is what stands over a set.
func (b *block) head(r *Report, n int, times string) string {
	if !b.split {
		return columnName(&r.Columns[b.sets[n][0]], times)
	}
	if b.cell(b.rows[0], n).State == Same && len(b.sets) > 1 {
		count := 0
		for _, i := range b.sets[n] {
			count += columnCount(&r.Columns[i])
		}
		return "others " + times + grouped(count)
	}
	return setName(r, b.all, b.sets[n], times)
}

// cellAt is a row's cell of a column; rows of foreign origin may have fewer.
func cellAt(row *Row, column int) Cell {
	if column < len(row.Cells) {
		return row.Cells[column]
	}
	return Cell{}
}

// shouldBe is a row's reference where none of its cells shows it: a limit, what a machine lacks, the image's value.
func shouldBe(row *Row) string {
	for _, c := range row.Cells {
		if c.State == Same && c.Value == row.Reference {
			return ""
		}
	}
	return row.Reference
}

// sameAdvice tells rows for which the same is to be done, so that it is said once.
func sameAdvice(a, b *Row) bool {
	return a.Fix == b.Fix && a.Kind == b.Kind && a.Waiver == b.Waiver && a.Missing == 0 && b.Missing == 0 && shouldBe(a) == shouldBe(b)
}

// lacking tells a row whose reference does not have the key: its equal cells are of absence.
func lacking(row *Row) bool {
	return row.Reference == "" && (row.Kind == Skew || row.Kind == Drift) &&
		slices.ContainsFunc(row.Cells, func(c Cell) bool { return c.State != Same && c.Value != "" })
}

// cellText is a cell's value as shown: what is the same because nobody has it is said to be.
func cellText(row *Row, c Cell) string {
	if c.State == Same && c.Value == "" && lacking(row) {
		return "∅"
	}
	return inertLine(c.Value, valueBytes)
}

func isFinding(row *Row) bool { return row.Counts }

// columnName is how a column is called: production A ×487.
func columnName(c *Column, times string) string {
	name := inertLine(c.Tier, 80)
	if c.Variant != "" {
		name += " " + inertLine(c.Variant, 20)
	}
	return fmt.Sprintf("%s %s%s", name, times, grouped(columnCount(c)))
}

func orWord(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func columnCount(c *Column) int {
	if c.Count > 0 {
		return c.Count
	}
	return len(c.Machines)
}

// group is the columns of a row that have one and the same cell.
type group struct {
	cell    Cell
	columns []int
}

// groupCells gathers a row's equal cells, in the order of columns.
func groupCells(row *Row, columns []int) []group {
	var all []group
	at := map[Cell]int{}
	for _, i := range columns {
		c := cellAt(row, i)
		if c.State == "" {
			continue
		}
		n, ok := at[c]
		if !ok {
			n = len(all)
			at[c] = n
			all = append(all, group{cell: c})
		}
		all[n].columns = append(all[n].columns, i)
	}
	return all
}

// glyph is the sign of a cell's state; the forms of ascii are for terminals that show nothing else.
func glyph(c Cell, ascii bool) string {
	full, plain := "", ""
	switch c.State {
	case Same:
		full, plain = "=", "="
	case Different:
		switch {
		case c.Order > 0:
			full, plain = "▲", "^"
		case c.Order < 0:
			full, plain = "▼", "v"
		default:
			full, plain = "≠", "#"
		}
	case Absent:
		full, plain = "∅", "-"
	case Unknown:
		full, plain = "?", "?"
	case Expected:
		full, plain = "~", "~"
	case Waived:
		full, plain = "W", "W"
	case Unreachable:
		full, plain = "!", "!"
	}
	if ascii {
		return plain
	}
	return full
}

// diffClass is what a line of a unified difference is: ins, del, at (its headings), or "".
func diffClass(line string) string {
	switch {
	case strings.HasPrefix(line, "@@"), strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "):
		return "at"
	case strings.HasPrefix(line, "+"):
		return "ins"
	case strings.HasPrefix(line, "-"):
		return "del"
	}
	return ""
}

// glyphWords says in words what a cell's glyph says.
func glyphWords(c Cell) string {
	switch {
	case c.State == Different && c.Order > 0:
		return "newer"
	case c.State == Different && c.Order < 0:
		return "older"
	}
	return string(c.State)
}
