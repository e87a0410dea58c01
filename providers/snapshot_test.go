// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
)

// keeper is a database with data disks of these names, each mounted below /srv.
func keeper(n string, disks ...string) envs.Machine {
	m := web(n)
	m.Name, m.Kind, m.Stateless = "db-"+n, "db", false
	for _, d := range disks {
		m.Data = append(m.Data, envs.Data{Name: d, Size: 64 << 20, Mount: "/srv/" + d})
	}
	return m
}

func names(list []providers.Snapshot) string {
	var all []string
	for _, s := range list {
		all = append(all, s.Disk.Machine+"/"+s.Disk.Name+"@"+s.Name)
	}
	return strings.Join(all, " ")
}

func write(t *testing.T, c *providers.Core, m providers.Machine, text string) {
	t.Helper()
	on(t, c, m, "for d in /srv/*; do echo "+text+" | sudo tee $d/row; done")
}

func rows(t *testing.T, c *providers.Core, m providers.Machine) string {
	t.Helper()
	return on(t, c, m, "cat /srv/*/row")
}

func TestASnapshotOfAllDisksComesBackWithTheMachinesStarted(t *testing.T) {
	at := world(t, nil)
	c := at(keeper("1", "a", "b"), keeper("2", "a"), web("1"))
	m := up(t, c, providers.UpOptions{}).Machines
	write(t, c, m[0], "one")
	write(t, c, m[1], "one")
	if _, err := c.Stop(t.Context(), []string{"db-2"}); err != nil {
		t.Fatal(err)
	}
	saved, err := c.SaveSnapshot(t.Context(), "first", "", time.Now())
	if err != nil || names(saved.Snapshots) != "db-1/a@first db-1/b@first db-2/a@first" || len(saved.Unflushed) != 0 {
		t.Fatalf("saved %+v, %v", saved, err)
	}
	write(t, c, m[0], "two")
	if _, err := c.SaveSnapshot(t.Context(), "first", "db-1", time.Now()); providers.CodeOf(err) != providers.Conflict {
		t.Errorf("the same name again: got %v, want a conflict", err)
	}
	res, err := c.RestoreSnapshot(t.Context(), "first", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := rows(t, c, res.Machines[0]); got != "one\none\n" {
		t.Errorf("db-1 holds %q", got)
	}
	if res.Machines[1].State != providers.Stopped {
		t.Errorf("db-2, which was stopped, is %s", res.Machines[1].State)
	}
	if got := fmt.Sprint(actions(res.Changes)); got != "map[db-1:restore db-2:restore]" || !res.Changed() {
		t.Errorf("changes are %s", got)
	}
	gone, err := c.DeleteSnapshot(t.Context(), "first", "db-1")
	if err != nil || names(gone) != "db-1/a@first db-1/b@first" {
		t.Errorf("deleted %s, %v", names(gone), err)
	}
	if left, err := c.Snapshots(t.Context(), ""); err != nil || names(left) != "db-2/a@first" {
		t.Errorf("left are %s, %v", names(left), err)
	}
}

func TestASaveThatFailsKeepsNothing(t *testing.T) {
	fail := map[string]any{"fail": map[string]any{"save_snapshot": map[string]any{"code": "exhausted", "message": "no room"}}}
	c := world(t, fail)(keeper("1", "a", "b"))
	up(t, c, providers.UpOptions{})
	if _, err := c.SaveSnapshot(t.Context(), "first", "", time.Now()); providers.CodeOf(err) != providers.Exhausted {
		t.Errorf("got %v, want exhausted", err)
	}
	if left, err := c.Snapshots(t.Context(), ""); err != nil || len(left) != 0 {
		t.Errorf("left are %s, %v; want none", names(left), err)
	}
}

func TestOnlySnapshotsThatNobodyNamedArePruned(t *testing.T) {
	c := world(t, nil)(keeper("1", "a"))
	c.Plan.Keep = &envs.Keep{Monthly: 1}
	up(t, c, providers.UpOptions{})
	for i, name := range []string{"", "before-upgrade", ""} {
		saved, err := c.SaveSnapshot(t.Context(), name, "", time.Date(2026, 11, 21, 15, 4, i, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if i == 2 {
			want = "db-1/a@20261121t150400z"
		}
		if got := names(saved.Pruned); got != want {
			t.Errorf("save %d pruned %q, want %q", i, got, want)
		}
	}
	left, err := c.Snapshots(t.Context(), "")
	if got := names(left); err != nil || len(left) != 2 || !strings.Contains(got, "@before-upgrade") || !strings.Contains(got, "@20261121t150402z") {
		t.Errorf("left are %q, %v; want the named one and the last", got, err)
	}
}

func TestARestoreThatFailsStartsTheMachinesAgain(t *testing.T) {
	fail := map[string]any{"fail": map[string]any{"restore_snapshot": map[string]any{"code": "internal", "message": "a broken disk"}}}
	c := world(t, fail)(keeper("1", "a"))
	m := up(t, c, providers.UpOptions{}).Machines[0]
	write(t, c, m, "one")
	if _, err := c.SaveSnapshot(t.Context(), "first", "", time.Now()); err != nil {
		t.Fatal(err)
	}
	write(t, c, m, "two")
	if _, err := c.RestoreSnapshot(t.Context(), "first", ""); err == nil || !strings.Contains(err.Error(), "a broken disk") {
		t.Errorf("got %v", err)
	}
	left, err := c.Status(t.Context(), false)
	if err != nil || left[0].State != providers.Running {
		t.Fatalf("the machine is %+v, %v; want it running", left, err)
	}
	up(t, c, providers.UpOptions{})
	if got := rows(t, c, left[0].Machine); got != "two\n" {
		t.Errorf("the disk holds %q, want what was there", got)
	}
}

func TestRestoreRefusesBeforeAnythingStops(t *testing.T) {
	c := world(t, nil)(keeper("1", "a"))
	up(t, c, providers.UpOptions{})
	if _, err := c.SaveSnapshot(t.Context(), "first", "", time.Now()); err != nil {
		t.Fatal(err)
	}
	state := func() providers.State {
		s, err := c.Status(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		return s[0].State
	}
	if _, err := c.RestoreSnapshot(t.Context(), "second", ""); providers.CodeOf(err) != providers.NotFound || !strings.Contains(err.Error(), "there are first") {
		t.Errorf("an unknown name: got %v", err)
	}
	c.Plan.Protected = true
	if _, err := c.RestoreSnapshot(t.Context(), "first", ""); providers.CodeOf(err) != providers.Denied {
		t.Errorf("protected: got %v", err)
	}
	if _, err := c.DeleteSnapshot(t.Context(), "first", ""); providers.CodeOf(err) != providers.Denied {
		t.Errorf("delete, protected: got %v", err)
	}
	c.Plan.Protected = false
	if got := state(); got != providers.Running {
		t.Errorf("it is %s after refusals", got)
	}
	if _, err := c.Suspend(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RestoreSnapshot(t.Context(), "first", ""); providers.CodeOf(err) != providers.Conflict || !strings.Contains(err.Error(), "what it holds in memory belongs to the disk as it is") {
		t.Errorf("suspended: got %v", err)
	}
	if got := state(); got != providers.Suspended {
		t.Errorf("it is %s after a refusal", got)
	}
}

func TestSuspendAndResumeNeedAPlaceThatCan(t *testing.T) {
	c := providers.Core{Plan: plan(web("1")), Provider: &place{machines: []providers.Machine{recorded(web("1"))}}, Plugin: local}
	calls := map[string]func() error{
		"suspend":          func() error { _, err := c.Suspend(t.Context(), nil); return err },
		"resume":           func() error { _, err := c.Resume(t.Context(), nil); return err },
		"snapshot save":    func() error { _, err := c.SaveSnapshot(t.Context(), "", "", time.Now()); return err },
		"snapshot list":    func() error { _, err := c.Snapshots(t.Context(), ""); return err },
		"snapshot restore": func() error { _, err := c.RestoreSnapshot(t.Context(), "x", ""); return err },
		"snapshot delete":  func() error { _, err := c.DeleteSnapshot(t.Context(), "x", ""); return err },
	}
	for name, call := range calls {
		if err := call(); providers.CodeOf(err) != providers.Unsupported {
			t.Errorf("%s: got %v, want unsupported", name, err)
		}
	}
}

func TestResumeBringsBackWhatWasAndSettlesWhatChangedMeanwhile(t *testing.T) {
	at := world(t, served)
	c := at(healthy("1"), healthy("2"))
	before := up(t, c, providers.UpOptions{}).Machines
	on(t, c, before[0], "echo here >/run/mark")
	suspended, err := c.Suspend(t.Context(), nil)
	if err != nil || len(suspended) != 2 {
		t.Fatalf("suspended %+v, %v", suspended, err)
	}
	m := healthy("1")
	m.Settings = map[string]string{"TITLE": "new"}
	c = at(m, healthy("2"))
	res, err := c.Resume(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Machines[0]; got.Address != before[0].Address || !cmp.Equal(got.Ports, before[0].Ports) {
		t.Errorf("address and ports were %v, are %v", before[0], got)
	}
	if got := on(t, c, res.Machines[0], "cat /run/mark; sudo cat /etc/evenkeel/settings.env"); !strings.Contains(got, "here\n") || !strings.Contains(got, `TITLE="new"`) {
		t.Errorf("after resume web-1 holds %q", got)
	}
	if again := up(t, c, providers.UpOptions{}); again.Changed() {
		t.Errorf("up after resume changed %+v", again.Changes)
	}
}

func TestDownNamesTheDataItKeepsAndAnotherClientFindsIt(t *testing.T) {
	at := world(t, nil)
	c := at(keeper("1", "a"))
	m := up(t, c, providers.UpOptions{}).Machines[0]
	write(t, c, m, "one")
	gone, err := c.Down(t.Context(), true)
	if err != nil || len(gone.Machines) != 1 || len(gone.Data) != 1 || gone.Data[0].Name != "a" || gone.Data[0].Size != 64<<20 {
		t.Fatalf("down came to %+v, %v", gone, err)
	}
	c = at(keeper("1", "a"))
	m = up(t, c, providers.UpOptions{}).Machines[0]
	if got := rows(t, c, m); got != "one\n" {
		t.Errorf("another client finds %q", got)
	}
	if _, err := c.Rebuild(context.WithoutCancel(t.Context()), []string{"db"}, providers.RollOptions{AllowDowntime: true}); err != nil {
		t.Fatal(err)
	}
	if gone, err = c.Down(t.Context(), false); err != nil || len(gone.Data) != 1 {
		t.Fatalf("down --data came to %+v, %v", gone, err)
	}
	if left, err := c.Provider.ListEnvs(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("left are %+v, %v", left, err)
	}
}
