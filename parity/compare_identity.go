// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"crypto/sha256"
	"slices"
	"strings"
)

// identity is a value of which every machine should have its own.
type identity struct {
	section, key string
	value        digest
}

// addIdentities remembers who has which.
func (c *Comparison) addIdentities(id machineID, section string, items []*Item) {
	section = strings.TrimSuffix(section, OwnSuffix)
	for _, item := range items {
		k := identity{section, item.Key, sha256.Sum256([]byte(content(item.Value)))}
		c.identities[k] = append(c.identities[k], id)
	}
}

// content is the part of a file's value that says what is in it: two machines share a host key also where its mode differs.
func content(value string) string {
	_, after, found := strings.Cut(value, digestWord)
	if !found {
		return value
	}
	after, _, _ = strings.Cut(after, " ")
	return after
}

// emptyContent is the digest of an empty file, which is nobody's identity.
const emptyContent = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// identical are machines that share what must differ: copies of one another, or made from an image that holds keys.
func (c *Comparison) identical(columns []*column) []Row {
	at := map[machineID]int{}
	for _, col := range columns {
		for _, m := range col.members {
			at[m.id] = col.index
		}
	}
	type where struct{ section, key string }
	rows := map[where]*Row{}
	shared := map[where]map[int][]string{} // names by column
	for k, ids := range c.identities {
		if len(ids) < 2 || k.value == sha256.Sum256([]byte(emptyContent)) {
			continue
		}
		w := where{k.section, k.key}
		if rows[w] == nil {
			rows[w] = &Row{
				Kind: Inventory, Severity: Security, Section: "identity", Key: k.section + "/" + k.key, Cells: make([]Cell, len(columns)),
				Reference: "every machine has its own",
				Why:       "they are copies of one machine, or their image holds what should be made on first boot",
			}
			shared[w] = map[int][]string{}
		}
		for _, id := range ids {
			shared[w][at[id]] = append(shared[w][at[id]], id.name)
		}
	}
	var out []Row
	for w, row := range rows {
		for i, col := range columns {
			if col.Unreachable {
				row.Cells[i].State = Unreachable
				continue
			}
			row.Cells[i].State = Same
			if names := shared[w][i]; len(names) > 0 {
				row.Cells[i] = Cell{State: Different, Value: clipValue("shared: " + Fold(names))}
				row.Machines = joinKind(row.Machines, col.Kind)
			}
		}
		row.Fix = "make all but one of them anew; where they share it on purpose, waive it: `evenkeel audit --accept FILE`"
		if c.policy.Undefined {
			row.Fix = "make all but one of them anew"
		}
		out = append(out, *row)
	}
	return out
}

func joinKind(kinds, kind string) string {
	list := strings.FieldsFunc(kinds, func(r rune) bool { return r == ',' })
	if !slices.Contains(list, kind) {
		list = append(list, kind)
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}
