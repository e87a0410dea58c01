// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/providers"
)

func unknownConfigKey(t *testing.T, s *suite) {
	config := map[string]any{}
	if len(s.h.Config) > 0 {
		if err := json.Unmarshal(s.h.Config, &config); err != nil {
			t.Fatal(err)
		}
	}
	config["no_such_key"] = 1
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	s.wantRefused(t, raw)
}

func badConfig(t *testing.T, s *suite) {
	if len(s.h.BadConfig) == 0 {
		t.Fatal("the harness names no bad configuration")
	}
	for _, raw := range append(slices.Clone(s.h.BadConfig), json.RawMessage(`{`), json.RawMessage(`[]`), json.RawMessage(`"x"`)) {
		s.wantRefused(t, raw)
	}
}

func (s *suite) wantRefused(t *testing.T, raw json.RawMessage) {
	t.Helper()
	p, err := s.h.Plugin.Open(t.Context(), raw, hclog.NewNullLogger())
	if err == nil {
		_ = p.Close()
		t.Errorf("configuration %s was accepted, want Invalid", raw)
		return
	}
	wantCode(t, err, providers.Invalid)
}

func putImageTwice(t *testing.T, s *suite) {
	again, err := s.open(t).PutImage(t.Context(), s.h.Image, nil)
	if err != nil {
		t.Fatal(err)
	}
	if again != s.ref {
		t.Errorf("got reference %q the second time, want %q", again, s.ref)
	}
	pruner, ok := providers.As[providers.ImagePruner](s.p)
	if !ok {
		return
	}
	stored, err := pruner.ListImages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, i := range stored {
		if i.Ref == s.ref {
			count++
			if i.Key != s.h.Image.Key {
				t.Errorf("got image key %q, want %q", i.Key, s.h.Image.Key)
			}
		}
	}
	if count != 1 {
		t.Errorf("the image is listed %d times, want once: %+v", count, stored)
	}
}

func nothingThere(t *testing.T, s *suite) {
	s.wantGone(t, s.prefix+"-none.test")
	if err := s.p.DeleteEnv(t.Context(), s.prefix+"-none.test", false); err != nil {
		t.Errorf("DeleteEnv of an absent environment: %v, want success", err)
	}
}

// badSpecs are what no place may accept, by what is wrong.
func badSpecs(good providers.Spec) map[string]providers.Spec {
	specs := map[string]providers.Spec{}
	add := func(what string, change func(*providers.Spec)) {
		spec := good
		spec.Labels = providers.Labels{}
		for k, v := range good.Labels {
			spec.Labels[k] = v
		}
		change(&spec)
		specs[what] = spec
	}
	add("no CPU", func(s *providers.Spec) { s.CPUs = 0 })
	add("no memory", func(s *providers.Spec) { s.Memory = 0 })
	add("negative disk", func(s *providers.Spec) { s.Disk = -1 })
	add("environment that leaves its folder", func(s *providers.Spec) { s.Env = "../x.y" })
	add("long environment", func(s *providers.Spec) { s.Env = "a12345678901234567890123456789012345678901.test" })
	add("name with capitals", func(s *providers.Spec) { s.Name = "Web-1" })
	add("name with a space", func(s *providers.Spec) { s.Name = "web 1" })
	add("no name", func(s *providers.Spec) { s.Name = "" })
	add("label with a newline", func(s *providers.Spec) { s.Labels[providers.LabelOwner] = "a\nb" })
	add("label with a capital key", func(s *providers.Spec) { s.Labels["Owner"] = "a" })
	add("systemd of no version", func(s *providers.Spec) { s.Systemd = "252\n253" })
	data := func(d ...providers.Data) func(*providers.Spec) { return func(s *providers.Spec) { s.Data = d } }
	add("data disk with a long name", data(providers.Data{Name: "abcdefghijklm", Size: 1 << 20, Mount: "/srv"}))
	add("data disk whose name leaves its folder", data(providers.Data{Name: "../x", Size: 1 << 20, Mount: "/srv"}))
	add("data disk without size", data(providers.Data{Name: "pg", Mount: "/srv"}))
	add("data disk at a relative path", data(providers.Data{Name: "pg", Size: 1 << 20, Mount: "srv"}))
	add("data disk over the root", data(providers.Data{Name: "pg", Size: 1 << 20, Mount: "/"}))
	add("one data disk twice", data(providers.Data{Name: "pg", Size: 1 << 20, Mount: "/a"}, providers.Data{Name: "pg", Size: 1 << 20, Mount: "/b"}))
	add("too many labels", func(s *providers.Spec) {
		for i := range providers.MaxLabels + 1 {
			s.Labels["x"+string(rune('a'+i))] = ""
		}
	})
	return specs
}

func checkRefuses(t *testing.T, s *suite) {
	env := s.env(t, "check")
	good, _ := s.spec(t, env, "web-1")
	problems, err := s.p.Check(t.Context(), good)
	if err != nil || hasError(problems) {
		t.Errorf("Check of a good machine: %v, %v; want no error", problems, err)
	}
	for what, spec := range badSpecs(good) {
		problems, err := s.p.Check(t.Context(), spec)
		if err != nil || !hasError(problems) {
			t.Errorf("%s: Check gives %v, %v; want a problem", what, problems, err)
		}
		_, err = s.p.PutMachine(t.Context(), spec, s.ref, nil)
		if err == nil {
			t.Errorf("%s: PutMachine accepts it", what)
			continue
		}
		wantCode(t, err, providers.Invalid)
	}
	s.wantGone(t, env)
}

func hasError(problems []providers.Problem) bool {
	return slices.ContainsFunc(problems, func(p providers.Problem) bool { return p.Severity != "note" })
}

func doctor(t *testing.T, s *suite) {
	d, ok := providers.As[providers.Doctor](s.p)
	if !ok {
		return // no ability, nothing promised
	}
	findings, err := d.Diagnose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(findings) == 0 {
		t.Error("nothing was examined")
	}
	for _, f := range findings {
		if f.What == "" {
			t.Errorf("finding %+v does not say what was checked", f)
		}
		if !f.OK {
			t.Errorf("the place works, yet the doctor says: %s (remedy: %q)", f.What, f.Remedy)
		}
	}
}
