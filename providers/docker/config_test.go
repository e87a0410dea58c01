// SPDX-License-Identifier: Apache-2.0

package docker_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/docker"
)

func TestConfigHasDefaults(t *testing.T) {
	t.Setenv("DOCKER_HOST", "")
	for _, raw := range []string{"", "{}", " \n"} {
		c, err := docker.ParseConfig(json.RawMessage(raw))
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if c.Host != "unix:///var/run/docker.sock" || c.Subnets != "10.214.0.0/16" {
			t.Errorf("%q: got %+v, want the defaults", raw, c)
		}
	}
}

func TestConfigComesBeforeTheEnvironment(t *testing.T) {
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
	if c, err := docker.ParseConfig(nil); err != nil || c.Host != "tcp://127.0.0.1:2375" {
		t.Errorf("got %+v, %v, want $DOCKER_HOST", c, err)
	}
	if c, err := docker.ParseConfig(json.RawMessage(`{"host": "ssh://jo@ci.example:2222"}`)); err != nil || c.Host != "ssh://jo@ci.example:2222" {
		t.Errorf("got %+v, %v, want the config's", c, err)
	}
	t.Setenv("DOCKER_HOST", "npipe:////./pipe/docker_engine")
	if _, err := docker.ParseConfig(nil); err == nil || !strings.Contains(err.Error(), "$DOCKER_HOST") {
		t.Errorf("got %v, want it to name $DOCKER_HOST", err)
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	t.Setenv("DOCKER_HOST", "")
	for raw, want := range map[string]string{
		`{"url": "x"}`:                        `unknown field "url"`,
		`{"host": "fd://3"}`:                  "are allowed",
		`{"host": "/var/run/docker.sock"}`:    "are allowed",
		`{"host": "unix://var/run/d.sock"}`:   "absolute",
		`{"host": "tcp://10.0.0.1"}`:          "a host and a port",
		`{"host": "tcp://10.0.0.1:1/x"}`:      "a host and a port",
		`{"host": "ssh://"}`:                  "a host is needed",
		`{"host": "ssh://-oProxyCommand=id"}`: "a host is needed",
		`{"host": "ssh://jo:secret@host"}`:    "password",
		`{"subnets": "10.214.0.7/16"}`:        "its network is 10.214.0.0/16",
		`{"subnets": "fd00::/64"}`:            "private IPv4",
		`{"subnets": "1.2.0.0/16"}`:           "private IPv4",
		`{"subnets": "10.214.0.0/25"}`:        "from /8 to /24",
		`{"subnets": ""}`:                     "no network like",
		`{} {}`:                               "more than one",
		`[]`:                                  "config:",
	} {
		_, err := docker.ParseConfig(json.RawMessage(raw))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", raw, err, want)
		}
	}
}

func TestOpenRefusesBadConfigAsInvalid(t *testing.T) {
	_, err := docker.Plugin().Open(t.Context(), json.RawMessage(`{"no": 1}`), nil)
	if got := providers.CodeOf(err); got != providers.Invalid {
		t.Errorf("got code %q (%v), want invalid", got, err)
	}
}

func FuzzConfigNeverPanics(f *testing.F) {
	f.Add([]byte(`{"host": "unix:///var/run/docker.sock", "subnets": "10.214.0.0/16"}`))
	f.Add([]byte(`{"host": "ssh://a@b:1"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := docker.ParseConfig(raw)
		if err == nil && strings.HasPrefix(c.Host, "ssh://-") {
			t.Errorf("%q: accepted host %q, which ssh takes for an option", raw, c.Host)
		}
	})
}
