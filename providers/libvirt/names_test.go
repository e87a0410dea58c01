// SPDX-License-Identifier: Apache-2.0

package libvirt_test

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/libvirt"
)

func TestNamesComeApartAgain(t *testing.T) {
	uuid := libvirt.NewUUID()
	for _, c := range []struct {
		name, env, machine string
		ours               bool
	}{
		{"evenkeel_shop.laptop_web-1", "shop.laptop", "web-1", true},
		{"evenkeel_shop.laptop", "shop.laptop", "", true},
		{libvirt.VolumeName("a-b.c", "d-1", uuid, ".seed"), "a-b.c", "d-1", true},
		{"shop", "", "", false},
		{"evenkeel-image_ab_cd.qcow2", "", "", false},
	} {
		env, machine, ours := libvirt.ParseName(c.name)
		if env != c.env || machine != c.machine || ours != c.ours {
			t.Errorf("%s: got %q %q %v, want %q %q %v", c.name, env, machine, ours, c.env, c.machine, c.ours)
		}
	}
	for name, want := range map[string]string{
		libvirt.VolumeName("a-b.c", "d-1", uuid, ".disk.qcow2"): uuid,
		libvirt.VolumeName("a-b.c", "d-1", uuid, ".console.0"):  uuid,
		"evenkeel_a.b_c":             "",
		"evenkeel-image_ab_cd.qcow2": "",
		"x_y_z_" + uuid:              "",
	} {
		if got := libvirt.VolumeOwner(name); got != want {
			t.Errorf("%s: got owner %q, want %q", name, got, want)
		}
	}
}

func TestImageNamesComeApartAgain(t *testing.T) {
	i, ok := libvirt.ParseRef("ab12_cd34")
	if !ok || i.Ref() != "ab12_cd34" {
		t.Errorf("got %v %v, want the reference again", i, ok)
	}
	j, kind, ok := libvirt.ParseImageVolume(i.Volume("qcow2"))
	if !ok || j != i || kind != "qcow2" {
		t.Errorf("got %v %q %v, want %v qcow2", j, kind, ok, i)
	}
	for _, ref := range []providers.ImageRef{"", "ab12", "_", "ab12_", "AB_cd", "ab_../x", "ab_cd.qcow2"} {
		if _, ok := libvirt.ParseRef(ref); ok {
			t.Errorf("%q is taken for a reference", ref)
		}
	}
}

func TestDerivedNamesFitTheirPlaces(t *testing.T) {
	env := strings.Repeat("a", 20) + "." + strings.Repeat("b", 19)
	if got := libvirt.BridgeName(env); len(got) > 15 || got == libvirt.BridgeName("a.b") {
		t.Errorf("got bridge %q, want at most 15 characters and another for another environment", got)
	}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[48][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for _, got := range []string{libvirt.UUIDOf("a", "b"), libvirt.NewUUID()} {
		if !uuid.MatchString(got) {
			t.Errorf("got UUID %q", got)
		}
	}
	if libvirt.UUIDOf("a", "bc") == libvirt.UUIDOf("ab", "c") {
		t.Error("words run into each other")
	}
	if libvirt.MAC("private", "a.b", 1) == libvirt.MAC("private", "a.b", 257) || libvirt.MAC("private", "a.b", 1) == libvirt.MAC("outside", "a.b", 1) {
		t.Error("two cards have one address")
	}
	if got := libvirt.MAC("private", "a.b", 1); !strings.HasPrefix(got, "52:54:") || len(got) != 17 {
		t.Errorf("got MAC %q", got)
	}
}

func TestAddressesFillTheSubnet(t *testing.T) {
	for _, c := range []struct {
		subnet string
		slot   int
		want   string
	}{
		{"10.213.0.0/24", 1, "10.213.0.1/24"},
		{"10.213.0.0/24", 254, "10.213.0.254/24"},
		{"172.16.0.0/16", 256, "172.16.1.0/16"},
	} {
		if got := libvirt.AddressOf(netip.MustParsePrefix(c.subnet), c.slot).String(); got != c.want {
			t.Errorf("slot %d of %s: got %s, want %s", c.slot, c.subnet, got, c.want)
		}
	}
	if got := libvirt.Slots(netip.MustParsePrefix("10.213.0.0/29")); got != 6 {
		t.Errorf("a /29 has room for %d, want 6", got)
	}
}

func TestSlotIsTheLowestFreeOneThenAny(t *testing.T) {
	if got, err := libvirt.ChooseSlot([]int{1, 2, 4}, 6, 0); got != 3 || err != nil {
		t.Errorf("got %d, %v, want 3", got, err)
	}
	seen := map[int]bool{}
	for range 200 {
		got, err := libvirt.ChooseSlot([]int{1, 2, 4}, 6, 1)
		if err != nil {
			t.Fatal(err)
		}
		seen[got] = true
	}
	if len(seen) != 3 || !seen[3] || !seen[5] || !seen[6] {
		t.Errorf("got slots %v after a clash, want each of 3, 5, 6", seen)
	}
	_, err := libvirt.ChooseSlot([]int{1, 2}, 2, 0)
	if got := providers.CodeOf(libvirt.Wrap("create", "machine", err)); got != providers.Exhausted {
		t.Errorf("got code %q (%v) with no slot left, want exhausted", got, err)
	}
}
