// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/fake"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

func TestMain(m *testing.M) {
	fake.Main()
	os.Exit(m.Run())
}

// world is a fake place of its own; config adds to the fake's block.
func world(t *testing.T, config map[string]any) func(...envs.Machine) *providers.Core {
	t.Helper()
	dir := t.TempDir()
	identity, err := ssh.LoadIdentity("", filepath.Join(dir, "id"))
	if err != nil {
		t.Fatal(err)
	}
	return func(machines ...envs.Machine) *providers.Core {
		t.Helper()
		block := map[string]any{"world": filepath.Join(dir, "world")}
		for k, v := range config {
			block[k] = v
		}
		raw, err := json.Marshal(block)
		if err != nil {
			t.Fatal(err)
		}
		p, err := fake.Plugin.Open(t.Context(), raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &providers.Core{Plan: plan(machines...), Plugin: fake.Plugin, Provider: p, Identity: identity, Owner: "me@here", Deadline: time.Minute}
		t.Cleanup(func() {
			if err := p.DeleteEnv(context.WithoutCancel(t.Context()), c.Plan.Env, false); err != nil {
				t.Error(err)
			}
		})
		return c
	}
}

func up(t *testing.T, c *providers.Core, o providers.UpOptions) *providers.Result {
	t.Helper()
	res, err := c.Up(t.Context(), o)
	if err != nil {
		t.Fatalf("up: %v", err)
	}
	return res
}

// on runs a line on a machine and returns what it said.
func on(t *testing.T, c *providers.Core, m providers.Machine, line string) string {
	t.Helper()
	client, err := c.Dial(t.Context(), m, "")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var out bytes.Buffer
	if err := client.Run(t.Context(), ssh.Command{Line: line, Stdout: &out, Stderr: &out}); err != nil {
		t.Fatalf("%s: %v: %s", line, err, out.String())
	}
	return out.String()
}

// shop is two web servers that anybody may ask and a database that only they may.
func shop() []envs.Machine {
	w1, w2, db := web("1"), web("2"), web("1")
	db.Name, db.Kind = "db-1", "db"
	for _, w := range []*envs.Machine{&w1, &w2} {
		w.Allow = []envs.Rule{{From: envs.Anywhere, PortLow: 80, PortHigh: 80, Proto: "tcp"}}
		w.Publish = []envs.Publish{{Port: 80, Proto: "tcp"}}
		w.Health = &envs.Health{HTTP: ":80/", Within: 10 * time.Second}
		w.Settings = map[string]string{"TITLE": `a "quoted" $HOME title`}
	}
	db.Allow = []envs.Rule{{From: "web", PortLow: 5432, PortHigh: 5432, Proto: "tcp"}}
	db.Health = &envs.Health{TCP: ":5432", Within: 10 * time.Second}
	return []envs.Machine{db, w1, w2}
}

func TestUpMakesMachinesThatAreVerifiedSettledAndHealthy(t *testing.T) {
	at := world(t, map[string]any{"http": []int{80, 5432}})
	c := at(shop()...)
	res := up(t, c, providers.UpOptions{})
	if got := fmt.Sprint(actions(res.Changes)); got != "map[db-1:create web-1:create web-2:create]" || !res.Changed() || res.Pending {
		t.Fatalf("changes %s, changed %t, pending %t", got, res.Changed(), res.Pending)
	}
	web1, db1 := res.Machines[1], res.Machines[0]

	hosts := on(t, c, web1, "cat /etc/hosts")
	if want := db1.Address + " db-1 db-1.shop.laptop db\n"; !strings.Contains(hosts, want) {
		t.Errorf("/etc/hosts of web-1 lacks %q:\n%s", want, hosts)
	}
	if got := on(t, c, web1, ". /etc/evenkeel/settings.env; echo \"$TITLE\""); got != `a "quoted" $HOME title`+"\n" {
		t.Errorf("a shell reads the setting as %q", got)
	}
	rules := on(t, c, db1, "cat /etc/evenkeel/nft/rules.nft")
	for _, want := range []string{"ip saddr " + web1.Address + " tcp dport 5432 accept", "reject"} {
		if !strings.Contains(rules, want) {
			t.Errorf("rules of db-1 lack %q:\n%s", want, rules)
		}
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", web1.Ports[0].HostPort))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); !strings.Contains(string(body), "web-1") {
		t.Errorf("the published port of web-1 answers %q", body)
	}
	if host := on(t, c, web1, "ls /etc/ssh"); strings.Contains(host, "new") {
		t.Errorf("the bootstrap exchange left files behind: %s", host)
	}

	again := up(t, c, providers.UpOptions{})
	if again.Changed() {
		t.Errorf("up again changed something: %+v", again.Changes)
	}
	status, err := c.Status(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range status {
		if s.Ready == nil || !*s.Ready || s.Differs {
			t.Errorf("%s is not ready: %s", s.Name, s.Reason)
		}
	}
}

func TestWhatSettleLaysFollowsTheDefinition(t *testing.T) {
	at := world(t, map[string]any{"http": []int{80, 5432}})
	machines := shop()
	up(t, at(machines...), providers.UpOptions{})
	machines[1].Settings = map[string]string{"TITLE": "new"}
	c := at(machines...)
	res := up(t, c, providers.UpOptions{})
	want := map[string]providers.Action{"db-1": providers.Same, "web-1": providers.Settle, "web-2": providers.Same}
	if diff := cmp.Diff(want, actions(res.Changes)); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
	if got := on(t, c, res.Machines[1], "cat /etc/evenkeel/settings.env"); got != "TITLE=\"new\"\n" {
		t.Errorf("settings are %q", got)
	}
}

func TestANewMachineIsNamedOnAllOthers(t *testing.T) {
	at := world(t, nil)
	up(t, at(web("1")), providers.UpOptions{})
	c := at(web("1"), web("2"))
	res := up(t, c, providers.UpOptions{Only: []string{"web-2"}})
	if hosts := on(t, c, res.Machines[0], "cat /etc/hosts"); !strings.Contains(hosts, " web-2 ") {
		t.Errorf("web-1, which was not picked, does not know web-2:\n%s", hosts)
	}
}

func TestUpReplacesOnlyWhenToldTo(t *testing.T) {
	at := world(t, nil)
	old := up(t, at(web("1"), web("2")), providers.UpOptions{}).Machines
	bigger := web("1")
	bigger.Memory *= 2
	c := at(bigger, web("2"))
	res := up(t, c, providers.UpOptions{})
	if !res.Pending || res.Changed() || res.Machines[0].ID != old[0].ID {
		t.Errorf("without --replace: pending %t, changed %t, machine %s was %s", res.Pending, res.Changed(), res.Machines[0].ID, old[0].ID)
	}
	res = up(t, c, providers.UpOptions{Replace: true})
	if res.Pending || !res.Changed() || res.Machines[0].Labels[providers.LabelHostCA] == old[0].Labels[providers.LabelHostCA] {
		t.Errorf("with --replace: pending %t, changed %t, host CA as before", res.Pending, res.Changed())
	}
	if res.Machines[1].ID != old[1].ID {
		t.Error("web-2, which did not differ, was replaced")
	}
}

func TestRebuildMakesAnewOnlyWhatWasNamed(t *testing.T) {
	at := world(t, nil)
	c := at(web("1"), web("2"))
	old := up(t, c, providers.UpOptions{}).Machines
	res, err := c.Rebuild(t.Context(), []string{"web-2"}, providers.RollOptions{})
	if err != nil {
		t.Fatal(err)
	}
	same := func(i int) bool {
		return res.Machines[i].Labels[providers.LabelHostCA] == old[i].Labels[providers.LabelHostCA]
	}
	if !same(0) || same(1) {
		t.Errorf("web-1 kept its identity: %t, web-2: %t; want true, false", same(0), same(1))
	}
	on(t, c, res.Machines[1], "true")
}

func TestStopAndStartKeepAddressesPortsAndTrust(t *testing.T) {
	at := world(t, map[string]any{"http": []int{80, 5432}})
	c := at(shop()...)
	before := up(t, c, providers.UpOptions{}).Machines
	if stopped, err := c.Stop(t.Context(), []string{"web"}); err != nil || len(stopped) != 2 {
		t.Fatalf("stop: %d machines, %v", len(stopped), err)
	}
	if again, err := c.Stop(t.Context(), []string{"web"}); err != nil || len(again) != 0 {
		t.Errorf("stop again: %d machines, %v; want none", len(again), err)
	}
	if _, err := c.Dial(t.Context(), providers.Machine{Name: "web-1", State: providers.Stopped}, ""); err == nil || !strings.Contains(err.Error(), "it is stopped") {
		t.Errorf("dialling a stopped machine: %v", err)
	}
	res, err := c.Start(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range res.Machines {
		if m.Address != before[i].Address || !cmp.Equal(m.Ports, before[i].Ports) {
			t.Errorf("%s: address %s ports %v, were %s %v", m.Name, m.Address, m.Ports, before[i].Address, before[i].Ports)
		}
	}
	if again := up(t, c, providers.UpOptions{}); again.Changed() {
		t.Errorf("up after start changed %+v", again.Changes)
	}
}

func TestAStoppedMachineComesBackWithTheRulesAndPortsDefinedMeanwhile(t *testing.T) {
	at := world(t, map[string]any{"http": []int{80}})
	c := at(web("1"))
	up(t, c, providers.UpOptions{})
	if _, err := c.Stop(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	open := web("1")
	open.Allow = []envs.Rule{{From: envs.Anywhere, PortLow: 80, PortHigh: 80, Proto: "tcp"}}
	open.Publish = []envs.Publish{{Port: 80, Proto: "tcp"}}
	c = at(open)
	m := up(t, c, providers.UpOptions{}).Machines[0]
	if len(m.Ports) != 1 || m.Ports[0].Port != 80 {
		t.Errorf("published are %v, want port 80", m.Ports)
	}
	if rules := on(t, c, m, "cat /etc/evenkeel/nft/rules.nft"); !strings.Contains(rules, "tcp dport 80 accept") {
		t.Errorf("the rules are %s", rules)
	}
	if again := up(t, c, providers.UpOptions{}); again.Changed() {
		t.Errorf("up again changed %+v", again.Changes)
	}
}

func TestAMachineThatNeverAnswersEndsWithStageReasonAndConsole(t *testing.T) {
	at := world(t, map[string]any{"silent_ssh": true})
	c := at(web("1"))
	c.Deadline = 2 * time.Second
	_, err := c.Up(t.Context(), providers.UpOptions{})
	stage, ok := errors.AsType[*providers.StageError](err)
	if !ok || stage.Stage != providers.StageBoot || stage.Console == "" || !strings.Contains(err.Error(), "no SSH answer within 2s") {
		t.Fatalf("got %#v: %v", stage, err)
	}
	if left, err := c.Provider.ListEnvs(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAMachineWithAnotherHostKeyIsRefusedAtOnce(t *testing.T) {
	at := world(t, map[string]any{"wrong_host_key": true})
	c := at(web("1"))
	began := time.Now()
	_, err := c.Up(t.Context(), providers.UpOptions{})
	if !errors.Is(err, ssh.ErrUntrusted) {
		t.Fatalf("got %v, want untrusted", err)
	}
	if took := time.Since(began); took > 45*time.Second {
		t.Errorf("it took %s to refuse", took)
	}
}

func TestCancelTakesBackWhatThisRunMadeAndNothingOlder(t *testing.T) {
	at := world(t, nil)
	old := up(t, at(web("1")), providers.UpOptions{}).Machines
	sick := web("2")
	sick.Health = &envs.Health{TCP: ":9", Within: time.Minute}
	c := at(web("1"), sick)
	ctx, cancel := context.WithCancel(t.Context())
	c.Progress = func(e providers.Event) {
		if e.Subject == "web-2" && e.Stage == providers.StageHealth {
			cancel()
		}
	}
	if _, err := c.Up(ctx, providers.UpOptions{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want canceled", err)
	}
	left, err := c.Provider.ListMachines(t.Context(), c.Plan.Env)
	if err != nil || len(left) != 1 || left[0].ID != old[0].ID {
		t.Errorf("left are %v, %v; want web-1 alone", left, err)
	}
}

func TestAMachineThatIsNotHealthyStaysToBeLookedInto(t *testing.T) {
	at := world(t, nil)
	sick := web("1")
	sick.Health = &envs.Health{Exec: "echo the disk is full; exit 3", Within: time.Second}
	c := at(sick)
	_, err := c.Up(t.Context(), providers.UpOptions{})
	if err == nil || !strings.Contains(err.Error(), "stage health failed") || !strings.Contains(err.Error(), "the disk is full") {
		t.Fatalf("got %v, want the stage and the probe's words", err)
	}
	left, err := c.Provider.ListMachines(t.Context(), c.Plan.Env)
	if err != nil || len(left) != 1 {
		t.Fatalf("left are %v, %v; want the sick machine", left, err)
	}
	on(t, c, left[0], "true")
}

func TestAnUnfinishedMachineOfOursIsRemadeAndAnothersIsWaitedFor(t *testing.T) {
	for owner, want := range map[string]providers.Action{"me@here": providers.Remake, "you@there": ""} {
		t.Run(owner, func(t *testing.T) {
			at := world(t, nil)
			dead := at(web("1"))
			dead.Owner = owner
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			// The provider's own Put without first contact is what a killed run leaves.
			leave(ctx, t, dead)
			answers(t, dead)
			c := at(web("1"))
			if want == "" {
				c.Deadline = 10 * time.Second
			}
			res, err := c.Up(t.Context(), providers.UpOptions{})
			if want == "" {
				if !errors.Is(err, ssh.ErrUnfinished) {
					t.Errorf("another owner's machine: got %v, want unfinished after the deadline", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := actions(res.Changes)["web-1"]; got != want {
				t.Errorf("action %s, want %s", got, want)
			}
		})
	}
}

// answers waits until web-1 answers, unfinished: a busy computer takes its time.
func answers(t *testing.T, c *providers.Core) {
	t.Helper()
	list, err := c.Provider.ListMachines(t.Context(), c.Plan.Env)
	if err != nil || len(list) != 1 {
		t.Fatalf("got %v, %v; want one machine", list, err)
	}
	for late := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		client, err := c.Dial(t.Context(), list[0], "")
		switch {
		case errors.Is(err, ssh.ErrUnfinished):
			return
		case err == nil:
			_ = client.Close()
			t.Fatal("the machine is finished")
		case time.Now().After(late):
			t.Fatalf("it does not answer: %v", err)
		}
	}
}

// leave puts web-1 as a run killed before first contact leaves it.
func leave(ctx context.Context, t *testing.T, c *providers.Core) {
	t.Helper()
	leaveAs(ctx, t, c, "web-1")
}

// leaveAs is leave for a machine that its place calls name.
func leaveAs(ctx context.Context, t *testing.T, c *providers.Core, name string) {
	t.Helper()
	ca, err := ssh.NewHostCA()
	if err != nil {
		t.Fatal(err)
	}
	private, public, err := ssh.GenerateKey("bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(public, []string{"web-1.shop.laptop"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	m := web("1")
	spec := providers.Spec{Env: c.Plan.Env, Name: name, CPUs: m.CPUs, Memory: m.Memory, Disk: m.Disk, ImageKey: m.ImageKey}
	spec.Labels = providers.Labels{
		providers.LabelProject: c.Plan.Project, providers.LabelEnv: c.Plan.Env, providers.LabelName: m.Name, providers.LabelSpec: spec.Digest(),
		providers.LabelImageKey: m.ImageKey, providers.LabelHostCA: ca.PublicKey(), providers.LabelOwner: c.Owner, providers.LabelCreated: time.Now().UTC().Format(time.RFC3339),
	}
	spec.Seed = providers.Seed{Hostname: m.Name, HostKey: private, HostCertificate: cert, User: providers.LoginUser, AuthorizedKeys: c.Identity.PublicKeys()}
	ref, err := c.Provider.PutImage(ctx, images.Image{Key: m.ImageKey}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Provider.PutMachine(ctx, spec, ref, nil); err != nil {
		t.Fatal(err)
	}
}
