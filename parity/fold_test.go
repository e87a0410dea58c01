// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/parity"
)

func TestFold(t *testing.T) {
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("web-%d", i+1))
	}
	for want, names := range map[string][]string{
		"":                         nil,
		"db":                       {"db"},
		"web-1":                    {"web-1", "web-1"},
		"web-[1,2]":                {"web-2", "web-1"},
		"web-[1-40,42]":            append(many, "web-42"),
		"alpha,db-[1-3],web-[1,3]": {"db-3", "web-3", "alpha", "db-1", "web-1", "db-2"},
		"node10,node[08,09]":       {"node08", "node09", "node10"},
		"r1-[1,2],r2-1":            {"r1-1", "r2-1", "r1-2"},
		"10.0.0.[1-3]":             {"10.0.0.1", "10.0.0.2", "10.0.0.3"},
		"x99999999999999999999999": {"x99999999999999999999999"},
	} {
		if got := parity.Fold(names); got != want {
			t.Errorf("%v: got %q, want %q", names, got, want)
		}
	}
}

// unfold is what a reader takes a folded text for.
func unfold(text string) []string {
	var out []string
	depth, start := 0, 0
	var groups []string
	for i, r := range text + "," {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == ',' && depth == 0:
			groups = append(groups, text[start:i])
			start = i + 1
		}
	}
	for _, g := range groups {
		stem, inside, found := strings.Cut(strings.TrimSuffix(g, "]"), "[")
		if !found {
			out = append(out, g)
			continue
		}
		for part := range strings.SplitSeq(inside, ",") {
			lo, hi, isRange := strings.Cut(part, "-")
			a, _ := strconv.Atoi(lo)
			b := a
			if isRange {
				b, _ = strconv.Atoi(hi)
			}
			for n := a; n <= b; n++ {
				out = append(out, fmt.Sprintf("%s%0*d", stem, len(lo), n))
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestFoldingLosesNoName(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		var names []string
		for range 1 + r.IntN(20) {
			names = append(names, fmt.Sprintf([]string{"web-%d", "db-%d", "n%02d", "plain%dx"}[r.IntN(4)], r.IntN(30)))
		}
		folded := parity.Fold(names)
		slices.Sort(names)
		names = slices.Compact(names)
		if got := unfold(folded); !slices.Equal(got, names) {
			t.Fatalf("seed %d: %q: got %v, want %v", seed, folded, got, names)
		}
	}
}
