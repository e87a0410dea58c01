// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/parity"
)

// plainFile is a file's value in etc.
func plainFile(text string) string { return "0644 root:root sha256:" + sum(text) }

// asked is a box whose machine was asked for all that a change shows in.
func asked() box {
	return plainBox().with("users", "root", "uid=0").with("groups", "root", "gid=0").with("cron", "/etc/crontab 1 1 * * *", "root: x").with("sysctl", "vm.swappiness", "60").
		with("sysctl_files", "vm.x", "1").with("units", "cron.service", "enabled")
}

func TestOneChangeThatShowsInManyFactsIsOneFinding(t *testing.T) {
	before := asked().with("etc", "/etc/passwd", plainFile("root")).with("etc", "/etc/group", plainFile("root")).with("etc", "/etc/subuid", plainFile(""))
	after := before.with("etc", "/etc/passwd", plainFile("root alice")).with("etc", "/etc/group", plainFile("root alice")).with("etc", "/etc/subuid", plainFile("alice")).
		with("users", "alice", "uid=1000").with("groups", "alice", "gid=1000").
		with("etc", "/etc/cron.d/job", plainFile("job")).with("cron", "/etc/cron.d/job 5 4 * * *", "root: true").
		with("etc", "/etc/sysctl.d/9.conf", plainFile("x")).with("sysctl_files", "vm.swappiness", "7").with("sysctl", "vm.swappiness", "7").
		with("etc", "/etc/systemd/system/x.service", "0777 root:root -> /dev/null").with("units", "x.service", "masked")
	r := compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", before), snap("staging", "web-1", after))
	also := map[string]string{}
	for _, row := range r.Rows {
		var names []string
		for _, a := range row.Also {
			names = append(names, a.Section+"/"+a.Key)
			if len(a.Also) > 0 || len(a.Cells) != len(r.Columns) {
				t.Errorf("%s/%s of %s is %+v; want a whole row, and none below it", a.Section, a.Key, row.Key, a)
			}
		}
		slices.Sort(names)
		also[row.Section+"/"+row.Key] = strings.Join(names, " ")
	}
	for key, want := range map[string]string{
		"users/alice": "etc//etc/group etc//etc/passwd etc//etc/subuid groups/alice", "cron//etc/cron.d/job 5 4 * * *": "etc//etc/cron.d/job",
		"sysctl/vm.swappiness": "etc//etc/sysctl.d/9.conf sysctl_files/vm.swappiness", "units/x.service": "etc//etc/systemd/system/x.service",
	} {
		if got, there := also[key]; !there || got != want {
			t.Errorf("%s: got also %q (%t), want %q", key, got, there, want)
		}
		delete(also, key)
	}
	for key := range also {
		t.Errorf("there is a row of its own for %s", key)
	}
	for _, row := range r.Rows {
		if row.Section == "users" && !strings.HasSuffix(row.Why, "also in /etc/passwd, /etc/subuid, groups alice, /etc/group") {
			t.Errorf("why is %q", row.Why)
		}
	}
}

func TestAChangeDoesNotHideBehindAnother(t *testing.T) {
	before := asked().with("etc", "/etc/passwd", plainFile("root")).with("etc", "/etc/group", plainFile("root")).with("etc", "/etc/cron.d/a", plainFile("a")).with("etc", "/etc/systemd/system/x.service", plainFile("unit"))
	for name, test := range map[string]struct {
		after box
		alone string
	}{
		"another mode":      {before.with("users", "alice", "uid=1000").with("etc", "/etc/passwd", "0666 root:root sha256:"+sum("root alice")), "/etc/passwd"},
		"another file":      {before.with("cron", "/etc/cron.d/job 5 4 * * *", "root: true").with("etc", "/etc/cron.d/a", plainFile("b")), "/etc/cron.d/a"},
		"a unit's text":     {before.with("units", "x.service", "masked").with("etc", "/etc/systemd/system/x.service", plainFile("other")), "/etc/systemd/system/x.service"},
		"nothing says more": {before.with("etc", "/etc/passwd", plainFile("root bob")), "/etc/passwd"},
	} {
		r := compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", before), snap("staging", "web-1", test.after))
		if !slices.ContainsFunc(r.Rows, func(row parity.Row) bool { return row.Section == "etc" && row.Key == test.alone && row.Counts }) {
			t.Errorf("%s: %s has no row of its own", name, test.alone)
		}
	}
	// Machines that differ in other ways are other findings.
	r := compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", before),
		snap("staging", "web-1", before.with("users", "alice", "uid=1000").with("etc", "/etc/passwd", plainFile("alice"))), snap("ci", "web-1", before.with("etc", "/etc/passwd", plainFile("bob"))))
	if !slices.ContainsFunc(r.Rows, func(row parity.Row) bool { return row.Section == "etc" && row.Key == "/etc/passwd" }) {
		t.Error("/etc/passwd differs on more machines than the user does, and has no row")
	}
}

// What was accepted once hides nothing that comes later in a place that it shares with it.
func TestAPinnedWaiverCoversNoLaterChangeBesideIt(t *testing.T) {
	before := asked().with("ca", "CN=one", "sha256:1").with("etc", "/etc/ssl/certs/ca-certificates.crt", plainFile("one"))
	one := before.with("users", "alice", "uid=1000").with("groups", "alice", "gid=1000").with("etc", "/etc/passwd", plainFile("alice")).with("etc", "/etc/group", plainFile("alice")).
		with("etc", "/etc/subuid", plainFile("alice:100000")).with("ca", "CN=other", "sha256:2").with("etc", "/etc/ssl/certs/ca-certificates.crt", plainFile("both")).
		with("etc", "/etc/ssl/certs/other.pem", "0777 root:root -> /usr/local/share/ca-certificates/other.crt").
		with("units", "x.service", "linked").with("etc", "/etc/systemd/system/x.service", "0777 root:root -> /opt/x.service").
		with("cron", "/etc/cron.d/job 5 4 * * *", "root: true").with("etc", "/etc/cron.d/job", plainFile("job")).
		with("cron", "/etc/cron.daily/tidy", "runs").with("etc", "/etc/cron.daily/tidy", "0755 root:root sha256:"+sum("rm -rf /tmp/*"))
	p := parity.Policy{Baseline: "production"}
	r := compare(t, p, snap("production", "web-1", before), snap("staging", "web-1", one))
	file, err := parity.Accept(r, parity.Acceptance{Owner: "ops", Reason: "r", Until: now.AddDate(0, 1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	for _, whole := range []string{"/etc/passwd", "/etc/cron.d/job\n", "ca-certificates.crt"} {
		if strings.Contains(string(file), whole) {
			t.Errorf("%s is pinned, though another row says all that can be in it:\n%s", whole, file)
		}
	}
	p.Waivers = load(t, string(file))
	if r = compare(t, p, snap("production", "web-1", before), snap("staging", "web-1", one)); r.Findings() != 0 || r.Checked.Waived != 5 || len(r.Rows) != 5 {
		t.Errorf("what was accepted: got %v", said(r))
	}
	for key, later := range map[string]box{
		"etc//etc/subuid": one.with("etc", "/etc/subuid", plainFile("alice:0")), "groups/alice": one.with("groups", "alice", "gid=1000 members=bob"),
		"etc//etc/ssl/certs/0a1b2c3d.0":     one.with("etc", "/etc/ssl/certs/0a1b2c3d.0", plainFile("evil")),
		"etc//etc/systemd/system/x.service": one.with("etc", "/etc/systemd/system/x.service", "0777 root:root -> /tmp/x.service"),
		"etc//etc/cron.daily/tidy":          one.with("etc", "/etc/cron.daily/tidy", "0755 root:root sha256:"+sum("evil")),
		"users/bob":                         one.with("users", "bob", "uid=0").with("etc", "/etc/passwd", plainFile("bob")),
	} {
		r := compare(t, p, snap("production", "web-1", before), snap("staging", "web-1", later))
		var got []string
		for _, row := range r.Rows {
			if row.Counts {
				got = append(got, row.Section+"/"+row.Key)
			}
		}
		if !slices.Equal(got, []string{key}) {
			t.Errorf("got %q, want %s alone", got, key)
		}
	}
	// A waiver of any value of a user covers all that the user shows in.
	p.Waivers = []envs.Waiver{waiver("users/alice", now.AddDate(0, 1, 0))}
	r = compare(t, p, snap("production", "web-1", before), snap("staging", "web-1", one.with("etc", "/etc/subuid", plainFile("alice:0"))))
	for _, row := range r.Rows {
		if row.Counts && (row.Section == "users" || row.Section == "groups" || strings.HasPrefix(row.Key, "/etc/sub")) {
			t.Errorf("%s/%s counts beside a waiver of all of alice", row.Section, row.Key)
		}
	}
}
