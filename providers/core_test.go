// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
)

func plan(machines ...envs.Machine) *envs.Plan {
	return &envs.Plan{Env: "shop.laptop", Project: "7f3a9c", Name: "shop", Tier: "laptop", Provider: "fake", Machines: machines}
}

var local = providers.Plugin{Name: "place", Traits: providers.Traits{Local: true}}

func web(n string) envs.Machine {
	return envs.Machine{Name: "web-" + n, Kind: "web", Image: "images/web.yaml", ImageKey: strings.Repeat("a", 64), CPUs: 1, Memory: 512 << 20, Disk: 4 << 30, Stateless: true}
}

// recorded is web-N as its place would list it, made from m.
func recorded(m envs.Machine) providers.Machine {
	spec := providers.Spec{CPUs: m.CPUs, Memory: m.Memory, Disk: m.Disk, ImageKey: m.ImageKey}
	return providers.Machine{
		ID: "id-" + m.Name, Env: "shop.laptop", Name: m.Name, State: providers.Running, SSH: "127.0.0.1:1",
		Labels: providers.Labels{providers.LabelProject: "7f3a9c", providers.LabelSpec: spec.Digest(), providers.LabelImageKey: m.ImageKey},
	}
}

func actions(changes []providers.Change) map[string]providers.Action {
	got := map[string]providers.Action{}
	for _, c := range changes {
		got[c.Machine] = c.Action
	}
	return got
}

func TestDiffNamesWhatWouldBeDone(t *testing.T) {
	bigger, published, partial, stopped := web("3"), web("4"), recorded(web("5")), recorded(web("6"))
	bigger.Memory = 1 << 30
	published.Publish = []envs.Publish{{Port: 80, Proto: "tcp"}}
	partial.State, stopped.State = providers.Partial, providers.Stopped
	silent := providers.Machine{ID: "id-web-7", Env: "shop.laptop", Name: "web-7", State: providers.Unknown}
	old := recorded(web("9"))
	p := &place{machines: []providers.Machine{recorded(web("2")), recorded(web("3")), recorded(web("4")), partial, stopped, silent, old}}
	c := providers.Core{Plan: plan(web("1"), web("2"), bigger, published, web("5"), web("6"), web("7")), Provider: p, Plugin: local}

	changes, err := c.Diff(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]providers.Action{
		"web-1": providers.Create, "web-2": providers.Same, "web-3": providers.Replace, "web-4": providers.Settle,
		"web-5": providers.Remake, "web-6": providers.Start, "web-7": providers.Await, "web-9": providers.Extra,
	}
	if diff := cmp.Diff(want, actions(changes)); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
	if len(p.deleted)+len(p.calls) != 0 {
		t.Errorf("Diff touched the place: %v %v", p.calls, p.deleted)
	}
}

func TestAnotherProjectsEnvironmentIsRefusedByEveryVerb(t *testing.T) {
	theirs := recorded(web("1"))
	theirs.Labels[providers.LabelProject] = "000000"
	p := &place{machines: []providers.Machine{theirs}}
	c := providers.Core{Plan: plan(web("1")), Provider: p}
	verbs := map[string]func() error{
		"up":   func() error { _, err := c.Up(t.Context(), providers.UpOptions{Replace: true}); return err },
		"down": func() error { _, err := c.Down(t.Context(), false); return err },
		"rebuild": func() error {
			_, err := c.Rebuild(t.Context(), []string{"web-1"}, providers.RollOptions{AllowDowntime: true, DestroyData: true})
			return err
		},
		"status": func() error { _, err := c.Status(t.Context(), true); return err },
		"diff":   func() error { _, err := c.Diff(t.Context()); return err },
	}
	for name, verb := range verbs {
		if err := verb(); providers.CodeOf(err) != providers.Conflict || !strings.Contains(err.Error(), "another project") {
			t.Errorf("%s: got %v, want a conflict that names the other project", name, err)
		}
	}
	if len(p.deleted)+len(p.calls) != 0 {
		t.Errorf("the other project's environment was touched: %v %v", p.calls, p.deleted)
	}
}

func TestUnknownIsNeverAbsent(t *testing.T) {
	p := &place{machines: []providers.Machine{{Env: "away"}}}
	c := providers.Core{Plan: plan(web("1")), Provider: p}
	if _, err := c.Up(t.Context(), providers.UpOptions{}); providers.CodeOf(err) != providers.Unavailable {
		t.Errorf("Up over a place that does not answer: got %v, want unavailable", err)
	}
	if len(p.calls) != 0 {
		t.Errorf("something was made on unknown: %v", p.calls)
	}
}

func TestUpAsksTheProviderBeforeItMakesAnything(t *testing.T) {
	p := &place{problems: []providers.Problem{{Message: "cpus is 64, this place has 2", Hint: "lower cpus"}}}
	c := providers.Core{Plan: plan(web("1"), web("2")), Provider: p}
	_, err := c.Up(t.Context(), providers.UpOptions{})
	if e, ok := errors.AsType[*providers.Error](err); !ok || e.Hint != "lower cpus" {
		t.Errorf("got %#v, want what to do, once", err)
	}
	if err == nil || !strings.Contains(err.Error(), "web-1: cpus is 64") || !strings.Contains(err.Error(), "web-2: cpus is 64") {
		t.Errorf("got %v, want both machines' problems", err)
	}
	if len(p.calls) != 0 {
		t.Errorf("made although refused: %v", p.calls)
	}
}

func TestUpThatMadeNothingLeavesNoEnvironmentBehind(t *testing.T) {
	p := &place{}
	c := providers.Core{Plan: plan(web("1"), web("2")), Provider: p}
	_, err := c.Up(t.Context(), providers.UpOptions{})
	stage, ok := errors.AsType[*providers.StageError](err)
	if !ok || stage.Stage != providers.StageCreate || providers.CodeOf(err) != providers.Exhausted {
		t.Fatalf("got %v, want a failure of stage create that keeps its code", err)
	}
	for _, name := range []string{"web-1", "web-2"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s: one failure hides the other", err, name)
		}
	}
	if want := []string{"env shop.laptop but its data"}; !cmp.Equal(p.deleted, want) {
		t.Errorf("deleted %v, want %v", p.deleted, want)
	}
}

func TestWhatWouldLoseDataIsRefusedBeforeAnythingIsTouched(t *testing.T) {
	db := web("1")
	db.Name, db.Kind, db.Stateless = "db-1", "db", false
	grown := db
	grown.Disk *= 2
	p := &place{machines: []providers.Machine{recorded(db)}}
	c := providers.Core{Plan: plan(grown), Provider: p, Plugin: providers.Plugin{Traits: providers.Traits{Local: true}}}
	cases := map[string]func() error{
		"up --replace": func() error { _, err := c.Up(t.Context(), providers.UpOptions{Replace: true}); return err },
		"rebuild": func() error {
			_, err := c.Rebuild(t.Context(), []string{"db"}, providers.RollOptions{AllowDowntime: true})
			return err
		},
		"rebuild of the only one of its kind": func() error {
			_, err := c.Rebuild(t.Context(), []string{"db"}, providers.RollOptions{DestroyData: true})
			return err
		},
		"rebuild of nothing": func() error {
			_, err := c.Rebuild(t.Context(), nil, providers.RollOptions{AllowDowntime: true, DestroyData: true})
			return err
		},
		"rebuild of an unknown name": func() error {
			_, err := c.Rebuild(t.Context(), []string{"cache"}, providers.RollOptions{AllowDowntime: true, DestroyData: true})
			return err
		},
		"start of an unknown machine": func() error { _, err := c.Start(t.Context(), []string{"cache"}); return err },
	}
	for name, verb := range cases {
		if err := verb(); err == nil {
			t.Errorf("%s: was not refused", name)
		}
	}
	if len(p.deleted)+len(p.calls) != 0 {
		t.Errorf("something was touched: %v %v", p.calls, p.deleted)
	}
}

func TestWhatCannotBeReplacedIsNotDeleted(t *testing.T) {
	bigger := web("1")
	bigger.Memory *= 2
	big := images.Image{Key: web("1").ImageKey, DiskSize: 8 << 30}
	formats := local
	formats.Formats = []images.Format{"raw"}
	cases := map[string]struct {
		problems []providers.Problem
		image    func(context.Context, string, providers.Progress) (images.Image, error)
	}{
		"an image that cannot be built": {nil, func(context.Context, string, providers.Progress) (images.Image, error) {
			return images.Image{}, errors.New("no room")
		}},
		"an image larger than the disk":    {nil, func(context.Context, string, providers.Progress) (images.Image, error) { return big, nil }},
		"a spec that the provider refuses": {[]providers.Problem{{Message: "no memory"}}, nil},
	}
	for name, test := range cases {
		verbs := map[string]func(*providers.Core) error{
			"up --replace": func(c *providers.Core) error {
				_, err := c.Up(t.Context(), providers.UpOptions{Replace: true})
				return err
			},
			"rebuild": func(c *providers.Core) error {
				_, err := c.Rebuild(t.Context(), []string{"web-1"}, providers.RollOptions{AllowDowntime: true})
				return err
			},
		}
		for verb, f := range verbs {
			p := &place{machines: []providers.Machine{recorded(web("1"))}, problems: test.problems}
			err := f(&providers.Core{Plan: plan(bigger), Provider: p, Plugin: formats, Image: test.image})
			if err == nil || len(p.deleted) != 0 {
				t.Errorf("%s, %s: deleted %v, error %v; want nothing deleted and an error", name, verb, p.deleted, err)
			}
		}
	}
}

func TestWhatItsPlaceDoesNotSpeakOfIsNeverDeletedNorPassedOver(t *testing.T) {
	for _, state := range []providers.State{providers.Unknown, providers.Partial} {
		silent := providers.Machine{ID: "id-web-1", Env: "shop.laptop", Name: "web-1", State: state}
		p := &place{machines: []providers.Machine{silent}}
		c := providers.Core{Plan: plan(web("1")), Provider: p, Plugin: local}
		if _, err := c.Up(t.Context(), providers.UpOptions{Replace: true, Roll: providers.RollOptions{DestroyData: true}}); err == nil {
			t.Errorf("%s: up succeeded", state)
		}
		if len(p.deleted) != 0 || !slices.Contains(p.calls, "put machine web-1") {
			t.Errorf("%s: deleted %v, calls %v; want PutMachine to judge, which alone can tell a dead run from a live one", state, p.deleted, p.calls)
		}
		status, err := c.Status(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		if s := status[0]; s.Differs || s.Unreachable != (state == providers.Unknown) {
			t.Errorf("%s: differs %t, unreachable %t (%s)", state, s.Differs, s.Unreachable, s.Reason)
		}
	}
}

func TestWhatIsLeftOfAnotherProjectsEnvironmentIsNotTouched(t *testing.T) {
	p := &place{envs: []providers.EnvInfo{{Env: "other.laptop", Project: "000000"}, {Env: "shop.laptop", Project: "000000"}}}
	c := providers.Core{Plan: plan(web("1")), Provider: p}
	if _, err := c.Down(t.Context(), false); providers.CodeOf(err) != providers.Conflict {
		t.Errorf("down --data: got %v, want a conflict", err)
	}
	if len(p.deleted) != 0 {
		t.Errorf("deleted %v", p.deleted)
	}
}

func TestAnEnvironmentThatCameToLifeIsNoGarbageAnyMore(t *testing.T) {
	p := &place{}
	g := providers.Garbage{EnvInfo: providers.EnvInfo{Env: "shop.laptop", Partial: true}, Reason: "without any machine for 2h0m0s"}
	p.machines = append(p.machines, recorded(web("1"))) // an `up` began while the user was asked
	if err := providers.Collect(t.Context(), p, g); err != nil || len(p.deleted) != 0 {
		t.Errorf("deleted %v, %v; want nothing", p.deleted, err)
	}
}

func TestGarbageIsExpiredOrLongHalfMade(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	p := &place{
		envs: []providers.EnvInfo{
			{Env: "old.ci", Created: ago(5 * time.Hour), Expires: ago(3 * time.Hour), Machines: 1},
			{Env: "live.ci", Created: ago(5 * time.Hour), Expires: now.Add(time.Hour), Machines: 1},
			{Env: "half.laptop", Created: ago(2 * time.Hour), Machines: 2, Partial: true},
			{Env: "young.laptop", Created: ago(10 * time.Minute), Machines: 1, Partial: true},
			{Env: "net.laptop", Created: ago(2 * time.Hour), Partial: true},
		},
		machines: []providers.Machine{
			{ID: "h1", Env: "half.laptop", Name: "web-1", State: providers.Partial, Created: ago(2 * time.Hour)},
			{ID: "h2", Env: "half.laptop", Name: "web-2", State: providers.Stopped, Created: ago(2 * time.Hour)},
			{ID: "y1", Env: "young.laptop", Name: "web-1", State: providers.Partial, Created: ago(10 * time.Minute)},
		},
	}
	garbage, err := providers.ListGarbage(t.Context(), p, now)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range garbage {
		got = append(got, g.Env+" "+strings.Join(g.Only, ","))
		if err := providers.Collect(t.Context(), p, g); err != nil {
			t.Errorf("collect %s: %v", g.Env, err)
		}
	}
	if want := []string{"old.ci ", "half.laptop h1", "net.laptop "}; !cmp.Equal(got, want) {
		t.Errorf("garbage %q, want %q", got, want)
	}
	// The expired environment goes with its data, the one without machines keeps it, the stopped machine keeps its environment.
	if want := []string{"env old.ci", "h1", "env net.laptop but its data"}; !cmp.Equal(p.deleted, want) {
		t.Errorf("deleted %q, want %q", p.deleted, want)
	}
}

// switched is a place whose machines can be stopped.
type switched struct{ *place }

func (p switched) StopMachine(_ context.Context, id string) error {
	p.called("stop " + id)
	return nil
}

func (p switched) StartMachine(context.Context, string) (providers.Machine, error) {
	return providers.Machine{}, errPlace
}

func TestStopAsksAlsoForWhatItsPlaceDoesNotSpeakOf(t *testing.T) {
	silent, down := recorded(web("2")), recorded(web("3"))
	silent.State, down.State = providers.Unknown, providers.Stopped
	p := &place{machines: []providers.Machine{recorded(web("1")), silent, down}}
	c := providers.Core{Plan: plan(web("1"), web("2"), web("3")), Provider: switched{p}}
	if _, err := c.Stop(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	slices.Sort(p.calls)
	if want := []string{"stop id-web-1", "stop id-web-2"}; !cmp.Equal(p.calls, want) {
		t.Errorf("calls %v, want %v", p.calls, want)
	}
}

func TestPortsThatOnlyLocalPlacesPublishAreNoDifferenceElsewhere(t *testing.T) {
	published := web("1")
	published.Publish = []envs.Publish{{Port: 80, Proto: "tcp"}}
	for isLocal, want := range map[bool]providers.Action{true: providers.Settle, false: providers.Same} {
		p := &place{machines: []providers.Machine{recorded(web("1"))}}
		c := providers.Core{Plan: plan(published), Provider: p, Plugin: providers.Plugin{Traits: providers.Traits{Local: isLocal}}}
		changes, err := c.Diff(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := changes[0].Action; got != want {
			t.Errorf("local %t: %s, want %s", isLocal, got, want)
		}
	}
}

// asked is a place that keeps what it is asked about.
type asked struct {
	place
	specs []providers.Spec
}

func (a *asked) Check(_ context.Context, s providers.Spec) ([]providers.Problem, error) {
	a.specs = append(a.specs, s)
	return []providers.Problem{{Message: "no"}}, nil
}

// TestHostsKernelIsAskedAboutTheSystemdOfTheLock: before anything is built, and by nobody whose machines bring their own kernel.
func TestHostsKernelIsAskedAboutTheSystemdOfTheLock(t *testing.T) {
	lock := &images.Lock{Packages: []images.LockedPackage{{Name: "bash", Version: "5"}, {Name: "systemd", Version: "257.9-1~deb13u1"}}}
	for hostKernel, want := range map[bool]string{true: "257.9-1~deb13u1", false: ""} {
		a := &asked{}
		c := providers.Core{Plan: plan(web("1")), Provider: a, Plugin: providers.Plugin{Name: "place", Formats: []images.Format{images.Tar}, Traits: providers.Traits{HostKernel: hostKernel}}}
		c.Plan.Recipes = map[string]*images.Recipe{"images/web.yaml": {Lock: lock}}
		c.Image = func(context.Context, string, providers.Progress) (images.Image, error) {
			t.Error("an image was built")
			return images.Image{}, errPlace
		}
		if _, err := c.Up(t.Context(), providers.UpOptions{}); providers.CodeOf(err) != providers.Invalid {
			t.Errorf("got %v, want the refusal", err)
		}
		if len(a.specs) != 1 || a.specs[0].Systemd != want {
			t.Errorf("host's kernel %t: asked about %+v, want one with systemd %q", hostKernel, a.specs, want)
		}
	}
}
