// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// fingerprint is stable between audits: it is of what a row is about, not of values, hosts, or where else it differs.
func fingerprint(row *Row) string {
	h := sha256.New()
	for _, part := range []string{string(row.Kind), row.Section, row.Key, row.Tier, row.Machines} {
		fmt.Fprintf(h, "%d %s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// fixOf is what to do about a row.
func (p *Policy) fixOf(row *Row, columns []*column) string {
	var machines []string
	tiers := map[string]bool{}
	tier := row.Tier
	for i, cell := range row.Cells {
		if cell.differs() {
			machines = append(machines, columns[i].Machines...)
			tiers[columns[i].Tier] = true
			if tier == "" {
				tier = columns[i].Tier
			}
		}
	}
	switch {
	case len(machines) == 0:
		return "nothing to do"
	case p.Undefined && len(tiers) == 1:
		return fmt.Sprintf("bring %s in %s into line, by what made them", Fold(machines), tier)
	case p.Undefined:
		return "bring what differs into line, by what made it; beside an env.yaml it can be said that it is meant"
	case len(tiers) == 1 && p.readOnly(tier):
		return fmt.Sprintf("bring %s in %s into line, by what made them; if it is meant, say it under tiers.%s of env.yaml, or waive it: `evenkeel audit --accept FILE`", Fold(machines), tier, tier)
	case row.Kind == Drift && strings.HasPrefix(row.Key, "/etc/evenkeel/"):
		return fmt.Sprintf("`evenkeel up --tier %s` lays it again", tier)
	case row.Kind == Drift:
		return rebuild(machines, tier) + ", or keep the change by saying it in the recipe"
	case row.Kind == Skew && len(tiers) == 1:
		return fmt.Sprintf("%s; if it is meant, say it under tiers.%s of env.yaml, or waive it: `evenkeel audit --accept FILE`", rebuild(machines, tier), tier)
	}
	if slices.ContainsFunc(slices.Collect(maps.Keys(tiers)), p.readOnly) {
		return "bring what differs into line; if it is meant, say it under tiers of env.yaml, or waive it: `evenkeel audit --accept FILE`"
	}
	return "rebuild what differs (`evenkeel rebuild NAME --tier TIER`); if it is meant, say it under tiers of env.yaml, or waive it: `evenkeel audit --accept FILE`"
}

// placeOf is where a row of one tier, or one that differs in one tier alone, is said to be otherwise: the tier's place in the definition. "": it is not known, or there are several.
func (p *Policy) placeOf(row *Row, columns []*column) (file string, line int) {
	tier := row.Tier
	for i, cell := range row.Cells {
		if row.Tier != "" || !cell.differs() {
			continue
		}
		if tier != "" && tier != columns[i].Tier {
			return "", 0
		}
		tier = columns[i].Tier
	}
	if t := p.tier(tier); t != nil && t.Line > 0 && p.File != "" {
		return p.File, t.Line
	}
	return "", 0
}

// rebuild is the command for few machines, and words for many.
func rebuild(machines []string, tier string) string {
	if len(machines) <= 4 {
		return fmt.Sprintf("`evenkeel rebuild %s --tier %s`", strings.Join(machines, " "), tier)
	}
	return fmt.Sprintf("rebuild %s in %s (`evenkeel rebuild`)", Fold(machines), tier)
}
