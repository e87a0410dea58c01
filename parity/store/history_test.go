// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/store"
)

// told is a history in short: "day: machine value", and what was before when.
func told(t *testing.T, s *store.Store, key string, since time.Time) string {
	t.Helper()
	section, key, _ := strings.Cut(key, "/")
	list, err := s.History(t.Context(), project, section, key, since)
	if err != nil {
		t.Fatal(err)
	}
	say := func(state, value string) string {
		if state == store.Present {
			return value
		}
		return strings.TrimSpace(state + " " + value)
	}
	day := func(at time.Time) int { return int(at.Sub(now).Hours() / 24) }
	var all []string
	for _, c := range list {
		line := fmt.Sprintf("%d: %s/%s %s", day(c.At), c.Tier, c.Machine, say(c.State, c.Value))
		if !c.After.IsZero() {
			line += fmt.Sprintf(", on %d %s", day(c.After), say(c.WasState, c.Was))
		}
		all = append(all, line)
	}
	return strings.Join(all, "\n")
}

func unreachable(tier, name, why string) *parity.Snapshot {
	s := snapshot(tier, name)
	s.Unreachable = why
	return s
}

func unread(name, why string) parity.Section {
	s := section(name, parity.Stable)
	s.Unknown = why
	return s
}

func TestHistoryTellsChangesAndBetweenWhichAuditsTheyCame(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	day := func(n int) time.Time { return now.AddDate(0, 0, n) }
	half := packages("nginx", "1.2")
	half.Items[0].Value, half.Items[0].Unknown = "", "the database is locked"
	half.Digest = "half"
	keep(t, s, day(0), snapshot("ci", "web-1", packages("nginx", "1.0")), snapshot("ci", "web-2", packages("nginx", "1.0")), snapshot("ci", "db-1", packages("postgresql", "15")))
	keep(t, s, day(1), snapshot("ci", "web-1", packages("nginx", "1.0")), snapshot("ci", "web-2", packages("nginx", "1.0", "vim", "9")))
	keep(t, s, day(4), snapshot("ci", "web-1", packages("nginx", "1.2")), snapshot("ci", "web-2", packages("nginx", "1.0", "vim", "9")))
	keep(t, s, day(5), snapshot("ci", "web-1", packages("vim", "9")), snapshot("ci", "web-2", section("etc", parity.Stable))) // web-2 was not asked
	keep(t, s, day(6), unreachable("ci", "web-1", "no answer"), snapshot("ci", "web-2", unread("packages", "dpkg is not there")))
	keep(t, s, day(7), unreachable("ci", "web-1", "no answer"), snapshot("ci", "web-2", half), snapshot("prod", "web-1", packages("nginx", "1.2")))
	keep(t, s, day(8), snapshot("ci", "web-1", packages("nginx", "1.2")), snapshot("ci", "web-2", packages("nginx", "1.2")), snapshot("ci", "db-1", packages("nginx", "1.2")))
	if _, err := tryKeep(t.Context(), s, "other", day(9), snapshot("ci", "web-1", packages("nginx", "9"))); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		key   string
		since time.Time
		want  string
	}{
		{"packages/nginx", time.Time{}, `0: ci/web-1 1.0
0: ci/web-2 1.0
4: ci/web-1 1.2, on 1 1.0
5: ci/web-1 absent, on 4 1.2
6: ci/web-1 unreachable no answer, on 5 absent
6: ci/web-2 unknown dpkg is not there, on 4 1.0
7: ci/web-2 unknown the database is locked, on 6 unknown dpkg is not there
7: prod/web-1 1.2
8: ci/db-1 1.2, on 0 absent
8: ci/web-1 1.2, on 7 unreachable no answer
8: ci/web-2 1.2, on 7 unknown the database is locked`},
		{"packages/nginx", day(7), `7: ci/web-2 unknown the database is locked, on 6 unknown dpkg is not there
7: prod/web-1 1.2
8: ci/db-1 1.2, on 0 absent
8: ci/web-1 1.2, on 7 unreachable no answer
8: ci/web-2 1.2, on 7 unknown the database is locked`},
		{"packages/vim", day(8), `8: ci/web-1 absent, on 7 unreachable no answer`},
		{"packages/ngin", time.Time{}, ""}, {"packages/", time.Time{}, ""}, {"nothing/nginx", time.Time{}, ""}, {"packages/nginx", day(20), ""},
	} {
		if got := told(t, s, tt.key, tt.since); got != tt.want {
			t.Errorf("%s since %v: got\n%s\nwant\n%s", tt.key, tt.since, got, tt.want)
		}
	}
}

// A machine that does not answer, or may not say it, is not one on which nothing changed; and when it answers again, that is told too.
func TestUnreachableAndUnreadAreNeverUnchanged(t *testing.T) {
	t.Parallel()
	for _, gap := range []*parity.Snapshot{unreachable("ci", "web-1", "why"), snapshot("ci", "web-1", unread("packages", "why"))} {
		s := open(t, t.TempDir())
		for i, snapshot := range []*parity.Snapshot{snapshot("ci", "web-1", packages("nginx", "1.0")), gap, snapshot("ci", "web-1", packages("nginx", "1.0"))} {
			keep(t, s, now.AddDate(0, 0, i), snapshot)
		}
		list, err := s.History(t.Context(), project, "packages", "nginx", time.Time{})
		if err != nil || len(list) != 3 || list[1].State == store.Present || list[1].State == store.Absent || list[1].Value != "why" || list[2].WasState != list[1].State {
			t.Errorf("got %+v, %v, want it told that it was not known", list, err)
		}
	}
}

func TestHistoryKnowsWhatAMachineKnows(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	p := packages("nginx", "1.2")
	p.Items[0].Since = "2026-11-03T04:05:06Z"
	p.Digest = digestOf(p.Items)
	keep(t, s, now, snapshot("ci", "web-1", packages("nginx", "1.0")))
	keep(t, s, now.Add(time.Hour), snapshot("ci", "web-1", p))
	list, err := s.History(t.Context(), project, "packages", "nginx", time.Time{})
	if err != nil || len(list) != 2 || list[1].Since != "2026-11-03T04:05:06Z" || list[0].Since != "" {
		t.Errorf("got %+v, %v, want when it was installed", list, err)
	}
}

func TestHistoryOfMaskedValuesDoesNotCompareThoseOfDifferentKeys(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for i, of := range []struct{ key, value string }{{"k1", "hmac:aa"}, {"k1", "hmac:aa"}, {"k2", "hmac:bb"}, {"k2", "hmac:bb"}, {"k2", "hmac:cc"}, {"k3", "plain"}} {
		snapshot := snapshot("ci", "web-1", section("settings", parity.Stable, "TOKEN", of.value))
		snapshot.KeyID = of.key
		keep(t, s, now.AddDate(0, 0, i), snapshot)
	}
	want := `0: ci/web-1 hmac:aa
2: ci/web-1 unknown it is masked, and with another key than before, on 1 hmac:aa
4: ci/web-1 hmac:cc, on 3 hmac:bb
5: ci/web-1 plain, on 4 hmac:cc`
	if got := told(t, s, "settings/TOKEN", time.Time{}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Audits that end in another order than they began in, as two at once do.
func TestHistoryIsInTheOrderOfTimeNotOfKeeping(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	keep(t, s, now.AddDate(0, 0, 2), snapshot("ci", "web-1", packages("nginx", "1.2")))
	keep(t, s, now, snapshot("ci", "web-1", packages("nginx", "1.0")))
	keep(t, s, now.AddDate(0, 0, 1), snapshot("ci", "web-1", packages("nginx", "1.0")))
	if got, want := told(t, s, "packages/nginx", time.Time{}), "0: ci/web-1 1.0\n2: ci/web-1 1.2, on 1 1.0"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestMachinesOfOneNameAreToldApartByTheirEnvironment(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for i, env := range []string{"shop.ci", "shop.ci.two", "shop.ci"} {
		snapshot := snapshot("ci", "web-1", packages("nginx", env))
		snapshot.Subject.Env = env
		keep(t, s, now.AddDate(0, 0, i), snapshot)
	}
	if got, want := told(t, s, "packages/nginx", time.Time{}), "0: ci/web-1 shop.ci\n1: ci/web-1 shop.ci.two"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestKeysAreThoseOfTheNewestAudit(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	keep(t, s, now, snapshot("ci", "web-1", packages("gone", "1")))
	keep(t, s, now.Add(time.Hour), snapshot("ci", "web-1", packages("nginx:amd64", "1", "vim", "1"), section("etc", parity.Stable, "/etc/nginx/nginx.conf", "x")),
		snapshot("ci", "web-2", packages("NGINX-extra", "1")))
	for _, tt := range []struct {
		part string
		most int
		want string
	}{
		{"nginx", 10, "etc//etc/nginx/nginx.conf packages/NGINX-extra packages/nginx:amd64"}, {"nginx", 1, "etc//etc/nginx/nginx.conf"},
		{"packages/", 10, "packages/NGINX-extra packages/nginx:amd64 packages/vim"}, {"gone", 10, ""}, {"", 2, "etc//etc/nginx/nginx.conf packages/NGINX-extra"},
	} {
		got, err := s.Keys(t.Context(), project, tt.part, tt.most)
		if strings.Join(got, " ") != tt.want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", tt.part, got, err, tt.want)
		}
	}
	if got, err := s.Keys(t.Context(), "nobody", "", 10); len(got) > 0 || err != nil {
		t.Errorf("of no project: got %q, %v", got, err)
	}
}
