// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/envs"
)

// Kept reports, for points in time in any order (of equal ones the last counts as the newest), which of them keep lets live: of each kind the newest of every one of the last N hours, days, ISO
// weeks or months (UTC) that have any. Kinds are counted independently, so naming one more kind never drops another's. The newest of all is
// always kept. What is kept is kept again, as long as nothing newer comes.
func Kept(times []time.Time, keep envs.Keep) []bool {
	kept := make([]bool, len(times))
	order := indexes(times)
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(times[b].Compare(times[a]), cmp.Compare(b, a)) })
	for _, kind := range []struct {
		n      int
		period func(time.Time) string
	}{
		{keep.Hourly, func(t time.Time) string { return t.Format("2006-01-02 15") }},
		{keep.Daily, func(t time.Time) string { return t.Format(time.DateOnly) }},
		{keep.Weekly, func(t time.Time) string { year, week := t.ISOWeek(); return fmt.Sprintf("%d week %d", year, week) }},
		{keep.Monthly, func(t time.Time) string { return t.Format("2006-01") }},
	} {
		last, n := "", 0
		for _, i := range order {
			period := kind.period(times[i].UTC())
			if period == last || n >= kind.n {
				continue
			}
			last, n = period, n+1
			kept[i] = true
		}
	}
	if len(order) > 0 {
		kept[order[0]] = true
	}
	return kept
}
