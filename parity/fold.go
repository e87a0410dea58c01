// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fold is names in few words: "web-[1-40,42]", several groups joined by ",". Every name is in it once; the order of names does not matter. Numbers with
// leading zeros keep them and fold with their like only.
func Fold(names []string) string {
	type group struct {
		stem  string
		width int // of numbers with leading zeros; 0 without
	}
	numbers := map[group][]int{}
	var order []group
	var plain []string
	for _, name := range names {
		stem, number := splitNumber(name)
		n, err := strconv.Atoi(number)
		if err != nil {
			plain = append(plain, name)
			continue
		}
		g := group{stem: stem}
		if len(number) > 1 && number[0] == '0' {
			g.width = len(number)
		}
		if numbers[g] == nil {
			order = append(order, g)
		}
		numbers[g] = append(numbers[g], n)
	}
	slices.Sort(plain)
	folded := slices.Compact(plain)
	slices.SortFunc(order, func(a, b group) int { return cmp.Or(strings.Compare(a.stem, b.stem), cmp.Compare(a.width, b.width)) })
	for _, g := range order {
		list := numbers[g]
		slices.Sort(list)
		list = slices.Compact(list)
		if len(list) == 1 {
			folded = append(folded, fmt.Sprintf("%s%0*d", g.stem, g.width, list[0]))
			continue
		}
		folded = append(folded, g.stem+"["+ranges(list, g.width)+"]")
	}
	return strings.Join(folded, ",")
}

// splitNumber takes off the digits that name ends in.
func splitNumber(name string) (stem, number string) {
	stem = strings.TrimRight(name, "0123456789")
	return stem, name[len(stem):]
}

// ranges is a sorted list without duplicates as "1-40,42".
func ranges(list []int, width int) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		switch {
		case i == j:
			parts = append(parts, fmt.Sprintf("%0*d", width, list[i]))
		case i+1 == j:
			parts = append(parts, fmt.Sprintf("%0*d,%0*d", width, list[i], width, list[j]))
		default:
			parts = append(parts, fmt.Sprintf("%0*d-%0*d", width, list[i], width, list[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}
