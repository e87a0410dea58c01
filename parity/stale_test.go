// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/parity"
)

const month = 30 * 24 * time.Hour

func limited() parity.Policy {
	return parity.Policy{Baseline: "production", Tiers: []parity.TierPolicy{{Name: "production", RebuildAfter: map[string]time.Duration{"": month}}}}
}

func made(name string, ago time.Duration, b box) parity.Snapshot {
	s := snap("production", name, b)
	s.Subject.Created = now.Add(-ago)
	return s
}

func TestAMachineIsStaleBeyondItsLimitNotAtIt(t *testing.T) {
	b := plainBox()
	wantRows(t, compare(t, limited(), made("web-1", month, b)))
	wantRows(t, compare(t, limited(), made("web-1", month-time.Second, b)))
	wantRows(t, compare(t, limited(), made("web-1", month+time.Second, b), made("web-2", time.Hour, b)),
		"stale age/instance in production: production-webA=different(1 of 2: web-1, oldest 30 d (the place's record))")
	// What was read yesterday is judged as of today.
	old := made("web-1", month+time.Hour, b)
	old.Taken = now.Add(-2 * time.Hour)
	if got := compare(t, limited(), old).Rows; len(got) != 1 {
		t.Errorf("an older snapshot: got %v", got)
	}
}

func TestTheKindsOwnLimitWins(t *testing.T) {
	p := limited()
	p.Tiers[0].RebuildAfter["web"] = 90 * 24 * time.Hour
	wantRows(t, compare(t, p, made("web-1", 2*month, plainBox())))
	p.Tiers[0].RebuildAfter["web"] = 0
	wantRows(t, compare(t, p, made("web-1", 2*month, plainBox())))
}

// trap: a reboot resets uptime, not age; and uptime is a lower bound of age.
func TestUptimeAndAgeAreTwoFigures(t *testing.T) {
	up := func(d time.Duration) box { return plainBox().with("boot", "uptime", fmt.Sprint(d.Seconds())) }
	wantRows(t, compare(t, limited(), made("web-1", 2*month, up(time.Hour))), "stale age/instance in production: production-webA=different(1 of 1: web-1, oldest 60 d (the place's record))")
	wantRows(t, compare(t, limited(), made("web-1", 2*month, up(month+24*time.Hour))),
		"stale age/instance in production: production-webA=different(1 of 1: web-1, oldest 60 d (the place's record))",
		"stale age/uptime in production: production-webA=different(1 of 1: web-1, oldest 31 d (its kernel))")
	unrecorded := made("web-1", 0, up(month+24*time.Hour))
	unrecorded.Subject.Created = time.Time{}
	wantRows(t, compare(t, limited(), unrecorded),
		"stale age/instance in production: production-webA=different(1 of 1: web-1, oldest 31 d (up for so long, so no younger))",
		"stale age/uptime in production: production-webA=different(1 of 1: web-1, oldest 31 d (its kernel))")
}

// trap: the birth ladder, with its sources; unknown is not young.
func TestBirthIsReadFromTheBestMarkThereIs(t *testing.T) {
	at := func(ago time.Duration) string { return now.Add(-ago).Format(time.RFC3339) }
	for want, b := range map[string]box{
		"different(1 of 1: web-1, oldest 60 d (its stamp))":                               plainBox().with("birth", "stamp", at(2*month)).with("birth", "rootfs", at(time.Hour)),
		"different(1 of 1: web-1, oldest 60 d (its cloud-init))":                          plainBox().with("birth", "cloud-init", at(2*month)),
		"different(1 of 1: web-1, oldest 60 d (its packages))":                            plainBox().with("birth", "rootfs", "1970-01-01T00:00:03Z").with("birth", "packages", at(2*month)),
		"unknown(1 of 1: web-1: neither the place nor the machine says when it was made)": plainBox().with("birth", "rootfs", at(-month)),
	} {
		s := snap("production", "web-1", b)
		s.Subject.Created = time.Time{}
		got := said(compare(t, limited(), s))
		if len(got) != 1 || !strings.HasSuffix(got[0], want) || strings.Contains(got[0], "no finding") != strings.HasPrefix(want, "unknown") {
			t.Errorf("got %v; want %s", got, want)
		}
	}
}

// trap: with a wrong clock the machine's own times are not judged; the place's record is.
func TestSkewedClocksAreNotJudged(t *testing.T) {
	s := snap("production", "web-1", plainBox().with("birth", "stamp", now.Add(-2*month).Format(time.RFC3339)))
	s.Skew = -301
	wantRows(t, compare(t, limited(), s))
	s.Subject.Created = time.Time{}
	r := compare(t, limited(), s)
	wantRows(t, r, "stale age/instance in production (no finding): production-webA=unknown(1 of 1: web-1: its clock is off by 5 min)")
	if r.Complete() || r.Checked.Unknown != 1 {
		t.Errorf("%q with %d unknown, where it is not known whether a limit is kept", r.Verdict(), r.Checked.Unknown)
	}
	s.Skew = 300
	wantRows(t, compare(t, limited(), s), "stale age/instance in production: production-webA=different(1 of 1: web-1, oldest 60 d (its stamp))")
}

// trap: a container's /proc/uptime is its host's; what it cannot know is unknown, and no finding.
func TestAContainersUptimeIsNotItsHosts(t *testing.T) {
	s := made("web-1", time.Hour, plainBox().with("boot", "uptime", "unknown:/proc/uptime is the host's"))
	wantRows(t, compare(t, limited(), s))
	// A collector that was taken in says more than the machine is old.
	wantRows(t, compare(t, limited(), made("web-1", time.Hour, plainBox().with("boot", "uptime", fmt.Sprint((2*month).Seconds())))))
}

// trap: a restored memory image goes on counting.
func TestARestoredMemoryImageIsNotOlderThanItsMachine(t *testing.T) {
	s := made("web-1", 24*time.Hour, plainBox().with("boot", "uptime", fmt.Sprint((90*24*time.Hour).Seconds())))
	wantRows(t, compare(t, limited(), s))
}

// trap: suspended time counts in ages, which are of the wall clock; the kernel's uptime includes it (CLOCK_BOOTTIME).
func TestSuspendedTimeCounts(t *testing.T) {
	s := made("web-1", 31*24*time.Hour, plainBox().with("boot", "uptime", "60"))
	if got := compare(t, limited(), s).Rows; len(got) != 1 || got[0].Key != "instance" {
		t.Errorf("got %v", got)
	}
	b := plainBox().without("boot", "uptime").with("boot", "boot_time", now.Add(-31*24*time.Hour).Format(time.RFC3339))
	if got := compare(t, limited(), made("web-1", 32*24*time.Hour, b)).Rows; len(got) != 2 {
		t.Errorf("by the boot time: got %v", got)
	}
}

func TestAnOldImageIsSaid(t *testing.T) {
	p := limited()
	p.Manifests = map[string]*images.Manifest{"k": manifest("web", now.AddDate(0, 0, -100), "nginx:amd64=1.22.1-9", "bash:amd64=5.2-2", "tzdata:all=2024a-0+deb12u1")}
	s := made("web-1", time.Hour, plainBox())
	s.Subject.ImageKey = "k"
	r := compare(t, p, s)
	wantRows(t, r)
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "the image of web is 100 d old") {
		t.Errorf("got notes %q", r.Notes)
	}
}

func TestPendingSecurityUpdates(t *testing.T) {
	p := limited()
	p.Pending = map[string][]string{"k": {"nginx 1.22.1-9+deb12u3"}}
	s := made("web-1", time.Hour, plainBox())
	s.Subject.ImageKey = "k"
	r := compare(t, p, s)
	if len(r.Rows) != 1 || r.Rows[0].Severity != parity.Security || r.Rows[0].Reference != "1.22.1-9+deb12u3" || !r.Rows[0].Counts {
		t.Errorf("got %+v", r.Rows)
	}
}

func TestMachinesThatWaitForARebootOrUpdates(t *testing.T) {
	b := plainBox().with("os", "reboot_pending", "linux-image-6.1.0-41 is newer than the running 6.1.0-40")
	r := compare(t, limited(), made("web-1", time.Hour, b), made("web-2", time.Hour, plainBox().with("os", "reboot_pending", "no")))
	wantRows(t, r, "stale os/reboot in production: production-webA=different(1 of 2: web-1: linux-image-6.1.0-41 is newer than the running 6.1.0-40)")
	list := func(age time.Duration) box {
		return plainBox().with("updates", "lists_time", now.Add(-age).Format(time.RFC3339))
	}
	wantRows(t, compare(t, limited(), made("web-1", time.Hour, list(time.Hour))))
	wantRows(t, compare(t, limited(), made("web-1", time.Hour, list(time.Hour).with("updates", "openssl", "3.0.15-1"))),
		"stale updates/own lists in production: production-webA=different(1 of 1: web-1: 1 security update: openssl)")
	// trap: lists of last week know nothing of this week.
	wantRows(t, compare(t, limited(), made("web-1", time.Hour, list(49*time.Hour))), "stale updates/own lists in production (no finding): production-webA=unknown(1 of 1: web-1: its package lists are 2 d old)")
	wantRows(t, compare(t, limited(), made("web-1", time.Hour, list(48*time.Hour))))
}

// Who cannot say whether it waits does not say that it does not.
func TestWhatAMachineWaitsForIsUnknownWhereItCannotBeAsked(t *testing.T) {
	wantRows(t, compare(t, limited(), unread(made("web-1", time.Hour, plainBox().with("updates", "lists_time", "")), "updates", parity.Volatile)),
		"stale updates/own lists in production (no finding): production-webA=unknown(1 of 1: web-1: no rights)")
	b := plainBox().with("os", "reboot_pending", "a kernel")
	r := compare(t, limited(), made("web-1", time.Hour, b), unread(made("web-2", time.Hour, b), "os"))
	i := slices.IndexFunc(r.Rows, func(row parity.Row) bool { return row.Section == "os" && row.Key == "reboot" })
	if i < 0 || r.Rows[i].Cells[0].State != parity.Different || r.Rows[i].Cells[1].State != parity.Unknown {
		t.Errorf("got %v, want a reboot of web-1 and nothing known of web-2", said(r))
	}
}

// trap: an hosts file to which Settle added differs in every environment, and says the same.
func TestHostsFilesAreComparedWithoutWhatSettleLaid(t *testing.T) {
	hosts := func(own string) box {
		return plainBox().with("etc", "/etc/hosts", "body:127.0.0.1 localhost\n127.0.1.1 "+own+"\n# evenkeel: machines\n10.1.2.3 "+own+"\n# evenkeel: end\n")
	}
	wantRows(t, compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", hosts("a")), snap("staging", "web-1", hosts("b")), snap("staging", "web-2", hosts("c"))))
	evil := hosts("a")
	evil["etc"]["/etc/hosts"] += "10.9.9.9 deb.debian.org\n"
	r := compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", hosts("a")), snap("staging", "web-1", evil))
	if len(r.Rows) != 1 || !strings.Contains(r.Rows[0].Diff, "+10.9.9.9 deb.debian.org") {
		t.Errorf("got %v", said(r))
	}
}
