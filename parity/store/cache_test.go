// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/facts"
	"github.com/evenkeel/evenkeel/parity/store"
)

func sectionID(raw string) facts.SectionID {
	return facts.SectionID{Group: "packages", Script: "script", Raw: raw, KeyID: "key"}
}

func remember(t *testing.T, s *store.Store, id facts.SectionID, section parity.Section) {
	t.Helper()
	if err := s.Keep(t.Context(), id, section); err != nil {
		t.Fatal(err)
	}
}

func known(t *testing.T, s *store.Store, most int) string {
	t.Helper()
	list, err := s.Known(t.Context(), most)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, " ")
}

func TestCacheGivesBackWhatItWasGiven(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	id, want := sectionID("r1"), packages("nginx", "1.2", "a<b", "\u202e\x1b")
	if got := known(t, s, 10); got != "" {
		t.Errorf("got %q known by an empty cache", got)
	}
	remember(t, s, id, want)
	for range 2 { // also later
		got, ok, err := s.Section(t.Context(), id)
		if diff := cmp.Diff(want, got); diff != "" || !ok || err != nil {
			t.Errorf("%v, %v (-want +got)\n%s", ok, err, diff)
		}
		s = open(t, dir)
	}
	for _, other := range []facts.SectionID{
		{Group: "etc", Script: id.Script, Raw: id.Raw, KeyID: id.KeyID}, {Group: id.Group, Script: "x", Raw: id.Raw, KeyID: id.KeyID},
		{Group: id.Group, Script: id.Script, Raw: "x", KeyID: id.KeyID}, {Group: id.Group, Script: id.Script, Raw: id.Raw, KeyID: "x"},
	} {
		if got, ok, err := s.Section(t.Context(), other); ok || err != nil || got.Name != "" {
			t.Errorf("%+v: got %+v, %v, %v, want nothing", other, got, ok, err)
		}
	}
	remember(t, s, id, packages("nginx", "1.3"))
	if got, _, err := s.Section(t.Context(), id); err != nil || got.Items[0].Value != "1.3" {
		t.Errorf("got %+v, %v, want what was kept last", got, err)
	}
	if n := count(t, s, "sections"); n != 1 {
		t.Errorf("got %d sections, want the replaced one gone", n)
	}
}

func TestCacheKnowsTheMostRecentlyUsedFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	for i := range 5 {
		remember(t, s, sectionID(fmt.Sprint("r", i)), packages("a", fmt.Sprint(i)))
	}
	other := sectionID("old")
	other.Script = "older script"
	remember(t, s, other, packages("a", "9"))
	if err := s.Exec(`UPDATE cache SET used = CASE raw WHEN 'old' THEN 1 ELSE used - 7200000000 END`); err != nil { // two hours
		t.Fatal(err)
	}
	if got := known(t, s, 3); got != "r4 r3 r2" {
		t.Errorf("got %q, want the three that were kept last", got)
	}
	if _, ok, err := s.Section(t.Context(), sectionID("r1")); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if got := known(t, s, 100); got != "r1 r4 r3 r2 r0" {
		t.Errorf("got %q, want the used one first, and none of another script, whose section nobody has", got)
	}
}

// 10,000 machines with a section of their own each must not crowd out what they share.
func TestCacheKnowsWhatMachinesShareFirst(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	shared, own := packages("a", "shared"), packages("a", "own")
	remember(t, s, sectionID("shared"), shared)
	remember(t, s, sectionID("own"), own)
	if got := known(t, s, 9); got != "own shared" {
		t.Errorf("before any audit: got %q, want the last one first", got)
	}
	keep(t, s, now, snapshot("ci", "web-1", shared), snapshot("ci", "web-2", shared), snapshot("ci", "web-3", own))
	if got := known(t, s, 9); got != "shared own" {
		t.Errorf("got %q, want what two machines have first", got)
	}
}

func TestCacheLetsGoOfWhatWasNotUsedForLongest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	s.Bound(100, 1<<40)
	keep(t, s, now, snapshot("ci", "web-1", packages("a", "0")))
	for i := range 700 {
		remember(t, s, sectionID(fmt.Sprintf("r%03d", i)), packages("a", fmt.Sprint(i)))
	}
	if n := count(t, s, "cache"); n > 100+257 {
		t.Errorf("got %d rows, want them bounded", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if n := count(t, s, "cache"); n != 100 {
		t.Errorf("got %d rows, want 100", n)
	}
	if n := count(t, s, "sections"); n != 101 { // and the audit's
		t.Errorf("got %d sections, want 101", n)
	}
	if got := known(t, s, 1000); !strings.HasPrefix(got, "r699 r698 ") || !strings.HasSuffix(got, " r600") {
		t.Errorf("got %s, want the newest", got)
	}
	s.Bound(100, 2000)
	remember(t, s, sectionID("big"), packages("a", strings.Repeat("x", 100)))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if n := count(t, s, "cache"); n > 30 || n < 10 {
		t.Errorf("got %d rows in 2,000 bytes", n)
	}
	whole(t, s)
}

func TestCacheIsForManyAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stores := []*store.Store{open(t, dir), open(t, dir)}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			s := stores[i%2]
			for n := range 20 {
				id := sectionID(fmt.Sprint((i + n) % 25))
				if err := s.Keep(context.Background(), id, packages("a", id.Raw)); err != nil {
					t.Error(err)
				}
				if got, ok, err := s.Section(context.Background(), id); err != nil || !ok || got.Items[0].Value != id.Raw {
					t.Errorf("got %+v, %v, %v", got, ok, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestAWriterElsewhereHoldsTheCacheUpNotForLong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, other := open(t, dir), open(t, dir)
	release, err := other.HoldWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	begun := time.Now()
	err = s.Keep(t.Context(), sectionID("r"), packages("a", "1"))
	if err == nil || !strings.Contains(err.Error(), "cannot keep facts in the cache: another process is writing to ") {
		t.Errorf("got %v, want it to say that another process writes", err)
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("it took %s", took)
	}
	if _, _, err := s.Section(t.Context(), sectionID("r")); err != nil {
		t.Errorf("reading beside a writer: %v", err)
	}
}
