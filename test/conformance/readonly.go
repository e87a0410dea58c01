// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// Where Plugin.Traits.ReadOnly the machines were there before the suite, which makes none: these cases are its contract. The harness's place has one machine
// at least, all of them answer, and let in who has the keys that the place itself names.

func runReadOnly(t *testing.T, h Harness) {
	before := h.Leaks()
	t.Cleanup(func() { checkLeaks(t, h, before) })
	s := &suite{h: h, prefix: "conf" + random(3), top: t.Name()}
	s.p = s.open(t)
	for _, c := range []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"unknown_config_key_is_refused", unknownConfigKey},
		{"bad_config_is_refused", badConfig},
		{"machines_say_how_they_are_reached", existingMachines},
		{"list_finds_machines_of_another_process", listedAgain},
		{"nothing_is_made_or_deleted", nothingIsMade},
		{"no_ability_changes_anything", noAbilityChanges},
		{"first_contact_is_verified", existingVerified},
		{"doctor_finds_the_place_sound", doctor},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, s) })
	}
}

func existingMachines(t *testing.T, s *suite) {
	list := s.list(t, s.p, s.prefix+"-any.test")
	if len(list) == 0 {
		t.Fatal("the place has no machine")
	}
	for i, m := range list {
		if m.Env != s.prefix+"-any.test" || m.Name == "" || m.ID == "" || m.State != providers.Running {
			t.Errorf("got %+v, want a running machine of the environment that was asked for, with name and ID", m)
		}
		if i > 0 && list[i-1].Name >= m.Name {
			t.Errorf("machines are not sorted by name, or one: %s before %s", list[i-1].Name, m.Name)
		}
		if !m.Host.Given() || m.Role() != m.Name {
			t.Errorf("machine %s does not say that it was there before us: %+v", m.Name, m.Host)
		}
		if m.Labels[providers.LabelHostCA] != "" || m.Labels[providers.LabelProject] != "" {
			t.Errorf("machine %s has labels that only a machine of ours can have: %v", m.Name, m.Labels)
		}
		if err := m.Labels.Validate(); err != nil {
			t.Error(err)
		}
		if n := len(m.Host.Hops); n > 0 && m.Host.Hops[n-1].Address != m.SSH {
			t.Errorf("machine %s is at %s, and its way ends at %s", m.Name, m.SSH, m.Host.Hops[n-1].Address)
		}
	}
}

func listedAgain(t *testing.T, s *suite) {
	here, there := s.list(t, s.p, s.prefix+"-any.test"), s.list(t, s.open(t), s.prefix+"-any.test")
	if !reflect.DeepEqual(here, there) {
		t.Errorf("got %+v, another process gets %+v", here, there)
	}
}

func nothingIsMade(t *testing.T, s *suite) {
	env := s.prefix + "-made.test"
	before := s.list(t, s.p, env)
	good, _ := s.spec(t, env, "web-1")
	specs := badSpecs(good)
	specs["a good one"] = good
	for what, spec := range specs {
		if problems, err := s.p.Check(t.Context(), spec); err != nil || !hasError(problems) {
			t.Errorf("%s: Check gives %v, %v; want a problem", what, problems, err)
		}
	}
	_, err := s.p.PutImage(t.Context(), images.Image{Key: s.h.Image.Key}, nil)
	wantCode(t, err, providers.Unsupported)
	_, err = s.p.PutMachine(t.Context(), good, "", nil)
	wantCode(t, err, providers.Unsupported)
	wantCode(t, s.p.DeleteEnv(t.Context(), env, false), providers.Unsupported)
	for _, m := range before {
		wantCode(t, s.p.DeleteMachine(t.Context(), m.ID), providers.Unsupported)
	}
	if list, err := s.p.ListEnvs(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("got environments %+v, %v, want none: nothing here is of one", list, err)
	}
	if after := s.list(t, s.p, env); !reflect.DeepEqual(before, after) {
		t.Errorf("got %+v, before it was %+v", after, before)
	}
}

func noAbilityChanges(t *testing.T, s *suite) {
	var has []string
	note := func(name string, ok bool) {
		if ok {
			has = append(has, name)
		}
	}
	_, ok := providers.As[providers.Starter](s.p)
	note("Starter", ok)
	_, ok = providers.As[providers.Suspender](s.p)
	note("Suspender", ok)
	_, ok = providers.As[providers.Snapshotter](s.p)
	note("Snapshotter", ok)
	_, ok = providers.As[providers.ImagePruner](s.p)
	note("ImagePruner", ok)
	if len(has) > 0 {
		t.Errorf("the place is only read, and is a %s", strings.Join(has, ", "))
	}
}

// existingVerified reaches each machine through the core, as every verb does, and none that has another key or of which nothing is known.
func existingVerified(t *testing.T, s *suite) {
	core := &providers.Core{Plan: &envs.Plan{Env: s.prefix + "-any.test", Access: envs.Access{User: "nobody"}}, Plugin: s.h.Plugin, Provider: s.p}
	_, other, err := ssh.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range s.list(t, s.p, core.Plan.Env) {
		client, err := core.Dial(t.Context(), m, "")
		if err != nil {
			t.Errorf("machine %s: %v", m.Name, err)
			continue
		}
		if got := command(t, client, "echo here"); got != "here" {
			t.Errorf("machine %s says %q, want here", m.Name, got)
		}
		_ = client.Close()
		for i := range m.Host.Hops {
			for what, keys := range map[string][]string{"another key is known": {strings.TrimSpace(string(other))}, "nothing is known": nil} {
				stranger := m
				stranger.Host.Hops = slices.Clone(m.Host.Hops)
				stranger.Host.Hops[i].Keys, stranger.Host.Hops[i].Authorities = keys, nil
				client, err := core.Dial(t.Context(), stranger, "")
				if err == nil {
					_ = client.Close()
				}
				e, ok := errors.AsType[*providers.Error](err)
				if !ok || e.Code != providers.Denied || !errors.Is(err, ssh.ErrUntrusted) || !strings.Contains(e.Hint, "ssh-keyscan") {
					t.Errorf("machine %s, of whose hop %d %s: got %v, want it untrusted, with how to trust it", m.Name, i+1, what, fmt.Sprint(err))
				}
			}
		}
	}
}
