// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
)

func TestKeptIsTheNewestOfEachPeriod(t *testing.T) {
	at := func(text string) time.Time {
		v, err := time.Parse("2006-01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	cases := []struct {
		name  string
		keep  envs.Keep
		times []string
		want  []bool
	}{
		{"none", envs.Keep{Daily: 3}, nil, []bool{}},
		{"nothing to keep but the newest", envs.Keep{}, []string{"2026-01-01 10:00", "2026-01-01 11:00"}, []bool{false, true}},
		{"hours count only where they have one", envs.Keep{Hourly: 2}, []string{"2026-01-01 10:00", "2026-01-01 10:59", "2026-01-03 09:00"}, []bool{false, true, true}},
		{"days across a change of year", envs.Keep{Daily: 2}, []string{"2025-12-31 23:59", "2025-12-31 01:00", "2026-01-01 00:00"}, []bool{true, false, true}},
		{"an ISO week may begin in the old year", envs.Keep{Weekly: 1}, []string{"2024-12-30 00:00", "2025-01-05 23:00"}, []bool{false, true}},
		{"a Sunday ends the week", envs.Keep{Weekly: 2}, []string{"2024-12-29 23:00", "2025-01-05 23:00"}, []bool{true, true}},
		{"a year apart is another month and week", envs.Keep{Weekly: 2, Monthly: 2}, []string{"2025-01-06 00:00", "2026-01-05 00:00"}, []bool{true, true}},
		{"kinds apart", envs.Keep{Hourly: 1, Monthly: 2}, []string{"2025-11-30 08:00", "2025-12-01 08:00", "2025-12-01 09:00"}, []bool{true, false, true}},
	}
	for _, test := range cases {
		var times []time.Time
		for _, text := range test.times {
			times = append(times, at(text))
		}
		if got := providers.Kept(times, test.keep); !cmp.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

// periods names, apart from the code under test, the hours, days, weeks and months since a Monday long ago.
func periods(at time.Time) [4]int {
	monday := time.Date(2018, 1, 1, 0, 0, 0, 0, time.UTC)
	hours := int(at.Sub(monday) / time.Hour)
	return [4]int{hours, hours / 24, hours / (24 * 7), at.Year()*12 + int(at.Month())}
}

func TestKeepingOverYears(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		keep := envs.Keep{Hourly: rnd.IntN(30), Daily: rnd.IntN(12), Weekly: rnd.IntN(8), Monthly: rnd.IntN(20)}
		now := time.Date(2019+rnd.IntN(5), time.Month(1+rnd.IntN(12)), 1+rnd.IntN(28), rnd.IntN(24), rnd.IntN(60), 0, 0, time.UTC)
		var all []time.Time
		for end := now.AddDate(3, 0, 0); now.Before(end) && len(all) < 4000; {
			all = append(all, now)
			now = now.Add(time.Duration(1+rnd.IntN([]int{40, 400, 4000, 40000}[rnd.IntN(4)])) * time.Minute)
		}
		shuffled := slices.Clone(all)
		rnd.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		kept := those(shuffled, keep)
		what := fmt.Sprintf("seed %d, %d times, keep %+v", seed, len(all), keep)

		if !slices.ContainsFunc(kept, all[len(all)-1].Equal) {
			t.Errorf("%s: the newest is gone", what)
		}
		if again := those(kept, keep); !cmp.Equal(again, kept) {
			t.Errorf("%s: again drops %d more", what, len(kept)-len(again))
		}
		for kind, n := range []int{keep.Hourly, keep.Daily, keep.Weekly, keep.Monthly} {
			newest := map[int]time.Time{}
			for _, at := range all {
				if p := periods(at)[kind]; newest[p].Before(at) {
					newest[p] = at
				}
			}
			var last []int
			for p := range newest {
				last = append(last, p)
			}
			slices.Sort(last)
			for _, p := range last[max(0, len(last)-n):] {
				if !slices.ContainsFunc(kept, newest[p].Equal) {
					t.Errorf("%s: kind %d lost %s, the newest of one of its last periods", what, kind, newest[p])
				}
			}
			if limit := keep.Hourly + keep.Daily + keep.Weekly + keep.Monthly; len(kept) > max(limit, 1) {
				t.Errorf("%s: %d are kept, more than all kinds together", what, len(kept))
			}
		}
		more := keep
		more.Weekly += 3
		more.Hourly++
		with := those(shuffled, more)
		for _, at := range kept {
			if !slices.ContainsFunc(with, at.Equal) {
				t.Errorf("%s: keeping more drops %s", what, at)
			}
		}
		without := keep
		without.Daily = 0
		for _, at := range those(shuffled, without) {
			if !slices.ContainsFunc(kept, at.Equal) {
				t.Errorf("%s: naming days drops %s", what, at)
			}
		}
	}
}

// TestKeepingAsTimeGoesOn prunes after each of three years' hourly snapshots, as `snapshot save` does: what is left covers what was asked for.
func TestKeepingAsTimeGoesOn(t *testing.T) {
	keep := envs.Keep{Hourly: 8, Daily: 7, Weekly: 4, Monthly: 6}
	var have []time.Time
	now := time.Date(2023, 1, 1, 0, 30, 0, 0, time.UTC)
	for range 3 * 365 * 24 {
		have = those(append(have, now), keep)
		now = now.Add(time.Hour)
	}
	var got [4]int
	for kind := range got {
		seen := map[int]bool{}
		for _, at := range have {
			seen[periods(at)[kind]] = true
		}
		got[kind] = len(seen)
	}
	if got[0] < 8 || got[1] < 7 || got[2] < 4 || got[3] < 6 || len(have) > 25 {
		t.Errorf("left are %d of %d hours, days, weeks, months; want at least 8, 7, 4, 6 and at most 25 in all", len(have), got)
	}
}

func those(times []time.Time, keep envs.Keep) []time.Time {
	var list []time.Time
	for i, kept := range providers.Kept(times, keep) {
		if kept {
			list = append(list, times[i])
		}
	}
	slices.SortFunc(list, time.Time.Compare)
	return list
}
