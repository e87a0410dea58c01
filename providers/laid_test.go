// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
)

func TestLaidIsWhatLiesOnTheMachine(t *testing.T) {
	c := world(t, nil)(web("1"), web("2"))
	c.Plan.Machines[0].Settings = map[string]string{"TITLE": "one"}
	c.Plan.External = map[string]string{"db": "localhost:5432"}
	with(c, map[string]string{"PIN": "1234"})
	m := up(t, c, providers.UpOptions{}).Machines[0]
	laid, err := c.Laid(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(laid)); !slices.Equal(got, []string{"web-1", "web-2"}) {
		t.Fatalf("laid on %q", got)
	}
	files := laid["web-1"]
	want := []string{"/etc/evenkeel/authorized_keys/evenkeel", "/etc/evenkeel/external", "/etc/evenkeel/external.sh", "/etc/evenkeel/hosts", "/etc/evenkeel/nft/rules.nft", "/etc/evenkeel/settings.env"}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
		t.Errorf("laid are %q, want %q and nothing secret", got, want)
	}
	for path, digest := range files {
		if got, _, _ := strings.Cut(on(t, c, m, fmt.Sprintf("sha256sum <%s", path)), " "); got != digest {
			t.Errorf("%s has digest %s, laid is %s", path, got, digest)
		}
	}
	c.Plan.Machines[0].Settings = map[string]string{"TITLE": "two"}
	again, err := c.Laid(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again["web-1"]["/etc/evenkeel/settings.env"] == files["/etc/evenkeel/settings.env"] {
		t.Error("other settings have the same digest")
	}
}

func TestLaidOfAnEmptyPlaceIsNothing(t *testing.T) {
	laid, err := world(t, nil)(web("1")).Laid(t.Context())
	if err != nil || len(laid) != 0 {
		t.Errorf("got %v, %v", laid, err)
	}
}

func BenchmarkLaidOfAThousandMachines(b *testing.B) {
	plan := &envs.Plan{Env: "shop.laptop", Project: "a1b2c3"}
	var there []providers.Machine
	for i := range 1000 {
		name := fmt.Sprintf("web-%d", i+1)
		plan.Machines = append(plan.Machines, envs.Machine{Name: name, Kind: "web", Allow: []envs.Rule{{From: "web", PortLow: 80, PortHigh: 80, Proto: "tcp"}}})
		there = append(there, providers.Machine{
			ID: name, Env: plan.Env, Name: name, State: providers.Running, Address: fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), Labels: providers.Labels{providers.LabelProject: plan.Project},
		})
	}
	c := &providers.Core{Plan: plan, Provider: &place{machines: there}}
	for b.Loop() {
		if laid, err := c.Laid(b.Context()); err != nil || len(laid) != 1000 {
			b.Fatal(len(laid), err)
		}
	}
}
