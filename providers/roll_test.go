// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
)

// watched is a provider whose puts and deletes are told in order, between the machines that got ready.
type watched struct {
	providers.Provider
	mu   sync.Mutex
	log  []string
	fail map[string]error // by "put NAME" or "delete NAME", before it is done
	deaf string           // the name of a machine that answers at no address, until it is deleted
}

func (w *watched) hear(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deaf == name {
		w.deaf = ""
	}
}

func (w *watched) isDeaf(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.deaf == name
}

func (w *watched) ListMachines(ctx context.Context, env string) ([]providers.Machine, error) {
	list, err := w.Provider.ListMachines(ctx, env)
	for i := range list {
		if w.isDeaf(list[i].Name) {
			list[i].SSH = "127.0.0.1:1"
		}
	}
	return list, err
}

func (w *watched) Unwrap() providers.Provider { return w.Provider }

func (w *watched) tell(what string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, what)
	return w.fail[what]
}

func (w *watched) PutMachine(ctx context.Context, s providers.Spec, ref providers.ImageRef, p providers.Progress) (providers.Machine, error) {
	if err := w.tell("put " + s.Name); err != nil {
		return providers.Machine{}, err
	}
	return w.Provider.PutMachine(ctx, s, ref, p)
}

func (w *watched) DeleteMachine(ctx context.Context, id string) error {
	_, name, _ := strings.Cut(id, "/")
	name, _, _ = strings.Cut(name, "@")
	if err := w.tell("delete " + name); err != nil {
		return err
	}
	w.hear(name)
	return w.Provider.DeleteMachine(ctx, id)
}

// watch makes c's provider tell what is done from now on.
func watch(c *providers.Core) *watched {
	w := &watched{Provider: c.Provider, fail: map[string]error{}}
	c.Provider = w
	c.Progress = func(e providers.Event) {
		if e.Stage == providers.StageReady {
			_ = w.tell("ready " + e.Subject)
		}
	}
	return w
}

func (w *watched) want(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(want, w.log); diff != "" {
		t.Errorf("what was done (-want +got):\n%s", diff)
	}
}

// healthy is web-N with a health check that the fake passes.
func healthy(n string) envs.Machine {
	m := web(n)
	m.Health = &envs.Health{HTTP: ":80/", Within: 10 * time.Second}
	return m
}

func surging(n string) envs.Machine {
	m := healthy(n)
	m.Rebuild.Surge = true
	return m
}

// sick is m whose health check fails from now on.
func sick(m envs.Machine) envs.Machine {
	m.Health = &envs.Health{Exec: "echo no database; exit 1", Within: 3 * time.Second}
	return m
}

var served = map[string]any{"http": []int{80}}

func TestRebuildGoesOneAtATimeAndWaitsForHealth(t *testing.T) {
	at := world(t, served)
	c := at(healthy("1"), healthy("2"), healthy("3"))
	up(t, c, providers.UpOptions{})
	w := watch(c)
	if _, err := c.Rebuild(t.Context(), []string{"web"}, providers.RollOptions{}); err != nil {
		t.Fatal(err)
	}
	w.want(t, "delete web-1", "put web-1", "ready web-1", "delete web-2", "put web-2", "ready web-2", "delete web-3", "put web-3", "ready web-3")
}

func TestMaxNeverTakesTheLastHealthyMachine(t *testing.T) {
	at := world(t, served)
	c := at(healthy("1"), healthy("2"), healthy("3"))
	up(t, c, providers.UpOptions{})
	w := watch(c)
	if _, err := c.Rebuild(t.Context(), []string{"web"}, providers.RollOptions{Max: 9}); err != nil {
		t.Fatal(err)
	}
	last := slices.Index(w.log, "delete web-3")
	for _, before := range []string{"delete web-1", "delete web-2", "ready web-1", "ready web-2"} {
		if i := slices.Index(w.log, before); i < 0 || i > last {
			t.Errorf("%s is not before delete web-3: %q", before, w.log)
		}
	}
	if one, two := slices.Index(w.log, "ready web-1"), slices.Index(w.log, "delete web-2"); two > one {
		t.Errorf("two at once were allowed, but web-2 waited for web-1: %q", w.log)
	}
}

func TestTheFirstFailureEndsARollAndSaysWhoWasNotTouched(t *testing.T) {
	at := world(t, served)
	c := at(healthy("1"), healthy("2"), healthy("3"))
	up(t, c, providers.UpOptions{})
	w := watch(c)
	w.fail["put web-2"] = &providers.Error{Code: providers.Exhausted, Op: "create", Subject: "machine web-2", Err: errors.New("no room")}
	_, err := c.Rebuild(t.Context(), []string{"web"}, providers.RollOptions{})
	if providers.CodeOf(err) != providers.Exhausted || !strings.Contains(err.Error(), "not replaced are web-3") {
		t.Errorf("got %v, want the place's refusal, and that web-3 was not replaced", err)
	}
	w.want(t, "delete web-1", "put web-1", "ready web-1", "delete web-2", "put web-2")
}

func TestTheLastHealthyMachineOfAKindStays(t *testing.T) {
	at := world(t, served)
	c := at(healthy("1"), healthy("2"))
	up(t, c, providers.UpOptions{})
	if _, err := c.Stop(t.Context(), []string{"web-2"}); err != nil {
		t.Fatal(err)
	}
	w := watch(c)
	_, err := c.Rebuild(t.Context(), []string{"web-1"}, providers.RollOptions{})
	if providers.CodeOf(err) != providers.Denied || !strings.Contains(err.Error(), "web-2: not healthy: it is stopped") {
		t.Errorf("got %v, want a refusal that names web-2", err)
	}
	w.want(t)
	// The one that does not serve anyway goes first; then the other may.
	if _, err := c.Rebuild(t.Context(), []string{"web"}, providers.RollOptions{}); err != nil {
		t.Fatal(err)
	}
	w.want(t, "delete web-2", "put web-2", "ready web-2", "delete web-1", "put web-1", "ready web-1")
	// Where none serves nothing is lost.
	if _, err := c.Stop(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	w.log = nil
	if _, err := c.Rebuild(t.Context(), []string{"web-1"}, providers.RollOptions{}); err != nil {
		t.Error(err)
	}
	w.want(t, "delete web-1", "put web-1", "ready web-1")
}

func TestAKindOfOneIsReplacedOnlyWithDowntimeOrBySurge(t *testing.T) {
	at := world(t, served)
	allowed := healthy("1")
	allowed.Rebuild.Downtime = true
	c := at(healthy("1"))
	up(t, c, providers.UpOptions{})
	w := watch(c)
	_, err := c.Rebuild(t.Context(), []string{"web"}, providers.RollOptions{})
	if providers.CodeOf(err) != providers.Denied {
		t.Errorf("got %v, want a refusal", err)
	}
	w.want(t)
	cases := []struct {
		name string
		m    envs.Machine
		o    providers.RollOptions
		want []string
	}{
		{"asked for", healthy("1"), providers.RollOptions{AllowDowntime: true}, []string{"delete web-1", "put web-1", "ready web-1"}},
		{"by its definition", allowed, providers.RollOptions{}, []string{"delete web-1", "put web-1", "ready web-1"}},
		{"by surge", surging("1"), providers.RollOptions{}, []string{"put web-1b", "ready web-1", "delete web-1"}},
	}
	for _, test := range cases {
		c := at(test.m)
		w := watch(c)
		if _, err := c.Rebuild(t.Context(), []string{"web"}, test.o); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		w.want(t, test.want...)
	}
}

// With what may be replaced nothing is begun either, and a machine that is sick is the only one of its kind all the same.
func TestAKindOfOneIsRefusedBeforeAnythingElseIsReplaced(t *testing.T) {
	at := world(t, served)
	only := healthy("1")
	only.Name, only.Kind = "api-1", "api"
	up(t, at(healthy("1"), healthy("2"), only), providers.UpOptions{})
	for name, o := range map[string]providers.RollOptions{"one at a time": {}, "all at once": {Max: 9}} {
		for _, m := range []envs.Machine{only, sick(only)} {
			c := at(healthy("1"), healthy("2"), m)
			w := watch(c)
			if _, err := c.Rebuild(t.Context(), []string{"web", "api"}, o); providers.CodeOf(err) != providers.Denied || !strings.Contains(err.Error(), "it is the only api") {
				t.Errorf("%s: got %v, want it refused", name, err)
			}
			w.want(t)
		}
	}
}

func TestSurgeServesThroughoutAndKeepsNamePortAndTrust(t *testing.T) {
	at := world(t, served)
	public := surging("1")
	public.Allow = []envs.Rule{{From: envs.Anywhere, PortLow: 80, PortHigh: 80, Proto: "tcp"}}
	public.Publish = []envs.Publish{{Port: 80, Proto: "tcp"}}
	db := web("1")
	db.Name, db.Kind = "db-1", "db"
	db.Allow = []envs.Rule{{From: "web", PortLow: 5432, PortHigh: 5432, Proto: "tcp"}}
	c := at(db, public)
	old := up(t, c, providers.UpOptions{}).Machines[1]
	for round, want := range [][]string{
		{"put web-1b", "ready web-1", "delete web-1", "put web-1b"},
		{"put web-1", "ready web-1", "delete web-1b", "put web-1"},
	} {
		w := watch(c)
		res, err := c.Rebuild(t.Context(), []string{"web-1"}, providers.RollOptions{})
		if err != nil {
			t.Fatal(err)
		}
		w.want(t, want...)
		c.Provider = w.Provider
		if len(res.Machines) != 2 {
			t.Fatalf("round %d: there are %+v", round, res.Machines)
		}
		db, young := res.Machines[0], res.Machines[1]
		if young.Name != "web-1" || !cmp.Equal(young.Ports, old.Ports) {
			t.Errorf("round %d: it is called %s and publishes %v, want web-1 and %v", round, young.Name, young.Ports, old.Ports)
		}
		if got := on(t, c, young, "hostname"); got != "web-1\n" {
			t.Errorf("round %d: its host name is %q", round, got)
		}
		hosts, rules := on(t, c, db, "cat /etc/hosts"), on(t, c, db, "cat /etc/evenkeel/nft/rules.nft")
		if !strings.Contains(hosts, young.Address+" web-1 web-1.shop.laptop web\n") || strings.Count(hosts, " web-1 ") != 1 {
			t.Errorf("round %d: db-1 knows it as\n%s", round, hosts)
		}
		if !strings.Contains(rules, young.Address) || young.Address != old.Address && strings.Contains(rules, old.Address+" ") {
			t.Errorf("round %d: the rules of db-1 are\n%s", round, rules)
		}
		if again := up(t, c, providers.UpOptions{}); again.Changed() {
			t.Errorf("round %d: up afterwards changed %+v", round, again.Changes)
		}
		old = young
	}
}

func TestASurgeWhoseNewMachineIsSickKeepsTheOldOne(t *testing.T) {
	at := world(t, served)
	old := up(t, at(surging("1"), surging("2")), providers.UpOptions{}).Machines
	c := at(sick(surging("1")), sick(surging("2")))
	w := watch(c)
	_, err := c.Rebuild(t.Context(), []string{"web"}, providers.RollOptions{})
	if err == nil || !strings.Contains(err.Error(), "no database") || !strings.Contains(err.Error(), "the old one serves on") || !strings.Contains(err.Error(), "not replaced are web-2") {
		t.Errorf("got %v", err)
	}
	w.want(t, "put web-1b", "delete web-1b")
	left, err := c.Provider.ListMachines(t.Context(), c.Plan.Env)
	if err != nil || len(left) != 2 || left[0].ID != old[0].ID || left[1].ID != old[1].ID {
		t.Fatalf("there are %+v, %v; want the two old ones", left, err)
	}
	if hosts := on(t, c, left[1], "cat /etc/hosts"); strings.Count(hosts, " web-1 ") != 1 {
		t.Errorf("web-2 goes on to know the machine that was removed:\n%s", hosts)
	}
}

func TestAMachineThatDoesNotAnswerIsReplacedAllTheSame(t *testing.T) {
	at := world(t, served)
	c := at(surging("1"), healthy("2"), healthy("3"))
	up(t, c, providers.UpOptions{})
	w := watch(c)
	w.deaf = "web-1"
	if _, err := c.Rebuild(t.Context(), []string{"web-1"}, providers.RollOptions{}); err != nil {
		t.Fatal(err)
	}
	w.want(t, "put web-1b", "ready web-1", "delete web-1")
	w.deaf, w.log = "web-3", nil
	if _, err := c.Rebuild(t.Context(), []string{"web-2", "web-3"}, providers.RollOptions{}); err != nil {
		t.Fatal(err)
	}
	w.want(t, "delete web-3", "put web-3", "ready web-3", "delete web-2", "put web-2", "ready web-2") // who may not serve goes before who does
}

func TestACancelledSurgeKeepsTheOldMachine(t *testing.T) {
	at := world(t, served)
	c := at(surging("1"))
	old := up(t, c, providers.UpOptions{}).Machines[0]
	w := watch(c)
	ctx, cancel := context.WithCancel(t.Context())
	told := c.Progress
	c.Progress = func(e providers.Event) {
		told(e)
		if e.Stage == providers.StageHealth {
			cancel()
		}
	}
	if _, err := c.Rebuild(ctx, []string{"web-1"}, providers.RollOptions{}); !errors.Is(err, context.Canceled) || w.log[len(w.log)-1] != "delete web-1b" {
		t.Errorf("got %v after %q", err, w.log)
	}
	left, err := c.Provider.ListMachines(t.Context(), c.Plan.Env)
	if err != nil || len(left) != 1 || left[0].ID != old.ID {
		t.Errorf("there are %+v, %v; want the old one", left, err)
	}
}

func TestOfTwoMachinesThatADeadSurgeLeftOneStays(t *testing.T) {
	dead := errors.New("killed")
	// beforeTheOldGoes leaves a new machine that is finished and healthy.
	beforeTheOldGoes := func(t *testing.T, c *providers.Core) {
		w := watch(c)
		w.fail["delete web-1"] = dead
		if _, err := c.Rebuild(t.Context(), []string{"web-1"}, providers.RollOptions{DestroyData: true}); !errors.Is(err, dead) {
			t.Fatalf("got %v", err)
		}
	}
	full := surging("1")
	full.Stateless = false
	other := surging("1")
	other.Memory *= 2
	cases := []struct {
		name  string
		made  envs.Machine // what both are made from
		leave func(*testing.T, *providers.Core)
		plan  envs.Machine
		lock  bool // protected
		want  string
	}{
		{"the new one, finished and healthy", surging("1"), beforeTheOldGoes, surging("1"), false, "web-1b"},
		{"the old one, where the new one is unfinished", surging("1"), func(t *testing.T, c *providers.Core) { leaveAs(t.Context(), t, c, "web-1b") }, surging("1"), false, "web-1"},
		{"the old one, where the new one is not healthy", surging("1"), beforeTheOldGoes, sick(surging("1")), false, "web-1"},
		{"the old one, where neither is what the plan wants", surging("1"), beforeTheOldGoes, other, false, "web-1"},
		{"the old one, where it may hold data", full, beforeTheOldGoes, full, false, "web-1"},
		{"the old one, where it is protected", surging("1"), beforeTheOldGoes, surging("1"), true, "web-1"},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			at := world(t, served)
			c := at(test.made)
			up(t, c, providers.UpOptions{})
			test.leave(t, at(test.made))
			ids := map[string]string{}
			both, err := c.Provider.ListMachines(t.Context(), c.Plan.Env)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range both {
				ids[m.Name] = m.ID
			}
			c = at(test.plan)
			c.Plan.Protected = test.lock
			if changes, err := c.Diff(t.Context()); err != nil || changes[0].Action == providers.Same {
				t.Errorf("plan says %+v, %v; want that something is to be done", changes, err)
			}
			_, upErr := c.Up(t.Context(), providers.UpOptions{})
			left, err := c.Provider.ListMachines(t.Context(), c.Plan.Env)
			if err != nil || len(left) != 1 || left[0].ID != ids[test.want] {
				t.Fatalf("there are %+v, %v; want %s of %v", left, err, test.want, ids)
			}
			if test.plan.Health.Exec != "" {
				return // it is sick, and up said so
			}
			if upErr != nil {
				t.Fatal(upErr)
			}
			if again := up(t, c, providers.UpOptions{}); again.Changed() || again.Machines[0].Name != "web-1" {
				t.Errorf("up again changed %+v", again.Changes)
			}
		})
	}
}

func TestAnotherRunsSurgeIsLeftAlone(t *testing.T) {
	at := world(t, served)
	c := at(surging("1"))
	up(t, c, providers.UpOptions{})
	theirs := at(surging("1"))
	theirs.Owner = "you@there"
	leaveAs(t.Context(), t, theirs, "web-1b")
	w := watch(c)
	if _, err := c.Rebuild(t.Context(), []string{"web-1"}, providers.RollOptions{}); providers.CodeOf(err) != providers.Conflict {
		t.Errorf("rebuild: got %v, want a conflict", err)
	}
	up(t, c, providers.UpOptions{})
	w.want(t, "ready web-1")
}

func TestReplacingIsRolledWhereMachinesAreElsewhere(t *testing.T) {
	for isLocal, want := range map[bool]string{true: "delete web-2", false: "ready web-1"} {
		t.Run(fmt.Sprint(isLocal), func(t *testing.T) {
			at := world(t, served)
			c := at(healthy("1"), healthy("2"))
			keys := envs.Access{Keys: c.Identity.PublicKeys()} // those that are added on local tiers only
			c.Plan.Access = keys
			up(t, c, providers.UpOptions{})
			m1, m2 := healthy("1"), healthy("2")
			m1.Memory, m2.Memory = 1<<30, 1<<30
			c = at(m1, m2)
			c.Plan.Access, c.Plugin.Traits.Local = keys, isLocal
			w := watch(c)
			res := up(t, c, providers.UpOptions{Replace: true})
			if got := res.Changes[0].Reasons; !cmp.Equal(got, []string{"memory: 512 MiB to 1 GiB"}) {
				t.Errorf("reasons are %q", got)
			}
			// At once: both go before any is ready. Rolled: web-1 is ready before web-2 goes.
			first, then := slices.Index(w.log, "ready web-1"), slices.Index(w.log, "delete web-2")
			if rolled := first < then; rolled == isLocal {
				t.Errorf("log is %q, want %s first", w.log, want)
			}
		})
	}
}

func TestAProtectedEnvironmentAsksForItsIDBeforeAnythingIsTouched(t *testing.T) {
	at := world(t, served)
	up(t, at(healthy("1"), healthy("2")), providers.UpOptions{})
	bigger := healthy("1")
	bigger.Memory = 1 << 30
	verbs := map[string]func(*providers.Core) error{
		"up --replace": func(c *providers.Core) error {
			_, err := c.Up(t.Context(), providers.UpOptions{Replace: true})
			return err
		},
		"rebuild": func(c *providers.Core) error {
			_, err := c.Rebuild(t.Context(), []string{"web-2"}, providers.RollOptions{})
			return err
		},
		"down web-2": func(c *providers.Core) error { _, err := c.Remove(t.Context(), []string{"web-2"}); return err },
		"down":       func(c *providers.Core) error { _, err := c.Down(t.Context(), true); return err },
	}
	for _, name := range []string{"up --replace", "rebuild", "down web-2", "down"} {
		for _, id := range []string{"", "shop.staging", "shop.laptop"} {
			c := at(bigger, healthy("2"))
			c.Plan.Protected, c.Confirmed = true, id
			w := watch(c)
			err := verbs[name](c)
			if id == c.Plan.Env {
				if err != nil {
					t.Errorf("%s with the right ID: %v", name, err)
				}
				continue
			}
			if providers.CodeOf(err) != providers.Denied || !strings.Contains(err.Error(), "protected") {
				t.Errorf("%s with %q: got %v, want denied", name, id, err)
			}
			w.want(t)
		}
	}
}

func TestOfAKindWithDataOnlyItsDataIsKept(t *testing.T) {
	db := web("1")
	db.Name, db.Kind, db.Stateless = "db-1", "db", false
	db.Data = []envs.Data{{Name: "pg", Size: 1 << 30, Mount: "/srv/pg"}}
	was := recorded(db)
	was.Labels[providers.LabelSize] = "cpus=1 memory=512M disk=4G data/pg=512M data/old=1G"
	p := &place{machines: []providers.Machine{was}}
	c := providers.Core{Plan: plan(db), Provider: p, Plugin: local}
	changes, err := c.Diff(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"data pg: 512 MiB to 1 GiB", "data old: not in the definition any more; the disk stays"}
	if !cmp.Equal(changes[0].Reasons, want) {
		t.Errorf("reasons are %q, want %q", changes[0].Reasons, want)
	}
	if _, err := c.Rebuild(t.Context(), []string{"db"}, providers.RollOptions{}); providers.CodeOf(err) != providers.Denied || strings.Contains(err.Error(), "may hold data") {
		t.Errorf("got %v, want the refusal of downtime alone", err)
	}
	surge := db
	surge.Rebuild.Surge = true
	c.Plan = plan(surge)
	if _, err := c.Rebuild(t.Context(), []string{"db"}, providers.RollOptions{}); providers.CodeOf(err) != providers.Invalid {
		t.Errorf("surge with a data disk: got %v, want invalid", err)
	}
	if len(p.deleted)+len(p.calls) != 0 {
		t.Errorf("something was touched: %v %v", p.calls, p.deleted)
	}
}

func TestRefreshReplacesOnlyWhatHasAnotherImage(t *testing.T) {
	at := world(t, served)
	up(t, at(healthy("1"), healthy("2")), providers.UpOptions{})
	renewed := healthy("2")
	renewed.ImageKey = strings.Repeat("c", 64)
	c := at(healthy("1"), renewed)
	w := watch(c)
	res, err := c.Refresh(t.Context(), nil, providers.RollOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.want(t, "delete web-2", "put web-2", "ready web-2")
	if want := []string{"image: aaaaaaaaaaaa to cccccccccccc"}; len(res.Changes) != 1 || !cmp.Equal(res.Changes[0].Reasons, want) {
		t.Errorf("changes are %+v", res.Changes)
	}
	w.log = nil
	if res, err := c.Refresh(t.Context(), nil, providers.RollOptions{}); err != nil || res.Changed() {
		t.Errorf("again: %+v, %v", res, err)
	}
	w.want(t)
}

func TestAMachineThatIsRemovedIsForgottenByTheOthers(t *testing.T) {
	at := world(t, nil)
	up(t, at(web("1"), web("2"), web("3")), providers.UpOptions{})
	c := at(web("1"), web("2"))
	w := watch(c)
	if _, err := c.Remove(t.Context(), []string{"web-3", "web-9"}); providers.CodeOf(err) != providers.Invalid {
		t.Errorf("an unknown name: got %v, want invalid", err)
	}
	w.want(t)
	gone, err := c.Remove(t.Context(), []string{"web-3"})
	if err != nil || len(gone.Machines) != 1 || gone.Machines[0].Name != "web-3" {
		t.Fatalf("removed %+v, %v", gone, err)
	}
	w.want(t, "delete web-3")
	left, err := c.Status(t.Context(), false)
	if err != nil || len(left) != 2 {
		t.Fatalf("left are %+v, %v", left, err)
	}
	if hosts := on(t, c, left[0].Machine, "cat /etc/hosts"); strings.Contains(hosts, "web-3") {
		t.Errorf("web-1 goes on to know web-3:\n%s", hosts)
	}
}
