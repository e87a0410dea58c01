// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/facts"
	"github.com/evenkeel/evenkeel/parity/store"
)

func TestPruneKeepsTheYoungAndTheLast(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	today := time.Now().UTC()
	// daily is ten years of audits, one each 15 days; rarely is one each half a year; asleep was last audited 3 years ago.
	rhythm := map[string]struct{ first, step, last int }{"daily": {3650, 15, 0}, "rarely": {3650, 182, 0}, "asleep": {3650, 100, 1095}}
	dir, all := t.TempDir(), 0
	s := open(t, dir)
	for name, r := range rhythm {
		for n := r.first; n >= r.last; n -= r.step {
			at := today.Add(-time.Duration(n)*day - time.Hour)
			if _, err := tryKeep(t.Context(), s, name, at, snapshot("ci", "web-1", packages("a", fmt.Sprint(n/300)), section("boot", parity.Volatile, "uptime", fmt.Sprint(n)))); err != nil {
				t.Fatal(err)
			}
			all++
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	years, err := os.ReadFile(filepath.Join(dir, store.File))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		keep store.Keep
		want map[string]int
	}{
		{store.Keep{Last: 3}, map[string]int{"daily": 244, "rarely": 21, "asleep": 26}},
		{store.DefaultKeep(), map[string]int{"daily": 27, "rarely": 20, "asleep": 20}},
		{store.Keep{For: 400 * day}, map[string]int{"daily": 27, "rarely": 3}},
		{store.Keep{For: 400 * day, Last: 5}, map[string]int{"daily": 27, "rarely": 5, "asleep": 5}},
		{store.Keep{For: time.Hour, Last: -1}, nil},
		{store.Keep{For: 20 * 366 * day, Last: 1}, map[string]int{"daily": 244, "rarely": 21, "asleep": 26}},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, store.File), years, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		removed, err := s.Prune(t.Context(), tt.keep)
		if err != nil {
			t.Fatal(err)
		}
		left := 0
		for name := range rhythm {
			list, err := s.Audits(t.Context(), name, time.Time{})
			if err != nil || len(list) != tt.want[name] {
				t.Errorf("%+v: got %d audits of %s, %v, want %d", tt.keep, len(list), name, err, tt.want[name])
			}
			left += len(list)
			for i, a := range list { // the newest of those that there were
				if want := today.Add(-time.Duration(rhythm[name].first-(rhythm[name].first-rhythm[name].last)/rhythm[name].step*rhythm[name].step+i*rhythm[name].step)*day - time.Hour); !a.At.Equal(want.Truncate(time.Microsecond)) {
					t.Errorf("%+v: audit %d of %s is of %v, want %v", tt.keep, i, name, a.At, want)
					break
				}
				if got := read(t, s, a.ID); len(got) != 1 || len(got[0].Sections) != 2 {
					t.Errorf("%+v: audit %d is not whole: %+v", tt.keep, a.ID, got)
				}
			}
		}
		if removed != all-left {
			t.Errorf("%+v: got %d removed, want %d", tt.keep, removed, all-left)
		}
		if n := orphans(t, s); n > 0 {
			t.Errorf("%+v: %d sections are of nothing", tt.keep, n)
		}
		if again, err := s.Prune(t.Context(), tt.keep); again != 0 || err != nil {
			t.Errorf("%+v: the second time: got %d removed, %v", tt.keep, again, err)
		}
		whole(t, s)
	}
}

func TestPruneLeavesWhatTheCacheNeedsAndOthersUse(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	shared, cached, own := packages("a", "1"), section("etc", parity.Stable, "/etc/motd", "x"), section("boot", parity.Volatile, "uptime", "1")
	old := keep(t, s, now.AddDate(-20, 0, 0), snapshot("ci", "web-1", own, cached, shared))
	young := keep(t, s, time.Now(), snapshot("ci", "web-1", shared))
	id := facts.SectionID{Group: "etc", Script: "s", Raw: "r", KeyID: "k"}
	if err := s.Keep(t.Context(), id, cached); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Prune(t.Context(), store.Keep{For: time.Hour}); n != 1 || err != nil {
		t.Fatalf("got %d, %v, want 1", n, err)
	}
	if _, err := s.Audit(t.Context(), old.ID); err == nil {
		t.Error("the old audit is still there")
	}
	if got := read(t, s, young.ID); len(got) != 1 || got[0].Sections[0].Digest != shared.Digest {
		t.Errorf("got %+v of the other audit", got)
	}
	if _, ok, err := s.Section(t.Context(), id); !ok || err != nil {
		t.Errorf("got %v, %v, want the cached section", ok, err)
	}
	if n := count(t, s, "sections"); n != 2 {
		t.Errorf("got %d sections, want 2", n)
	}
}

func TestPruneGivesRoomBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	for n := range 30 {
		var words []string
		for i := range 8000 {
			words = append(words, fmt.Sprintf("p%05d", i), digestOf([]parity.Item{{Value: fmt.Sprint(n, i)}}))
		}
		keep(t, s, now.AddDate(-20, 0, n), snapshot("ci", "web-1", packages(words...)))
	}
	size := func() int64 {
		if err := s.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, store.File))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before := size()
	if n, err := s.Prune(t.Context(), store.Keep{For: time.Hour, Last: 1}); n != 29 || err != nil {
		t.Fatalf("got %d, %v, want 29", n, err)
	}
	if after := size(); before < 8<<20 || after > before/3+5<<20 {
		t.Errorf("got %d bytes, after %d before; want them given back but for some", after, before)
	}
	whole(t, s)
}
