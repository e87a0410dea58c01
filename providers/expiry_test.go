// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/test/conformance"
)

func TestAnEnvironmentExpiresWithTheLastOfIt(t *testing.T) {
	early, late := time.Unix(1000, 0), time.Unix(2000, 0)
	for _, c := range []struct {
		objects []time.Time
		want    time.Time
	}{
		{nil, time.Time{}},
		{[]time.Time{late, early}, late},
		{[]time.Time{early, {}, late}, time.Time{}},
	} {
		if got := providers.Expiry(c.objects); !got.Equal(c.want) {
			t.Errorf("%v: got %v, want %v", c.objects, got, c.want)
		}
	}
}

func TestAMachineMadeLaterExpiresWithItsEnvironmentAndSwitchesItselfOff(t *testing.T) {
	at := world(t, nil)
	c := at(web("1"))
	c.Plan.TTL = 2 * time.Hour
	before := time.Now()
	first := up(t, c, providers.UpOptions{}).Machines[0].Labels.Time(providers.LabelExpires)
	if first.Before(before.Add(2*time.Hour-time.Second)) || first.After(time.Now().Add(2*time.Hour)) {
		t.Errorf("got expiry %v, want 2 h after %v", first, before)
	}
	c = at(web("1"), web("2"))
	c.Plan.TTL = 5 * time.Hour
	second := up(t, c, providers.UpOptions{}).Machines[1]
	if got := second.Labels.Time(providers.LabelExpires); !got.Equal(first) {
		t.Errorf("a machine made later expires %v, its environment %v", got, first)
	}
	if got, want := on(t, c, second, "grep OnCalendar /etc/systemd/system/evenkeel-expires.timer"), "OnCalendar="+first.Format("2006-01-02 15:04:05 UTC")+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := on(t, c, second, "systemctl is-active evenkeel-expires.timer"); got != "active\n" {
		t.Errorf("the timer is %q", got)
	}
	if res := up(t, c, providers.UpOptions{}); res.Changed() {
		t.Errorf("up again came to %+v", res.Changes)
	}
}

// specs tells what is put.
type specs struct {
	providers.Provider
	mu  sync.Mutex
	put []providers.Spec
}

func (s *specs) Unwrap() providers.Provider { return s.Provider }

func (s *specs) PutMachine(ctx context.Context, spec providers.Spec, ref providers.ImageRef, p providers.Progress) (providers.Machine, error) {
	s.mu.Lock()
	s.put = append(s.put, spec)
	s.mu.Unlock()
	return s.Provider.PutMachine(ctx, spec, ref, p)
}

// A place makes anew what is gone by then.
func TestAMachineWhosePortsChangeKeepsItsEnd(t *testing.T) {
	at := world(t, nil)
	c := at(web("1"))
	c.Plan.TTL = time.Hour
	first := up(t, c, providers.UpOptions{}).Machines[0].Labels[providers.LabelExpires]
	public := web("1")
	public.Allow = []envs.Rule{{From: envs.Anywhere, PortLow: 80, PortHigh: 80, Proto: "tcp"}}
	public.Publish = []envs.Publish{{Port: 80, Proto: "tcp"}}
	c = at(public)
	told := &specs{Provider: c.Provider}
	c.Provider, c.Plan.TTL = told, 9*time.Hour
	up(t, c, providers.UpOptions{})
	if len(told.put) == 0 {
		t.Fatal("nothing was put")
	}
	for _, spec := range told.put {
		if got := spec.Labels[providers.LabelExpires]; got != first || first == "" {
			t.Errorf("put with the end %q, want %q", got, first)
		}
	}
}

func TestNothingIsRestoredIntoAnExpiredEnvironment(t *testing.T) {
	at := world(t, nil)
	db := web("1")
	db.Data = []envs.Data{{Name: "pg", Size: 16 << 20, Mount: "/srv/pg"}}
	c := at(db)
	c.Plan.TTL = time.Hour
	up(t, c, providers.UpOptions{})
	if _, err := c.SaveSnapshot(t.Context(), "before", "", time.Now()); err != nil {
		t.Fatal(err)
	}
	c.At(func() time.Time { return time.Now().Add(2 * time.Hour) })
	if _, err := c.RestoreSnapshot(t.Context(), "before", ""); providers.CodeOf(err) != providers.Denied || !strings.Contains(err.Error(), "it expired 1h") {
		t.Errorf("got %v, want that it expired", err)
	}
}

func TestAMachineWithoutTTLHasNoTimer(t *testing.T) {
	c := world(t, nil)(web("1"))
	m := up(t, c, providers.UpOptions{}).Machines[0]
	if got := on(t, c, m, "ls /etc/systemd/system 2>/dev/null | grep -c expires || :"); got != "0\n" {
		t.Errorf("got %q files", got)
	}
	// What was made to stay does not begin to expire because the definition says so now, nor does what joins it.
	c.Plan.Machines, c.Plan.TTL = []envs.Machine{web("1"), web("2")}, time.Hour
	for _, m := range up(t, c, providers.UpOptions{}).Machines {
		if text, ok := m.Labels[providers.LabelExpires]; ok {
			t.Errorf("%s expires %s", m.Name, text)
		}
	}
}

// expiring is web-1 as its place would list it, of an environment that expires at that time.
func expiring(at time.Time) providers.Machine {
	m := recorded(web("1"))
	m.Labels[providers.LabelExpires] = at.UTC().Format(time.RFC3339)
	return m
}

func TestAnExpiredEnvironmentIsNotUsedAnyMore(t *testing.T) {
	ended := time.Now().Add(-3 * time.Hour)
	disk := providers.DataDisk{DataRef: providers.DataRef{Env: "shop.laptop", Machine: "db-1", Name: "pg"}, Size: 1 << 30}
	for what, p := range map[string]*place{
		"machines":   {machines: []providers.Machine{expiring(ended)}, envs: []providers.EnvInfo{{Env: "shop.laptop", Project: "7f3a9c", Machines: 1, Expires: ended}}},
		"data alone": {envs: []providers.EnvInfo{{Env: "shop.laptop", Project: "7f3a9c", Expires: ended, Data: []providers.DataDisk{disk}}}},
	} {
		c := providers.Core{Plan: plan(web("1")), Provider: switched{p}, Plugin: local}
		for verb, f := range map[string]func() error{
			"up":      func() error { _, err := c.Up(t.Context(), providers.UpOptions{}); return err },
			"start":   func() error { _, err := c.Start(t.Context(), nil); return err },
			"rebuild": func() error { _, err := c.Rebuild(t.Context(), []string{"web-1"}, providers.RollOptions{}); return err },
			"refresh": func() error { _, err := c.Refresh(t.Context(), nil, providers.RollOptions{}); return err },
			"plan":    func() error { _, err := c.Diff(t.Context()); return err },
			"check":   func() error { return c.Check(t.Context()) },
		} {
			err := f()
			if providers.CodeOf(err) != providers.Denied || !strings.Contains(err.Error(), "it expired 3h0m0s ago") {
				t.Errorf("%s, %s: got %v, want that it expired 3h ago", what, verb, err)
			}
		}
		if _, err := c.Status(t.Context(), false); err != nil {
			t.Errorf("%s: status: %v", what, err)
		}
		if at, err := c.Expires(t.Context()); err != nil || at.Unix() != ended.Unix() {
			t.Errorf("%s: expires %v, %v; want %v", what, at, err, ended)
		}
		if len(p.calls)+len(p.deleted) != 0 {
			t.Errorf("%s: touched: %v %v", what, p.calls, p.deleted)
		}
		gone, err := c.Down(t.Context(), true)
		if err != nil || gone.DataKept {
			t.Errorf("%s: down kept data: %+v, %v", what, gone, err)
		}
		if want := []string{"env shop.laptop"}; !cmp.Equal(p.deleted, want) {
			t.Errorf("%s: deleted %q, want %q", what, p.deleted, want)
		}
	}
}

func TestDownKeepsDataThatWasMadeToStay(t *testing.T) {
	p := &place{machines: []providers.Machine{expiring(time.Now().Add(time.Hour))}, envs: []providers.EnvInfo{{Env: "shop.laptop", Project: "7f3a9c", Machines: 1}}}
	c := providers.Core{Plan: plan(web("1")), Provider: p, Plugin: local}
	c.Plan.TTL = time.Hour
	if gone, err := c.Down(t.Context(), true); err != nil || !gone.DataKept {
		t.Errorf("got %+v, %v; want data kept", gone, err)
	}
}

func TestWhatCameToLifeAnewIsNotCollectedForItsPredecessor(t *testing.T) {
	now := time.Now()
	p := &place{envs: []providers.EnvInfo{{Env: "shop.ci", Machines: 1, Expires: now.Add(-time.Hour)}}}
	garbage, err := providers.ListGarbage(t.Context(), p, now)
	if err != nil || len(garbage) != 1 {
		t.Fatalf("got %+v, %v", garbage, err)
	}
	p.envs[0].Expires = now.Add(time.Hour) // another client collected it, and `up` made it anew
	if err := providers.Collect(t.Context(), p, garbage[0]); err != nil || len(p.deleted) != 0 {
		t.Errorf("deleted %v, %v; want nothing", p.deleted, err)
	}
}

func TestHowLongAgoSomethingExpiredIsSaidToTheSecondWhileItIsShort(t *testing.T) {
	now := time.Now()
	for span, want := range map[time.Duration]string{20 * time.Second: "expired 20s ago", 90 * time.Minute: "expired 1h30m0s ago"} {
		p := &place{envs: []providers.EnvInfo{{Env: "shop.ci", Machines: 1, Expires: now.Add(-span)}}}
		garbage, err := providers.ListGarbage(t.Context(), p, now)
		if err != nil || len(garbage) != 1 || garbage[0].Reason != want {
			t.Errorf("got %+v, %v; want %q", garbage, err, want)
		}
	}
}

// What a dead run left beside a data disk that is kept for a while yet goes; the disk stays until its time.
func TestLeftoversOfAnEnvironmentThatExpiresLaterAreCollected(t *testing.T) {
	now := time.Now()
	disk := providers.DataDisk{DataRef: providers.DataRef{Env: "shop.ci", Machine: "db-1", Name: "pg"}, Size: 1 << 30}
	p := &place{envs: []providers.EnvInfo{{Env: "shop.ci", Partial: true, Data: []providers.DataDisk{disk}, Created: now.Add(-2 * time.Hour), Expires: now.Add(time.Hour)}}}
	garbage, err := providers.ListGarbage(t.Context(), p, now)
	if err != nil || len(garbage) != 1 {
		t.Fatalf("got %+v, %v", garbage, err)
	}
	if err := providers.Collect(t.Context(), p, garbage[0]); err != nil {
		t.Fatal(err)
	}
	if want := []string{"env shop.ci but its data"}; !cmp.Equal(p.deleted, want) {
		t.Errorf("deleted %q, want %q", p.deleted, want)
	}
}

func TestUnitsOfTheEndAreRightForSystemd(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	conformance.Require(t, "systemd", err)
	dir := t.TempDir()
	files := []string{"verify"}
	for name, text := range providers.ExpiryUnits(time.Now().Add(time.Hour)) {
		file := filepath.Join(dir, "evenkeel-"+name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	if out, err := exec.Command(verify, files...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
