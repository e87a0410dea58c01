// SPDX-License-Identifier: Apache-2.0

package envs_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/envs"
)

func definition() *envs.Definition {
	return &envs.Definition{
		Name: "shop", ID: "7f3a9c", Settings: map[string]string{"A": "1"},
		Machines: map[string]envs.Kind{
			"web": {
				Count: 2, Image: "web.yaml", CPUs: 1, Memory: 1 << 29, Disk: 1 << 32,
				Allow:  []envs.Rule{{From: "anywhere", PortLow: 80, PortHigh: 80, Proto: "tcp"}},
				Health: &envs.Health{TCP: ":80"},
				Data:   []envs.Data{{Name: "a", Size: 1 << 30, Mount: "/srv/a"}}, Code: []envs.Code{{From: "/p", To: "/srv/p"}},
			},
		},
		Secrets: map[string]envs.Secret{"S": {Env: "S"}}, Keep: &envs.Keep{Daily: 1},
		Access: envs.Access{Keys: []string{"k"}, UserCA: []string{"c"}, Files: map[string]string{"k": "f"}},
		Tiers:  map[string]envs.Tier{"laptop": {Provider: "libvirt", Access: &envs.Access{Files: map[string]string{"c": "g"}}}},
	}
}

func TestADefinitionMadeByHandCanBePlanned(t *testing.T) {
	plan, problems := envs.MakePlan(definition(), envs.Options{})
	if plan == nil || len(problems) != 0 {
		t.Fatalf("got %v, %v", plan, problems)
	}
	if got, want := plan.Env, "shop.laptop"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := plan.Access.User, "evenkeel"; got != want {
		t.Errorf("got user %s, want %s", got, want)
	}
	if _, problems := envs.MakePlan(definition(), envs.Options{Locked: true}); problems.Err() == nil {
		t.Error("a definition without locks was planned under Locked")
	}
}

func TestPlansShareNothing(t *testing.T) {
	def := definition()
	one, _ := envs.MakePlan(def, envs.Options{})
	two, _ := envs.MakePlan(def, envs.Options{})
	if !reflect.DeepEqual(one, two) {
		t.Fatalf("two plans of one definition differ:\n%+v\n%+v", one, two)
	}
	one.Machines[0].Settings["A"] = "changed"
	one.Machines[0].Allow[0].From = "changed"
	one.Machines[0].Health.TCP = "changed"
	one.Machines[0].Secrets["S"] = envs.Secret{}
	one.Machines[0].Data[0].Name, one.Machines[0].Code[0].To = "changed", "changed"
	one.Access.Keys[0], one.Access.UserCA[0], one.Access.Files["k"], one.Keep.Daily = "changed", "changed", "changed", 2
	if m := one.Machines[1]; !reflect.DeepEqual(m.Data, two.Machines[1].Data) || !reflect.DeepEqual(m.Code, two.Machines[1].Code) ||
		m.Secrets["S"].Env != "S" || m.Settings["A"] != "1" || m.Allow[0].From != "anywhere" || m.Health.TCP != ":80" {
		t.Errorf("a change of web-1 reached web-2: %+v", m)
	}
	if three, _ := envs.MakePlan(def, envs.Options{}); !reflect.DeepEqual(two, three) {
		t.Error("a change of a plan reached its definition")
	}
}

func TestNamesAreInTheirNaturalOrder(t *testing.T) {
	want := "a-1 web-1 web-2 web-10 web-a-1 web2-1"
	names := strings.Fields("web2-1 web-10 a-1 web-a-1 web-2 web-1")
	slices.SortFunc(names, envs.CompareNames)
	if got := strings.Join(names, " "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
