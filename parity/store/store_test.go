// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/store"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		if err := playVictim(dir, os.Getenv(victimDeed)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const project = "c0ffee"

var now = time.Date(2026, 11, 21, 9, 30, 0, 123456000, time.UTC)

func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// section makes one of key, value, key, value.
func section(name string, lane parity.Lane, words ...string) parity.Section {
	s := parity.Section{Name: name, Lane: lane}
	for i := 0; i < len(words); i += 2 {
		s.Items = append(s.Items, parity.Item{Key: words[i], Value: words[i+1]})
	}
	slices.SortFunc(s.Items, func(a, b parity.Item) int { return strings.Compare(a.Key, b.Key) })
	s.Digest = digestOf(s.Items)
	return s
}

func digestOf(items []parity.Item) string {
	text, err := json.Marshal(items)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func snapshot(tier, name string, sections ...parity.Section) *parity.Snapshot {
	return &parity.Snapshot{
		Format: parity.SnapshotFormat, Collector: "c", Taken: now, KeyID: "k1", Sections: sections,
		Subject: parity.Subject{Project: project, Env: "shop." + tier, Tier: tier, Name: name, Kind: "web", Created: now.Add(-time.Hour)},
	}
}

func packages(words ...string) parity.Section { return section("packages", parity.Stable, words...) }

// keep keeps an audit of snapshots, with the report that they come to.
func keep(t *testing.T, s *store.Store, at time.Time, snapshots ...*parity.Snapshot) store.Audit {
	t.Helper()
	a, err := tryKeep(t.Context(), s, project, at, snapshots...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func tryKeep(ctx context.Context, s *store.Store, project string, at time.Time, snapshots ...*parity.Snapshot) (store.Audit, error) {
	r, err := s.Begin(ctx, project, at)
	if err != nil {
		return store.Audit{}, err
	}
	defer r.Discard()
	for _, snapshot := range snapshots {
		if err := r.Add(ctx, snapshot); err != nil {
			return store.Audit{}, err
		}
	}
	report, err := reportOf(at, snapshots)
	if err != nil {
		return store.Audit{}, err
	}
	return r.Finish(ctx, report)
}

func reportOf(at time.Time, snapshots []*parity.Snapshot) (*parity.Report, error) {
	c, err := parity.NewComparison(parity.Policy{At: at, Project: project, Commit: "abc123", Tool: "test"})
	if err != nil {
		return nil, err
	}
	for _, snapshot := range snapshots {
		if err := c.Add(snapshot); err != nil {
			return nil, err
		}
	}
	return c.Report()
}

func read(t *testing.T, s *store.Store, audit int64) []*parity.Snapshot {
	t.Helper()
	var list []*parity.Snapshot
	err := s.Snapshots(t.Context(), audit, func(snapshot *parity.Snapshot) error {
		list = append(list, snapshot)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func count(t *testing.T, s *store.Store, table string) int {
	t.Helper()
	n, err := s.Count(table)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func whole(t *testing.T, s *store.Store) {
	t.Helper()
	integrity, dangling, err := s.Check(t.Context())
	if err != nil || integrity != "ok" || dangling != 0 {
		t.Errorf("got %q, %d dangling references, %v; want the file whole", integrity, dangling, err)
	}
}

func fleet() []*parity.Snapshot {
	big := make([]string, 0, 2000)
	for i := range 1000 {
		big = append(big, fmt.Sprintf("package%04d:amd64", i), fmt.Sprintf("1.%d-1", i))
	}
	unreachable := snapshot("staging", "web-2")
	unreachable.Sections, unreachable.Unreachable = nil, "no answer in 1m0s"
	unknown := section("sudoers", parity.Stable)
	unknown.Unknown = "only root may read it"
	full := section("etc", parity.Stable, "/etc/motd", "0644 root:root sha256:0")
	full.Items[0].Body, full.Items[0].Since, full.Items[0].Lane = "hello <b>\x1b[31m\n", "2026-01-01T00:00:00Z", parity.Place
	full.Items = append(full.Items, parity.Item{Key: "/etc/shadow", Unknown: "never read"})
	return []*parity.Snapshot{
		snapshot("production", "web-1", packages(big...), full, unknown, section("boot", parity.Volatile, "uptime", "17")),
		snapshot("production", "web-2", packages(big...), full, unknown, section("boot", parity.Volatile, "uptime", "18")),
		snapshot("staging", "web-1", packages(append(big, "zzz:amd64", "1")...), full, unknown, section("boot", parity.Volatile, "uptime", "19")),
		unreachable,
	}
}

func TestAnAuditIsReadAsItWasKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a b?c#d%41[x]", "parity")
	s := open(t, dir)
	want := fleet()
	shuffled := []*parity.Snapshot{want[2], want[0], want[3], want[1]}
	a := keep(t, s, now, shuffled...)
	report, err := reportOf(now, want)
	if err != nil {
		t.Fatal(err)
	}
	wantAudit := store.Audit{ID: 1, Project: project, At: now, Tiers: []string{"production", "staging"}, Commit: "abc123", Verdict: report.Verdict(), Counted: report.Findings()}
	if diff := cmp.Diff(wantAudit, a); diff != "" || report.Findings() == 0 {
		t.Errorf("Finish: (-want +got)\n%s", diff)
	}
	for range 2 { // also by another process, later
		if list, err := s.Audits(t.Context(), project, time.Time{}); err != nil || !cmp.Equal(list, []store.Audit{wantAudit}) {
			t.Errorf("Audits: got %+v, %v, want %+v", list, err, wantAudit)
		}
		if diff := cmp.Diff(want, read(t, s, a.ID)); diff != "" {
			t.Errorf("Snapshots: (-want +got)\n%s", diff)
		}
		got, err := s.Report(t.Context(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range parity.Formats() {
			var before, after bytes.Buffer
			if err := errors.Join(parity.Write(&before, report, f.Name, parity.WriteOptions{}), parity.Write(&after, got, f.Name, parity.WriteOptions{})); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before.Bytes(), after.Bytes()) {
				t.Errorf("Report: written as %s it is another one", f.Name)
			}
		}
		s = open(t, dir)
	}
	whole(t, s)
}

func TestSectionsAreKeptOnceAndShareTheirItems(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	a := keep(t, s, now, fleet()...)
	keep(t, s, now.Add(time.Hour), fleet()...)
	if got, want := count(t, s, "sections"), 7; got != want { // 2 of packages, 3 of boot, etc, sudoers
		t.Errorf("got %d sections, want %d", got, want)
	}
	list := read(t, s, a.ID)
	if &list[0].Sections[0].Items[0] != &list[1].Sections[0].Items[0] {
		t.Error("equal sections of two machines have items of their own")
	}
}

func TestAuditsAreOfTheirProjectAndTime(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for i := range 3 {
		keep(t, s, now.AddDate(0, 0, i), snapshot("ci", "web-1", packages("a", "1")))
	}
	if _, err := tryKeep(t.Context(), s, "other", now, snapshot("ci", "web-1")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		project string
		since   time.Time
		want    string
	}{
		{project, time.Time{}, "[3 2 1]"}, {"", time.Time{}, "[3 2 4 1]"}, {"other", time.Time{}, "[4]"}, {"nobody", time.Time{}, "[]"},
		{project, now.AddDate(0, 0, 1), "[3 2]"}, {project, now.AddDate(0, 0, 1).Add(time.Microsecond), "[3]"}, {project, now.AddDate(1, 0, 0), "[]"},
	} {
		list, err := s.Audits(t.Context(), tt.project, tt.since)
		ids := []int64{}
		for _, a := range list {
			ids = append(ids, a.ID)
		}
		if fmt.Sprint(ids) != tt.want || err != nil {
			t.Errorf("%q since %v: got %v, %v, want %s", tt.project, tt.since, ids, err, tt.want)
		}
		first, err := s.First(t.Context(), tt.project, tt.since)
		switch {
		case len(ids) == 0 && !errors.Is(err, store.ErrNoAudit):
			t.Errorf("%q since %v: got %v, want ErrNoAudit", tt.project, tt.since, err)
		case len(ids) > 0 && (err != nil || first.At != list[len(list)-1].At):
			t.Errorf("%q since %v: got %+v, %v, want the first of %v", tt.project, tt.since, first, err, ids)
		}
	}
	for _, err := range []error{
		s.Snapshots(t.Context(), 99, func(*parity.Snapshot) error { return nil }), second(s.Report(t.Context(), 99)), second(s.Audit(t.Context(), 99)),
	} {
		if !errors.Is(err, store.ErrNoAudit) || !strings.Contains(err.Error(), "audit 99: no such audit is kept") {
			t.Errorf("of no audit: got %v", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestSnapshotsEndsWithTheErrorOfItsTaker(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	a := keep(t, s, now, fleet()...)
	enough, n := errors.New("enough"), 0
	err := s.Snapshots(t.Context(), a.ID, func(*parity.Snapshot) error {
		n++
		if n == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || err.Error() != "enough" || n != 2 {
		t.Errorf("got %v after %d, want its own error after 2", err, n)
	}
	// The store can be used, and pruned, by who is given snapshots.
	err = s.Snapshots(t.Context(), a.ID, func(snapshot *parity.Snapshot) error {
		_, err := tryKeep(t.Context(), s, project, now.AddDate(-9, 0, 0), snapshot)
		if err == nil {
			_, err = s.Prune(t.Context(), store.Keep{For: time.Hour})
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestNobodyElseMayReadIt(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "parity")
	s := open(t, dir)
	keep(t, s, now, fleet()...)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v, want the folder 0700", info.Mode(), err)
	}
	files := func() (n int) {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: got %v, %v, want 0600", f.Name(), info.Mode(), err)
			}
		}
		return len(list)
	}
	if n := files(); n != 3 {
		t.Errorf("got %d files, want the store, its log and its index", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, store.File), 0o644); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	keep(t, again, now, fleet()...)
	files()
}

func TestItIsSetUpToLoseNothing(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "auto_vacuum": "2", "user_version": "1", "busy_timeout": "60000"} {
		if got, err := s.Setting(pragma); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", pragma, got, err, want)
		}
	}
}
