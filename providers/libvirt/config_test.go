// SPDX-License-Identifier: Apache-2.0

package libvirt_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/libvirt"
)

func TestConfigHasDefaults(t *testing.T) {
	for _, raw := range []string{"", "{}", " \n"} {
		c, err := libvirt.ParseConfig(json.RawMessage(raw))
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if c.Subnet != "10.213.0.0/24" || c.Pool != "evenkeel" || c.Seed != "disk" || !strings.HasPrefix(c.URI, "qemu:///") {
			t.Errorf("%q: got %+v, want the defaults", raw, c)
		}
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	for raw, want := range map[string]string{
		`{"url": "x"}`:                            `unknown field "url"`,
		`{"uri": "qemu+ssh://host/system"}`:       "qemu:///system and qemu:///session are allowed",
		`{"uri": "qemu:///embed"}`:                "qemu:///system and qemu:///session are allowed",
		`{"uri": "qemu:///system?socket=/tmp/x"}`: "are allowed",
		`{"subnet": "10.213.0.7/24"}`:             "its network is 10.213.0.0/24",
		`{"subnet": "fd00::/64"}`:                 "private IPv4",
		`{"subnet": "1.2.3.0/24"}`:                "private IPv4",
		`{"subnet": "10.0.0.0/8"}`:                "from /16 to /29",
		`{"subnet": "10.213.0.0/30"}`:             "from /16 to /29",
		`{"subnet": "10.0.0.0/16"}`:               "overlaps 10.0.2.0/24",
		`{"subnet": ""}`:                          "no network like",
		`{"pool": ""}`:                            "no name of a storage pool",
		`{"seed": "floppy"}`:                      "disk and cloud-init are allowed",
		`{"seed": ""}`:                            "disk and cloud-init are allowed",
		`{} {}`:                                   "more than one",
		`[]`:                                      "config:",
	} {
		_, err := libvirt.ParseConfig(json.RawMessage(raw))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", raw, err, want)
		}
	}
}

func TestOpenRefusesBadConfigAsInvalid(t *testing.T) {
	_, err := libvirt.Plugin().Open(t.Context(), json.RawMessage(`{"no": 1}`), nil)
	if got := providers.CodeOf(err); got != providers.Invalid {
		t.Errorf("got code %q (%v), want invalid", got, err)
	}
}

func TestSystemIsForRootAndItsGroup(t *testing.T) {
	for _, c := range []struct {
		uid   int
		group bool
		want  string
	}{{0, false, "qemu:///system"}, {1000, true, "qemu:///system"}, {1000, false, "qemu:///session"}} {
		if got := libvirt.DefaultURI(c.uid, c.group); got != c.want {
			t.Errorf("uid %d, in group %v: got %s, want %s", c.uid, c.group, got, c.want)
		}
	}
}

func FuzzConfigNeverPanics(f *testing.F) {
	f.Add([]byte(`{"uri": "qemu:///session", "subnet": "10.213.0.0/24", "pool": "evenkeel"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := libvirt.ParseConfig(raw)
		if err == nil && c.URI != "qemu:///system" && c.URI != "qemu:///session" {
			t.Errorf("%q: accepted uri %q", raw, c.URI)
		}
	})
}
