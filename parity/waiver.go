// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/evenkeel/evenkeel/envs"
)

// What a waiver is pinned to where the value cannot stand in the file as it is: it is not there, it is an empty text, or it has characters that YAML has not.
const (
	absentValue = "(absent)"
	emptyValue  = "(empty)"
	otherValue  = "(sha256:%x)"
)

// pinOf is the value of a waiver that covers a cell as it is, and no other.
func pinOf(cell Cell) string {
	switch {
	case cell.State == Absent:
		return absentValue
	case cell.Value == "":
		return emptyValue
	case strings.ContainsFunc(cell.Value, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }):
		return fmt.Sprintf(otherValue, sha256.Sum256([]byte(cell.Value)))
	}
	return cell.Value
}

// maxMatch is how long a waiver's match may be (envs: 1024 bytes), with a star behind it.
const maxMatch = 1023

// matchOf is the match of a waiver that covers a key and no other: what cannot stand in the file is any text there, and the pinned value tells the rest.
func matchOf(section, key string) string {
	text := section + "/" + strings.ReplaceAll(key, "*", `\*`)
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '*'
		}
		return r
	}, text)
	if len(text) > maxMatch {
		return strings.TrimRight(strings.ToValidUTF8(text[:maxMatch], ""), `\ `) + "*"
	}
	if trimmed := strings.TrimRight(text, " "); trimmed != text {
		return trimmed + "*"
	}
	return text
}

// waive covers findings with the policy's waivers. An expired one covers nothing; one that is about to end is announced, one that covers nothing pointed out. pinned are the rows of
// which something is covered only by waivers of its very value.
func (c *Comparison) waive(rows []Row, columns []*column, r *Report) (pinned []bool) {
	pinned = make([]bool, len(rows))
	used := make([]bool, len(c.policy.Waivers))
	ended := make([]bool, len(c.policy.Waivers))
	for i := range rows {
		row := &rows[i]
		if !row.Counts {
			continue
		}
		var about []int // the waivers that match the row
		for k := range c.policy.Waivers {
			if matches(c.policy.Waivers[k].Match, row.Section+"/"+row.Key) {
				about = append(about, k)
			}
		}
		for j := range row.Cells {
			cell := &row.Cells[j]
			if !cell.differs() {
				continue
			}
			was, open := *cell, false
			for _, k := range about {
				w := &c.policy.Waivers[k]
				if !covers(w, &was, columns[j]) {
					continue
				}
				used[k] = true
				if w.Until.Before(c.policy.At) {
					ended[k] = true
					continue
				}
				cell.State = Waived
				row.Waiver = cmp.Or(row.Waiver, w.ID)
				open = open || w.Value == ""
			}
			pinned[i] = pinned[i] || cell.State == Waived && !open
		}
		if row.Missing > 0 {
			c.waiveMissing(row, about, used, ended)
		}
		row.Counts = row.Missing > 0 && row.Waiver == "" || slices.ContainsFunc(row.Cells, Cell.differs)
	}
	for k, w := range c.policy.Waivers {
		day := w.Until.UTC().Format(time.DateOnly)
		use := WaiverUse{ID: w.ID, Owner: w.Owner, Until: w.Until, State: "used"}
		unused := !used[k] && c.looked(columns, &w)
		switch {
		case w.Until.Before(c.policy.At):
			use.State = "expired"
		case unused:
			use.State = "unused"
		case !used[k]:
			use.State = "unknown"
		}
		r.Waivers = append(r.Waivers, use)
		switch {
		case ended[k]:
			c.note("the waiver %s ended on %s: what it covered is a finding again (%s)", w.ID, day, w.Owner)
		case unused:
			c.note("the waiver %s covers nothing any more: remove it (%s)", w.ID, w.Owner)
		case used[k] && w.Until.Before(c.policy.At.Add(WaiverNotice)):
			c.note("the waiver %s ends on %s: what it covers is a finding then (%s)", w.ID, day, w.Owner)
		}
	}
	return pinned
}

// looked reports whether all that a waiver may cover was read: else it may be needed yet.
func (c *Comparison) looked(columns []*column, w *envs.Waiver) bool {
	section, _, _ := strings.Cut(w.Match, "/")
	if c.policy.Sections != nil && !slices.Contains(c.policy.Sections, section) {
		return false
	}
	asked := slices.ContainsFunc(columns, func(col *column) bool { return col.collects(section) })
	there := false
	for _, col := range columns {
		if w.Tier != "" && col.Tier != w.Tier {
			continue
		}
		there = true
		if col.Unreachable || asked && !col.collects(section) || col.views[section].mayHide(w.Match) {
			return false
		}
	}
	for _, t := range c.policy.Tiers {
		if t.Unlisted != "" && (w.Tier == "" || t.Name == w.Tier) {
			return false
		}
		there = there || t.Name == w.Tier
	}
	return there
}

// mayHide reports whether facts that a pattern means could not be read.
func (v *view) mayHide(pattern string) bool {
	return v != nil && (v.unknown != "" || slices.ContainsFunc(v.facts, func(f fact) bool { return f.unknown != "" && matches(pattern, v.name+"/"+f.key) }))
}

func (c *Comparison) waiveMissing(row *Row, about []int, used, ended []bool) {
	for _, k := range about {
		w := &c.policy.Waivers[k]
		if w.Tier != "" && w.Tier != row.Tier || w.Machines != "" && w.Machines != row.Machines || w.Value != "" && w.Value != row.Reference {
			continue
		}
		used[k] = true
		if w.Until.Before(c.policy.At) {
			ended[k] = true
		} else {
			row.Waiver = cmp.Or(row.Waiver, w.ID)
		}
	}
}

// covers reports whether w, which matches the row, is about a cell, its day aside.
func covers(w *envs.Waiver, cell *Cell, col *column) bool {
	if w.Tier != "" && w.Tier != col.Tier || w.Machines != "" && w.Machines != col.Kind {
		return false
	}
	return w.Value == "" || w.Value == cell.Value || w.Value == pinOf(*cell)
}

// Acceptance is who accepts today's findings, why, and until which day.
type Acceptance struct {
	Owner, Reason, ApprovedBy, Ref string
	Until                          time.Time
	// Tiers and Kinds are those of the definition, which a waiver may name; nil: any.
	Tiers, Kinds []string
}

// Accept writes waivers for all that counts in r, each pinned to its value and its tier, as a file for parity.waivers. What changes afterwards is a finding. Ages
// and names of machines change by themselves, so those are not pinned. What differs within a tier that the definition has not (a file's, that others were compared
// with) no waiver can cover.
func Accept(r *Report, a Acceptance) ([]byte, error) {
	switch {
	case strings.TrimSpace(a.Owner) == "" || strings.TrimSpace(a.Reason) == "":
		return nil, fmt.Errorf("cannot accept findings: a waiver has an owner and a reason")
	case !a.Until.After(r.At):
		return nil, fmt.Errorf("cannot accept findings until %s: that day is over", a.Until.UTC().Format(time.DateOnly))
	}
	type entry struct {
		ID         string `yaml:"id"`
		Match      string `yaml:"match"`
		Value      string `yaml:"value,omitempty"`
		Tier       string `yaml:"tier,omitempty"`
		Machines   string `yaml:"machines,omitempty"`
		Reason     string `yaml:"reason"`
		Owner      string `yaml:"owner"`
		ApprovedBy string `yaml:"approved_by,omitempty"`
		Ref        string `yaml:"ref,omitempty"`
		Until      string `yaml:"until"`
	}
	entries := []entry{}
	seen := map[entry]bool{}
	for _, row := range accepted(r) {
		add := func(tier, kind, value string) {
			if a.Tiers != nil && !slices.Contains(a.Tiers, tier) {
				return
			}
			if a.Kinds != nil && !slices.Contains(a.Kinds, kind) { // a cohort's name, or "unknown"
				kind = ""
			}
			e := entry{
				Match: matchOf(row.Section, row.Key), Value: value, Tier: tier, Machines: kind, Reason: a.Reason, Owner: a.Owner, ApprovedBy: a.ApprovedBy, Ref: a.Ref,
				Until: a.Until.UTC().Format(time.DateOnly),
			}
			if !seen[e] {
				seen[e] = true
				e.ID = fmt.Sprintf("%.8s-%d", row.Fingerprint, len(entries)+1)
				entries = append(entries, e)
			}
		}
		if row.Missing > 0 {
			add(row.Tier, row.Machines, row.Reference)
		}
		for j, cell := range row.Cells {
			if !cell.differs() {
				continue
			}
			value := pinOf(cell)
			if row.Kind == Stale || row.Section == "identity" || row.Section == "images" {
				value = ""
			}
			add(r.Columns[j].Tier, r.Columns[j].Kind, value)
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(strings.Compare(a.Match, b.Match), strings.Compare(a.Tier, b.Tier))
	})
	body, err := yaml.Marshal(map[string]any{"waivers": entries})
	if err != nil {
		return nil, fmt.Errorf("cannot write waivers: %w", err)
	}
	return append([]byte("# Differences accepted on "+r.At.Format(time.DateOnly)+". Each is pinned to its value; another value is a finding.\n"), body...), nil
}

// accepted are the rows that count, and of what they took in those that they do not say as a whole: each is pinned to its own value.
func accepted(r *Report) []*Row {
	var rows []*Row
	for i := range r.Rows {
		row := &r.Rows[i]
		if !row.Counts {
			continue
		}
		rows = append(rows, row)
		for j := range row.Also {
			if also := &row.Also[j]; also.Counts && !saidWhole(also) {
				rows = append(rows, also)
			}
		}
	}
	return rows
}
