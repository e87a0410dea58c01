// SPDX-License-Identifier: Apache-2.0

package libvirt_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/evenkeel/evenkeel/internal/maker"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/libvirt"
)

var update = flag.Bool("update", false, "write what is got as what is wanted")

const someUUID = "11111111-2222-4333-8444-000000000001"

func someSpec() providers.Spec {
	return providers.Spec{
		Env: "shop.laptop", Name: "web-1", CPUs: 2, Memory: 512 << 20, Disk: 4 << 30, ImageKey: strings.Repeat("ab", 32),
		Labels: providers.Labels{"project": "7f3a9c", "host-ca": "ssh-ed25519 AAAA+/=", "created": "2026-01-02T03:04:05Z"},
		Seed: providers.Seed{
			Hostname: "web-1", HostKey: []byte("the secret key"), HostCertificate: []byte("the certificate"), User: "evenkeel",
			AuthorizedKeys: []string{"ssh-ed25519 BBBB"},
		},
	}
}

func someRecord(spec providers.Spec) libvirt.Record {
	r := libvirt.NewRecord(spec, "ab12_cd34")
	r.Maker, r.Made = "boot:1:2:3", "2026-01-02T03:04:05Z"
	r.Slot, r.Address = 3, "10.213.0.3/24"
	r.Ports = []libvirt.Port{{Guest: 22, Proto: "tcp", Host: 20022}, {Guest: 80, Proto: "tcp", Host: 8080, Pinned: true, Published: true}}
	return r
}

// TestDefinitions holds what libvirt is given against testdata/definitions.txtar. go test -update writes it anew.
func TestDefinitions(t *testing.T) {
	spec := someSpec()
	record := someRecord(spec)
	define := func(kvm bool, network, sockets string) string {
		text, err := libvirt.Define(someUUID, spec, "ab12_cd34", record, "/pool", kvm, network, sockets)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	record2 := record
	record2.Phase = libvirt.Made
	record2.Ports = append(record.Ports[:1:1], libvirt.Port{Guest: 53, Proto: "udp", Host: 20053, Published: true})
	amended, err := libvirt.Amend(define(false, "evenkeel_shop.laptop", ""), record2)
	if err != nil {
		t.Fatal(err)
	}
	hub, err := libvirt.Switch("shop.laptop", "/run/user/1000/evenkeel/0123456789ab")
	if err != nil {
		t.Fatal(err)
	}
	withData := spec
	withData.Data = []providers.Data{{Name: "pg", Size: 10 << 30, Mount: "/var/lib/postgresql"}}
	disks, err := libvirt.Define(someUUID, withData, "ab12_cd34", someRecord(withData), "/pool", false, "evenkeel_shop.laptop", "")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{
		"system-data.xml":             disks,
		"system-kvm.xml":              define(true, "evenkeel_shop.laptop", ""),
		"session-emulated.xml":        define(false, "", "/run/user/1000/evenkeel/0123456789ab"),
		"system-emulated-amended.xml": amended,
		"switch.xml":                  hub,
	}
	file := filepath.Join("testdata", "definitions.txtar")
	if *update {
		a := &txtar.Archive{}
		for _, name := range []string{"system-kvm.xml", "session-emulated.xml", "system-emulated-amended.xml", "system-data.xml", "switch.xml"} {
			a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(got[name] + "\n")})
		}
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Files) != len(got) {
		t.Errorf("%s holds %d definitions, want %d", file, len(want.Files), len(got))
	}
	for _, f := range want.Files {
		if strings.TrimSpace(got[f.Name]) != strings.TrimSpace(string(f.Data)) {
			t.Errorf("%s: got\n%s\nwant\n%s", f.Name, got[f.Name], f.Data)
		}
	}
	for name, text := range got {
		if strings.Contains(text, "secret") || strings.Contains(text, "BBBB") {
			t.Errorf("%s holds what belongs into the seed", name)
		}
	}
}

func TestRecordComesBackWordForWord(t *testing.T) {
	spec := someSpec()
	spec.Labels["owner"] = "Jo Doe+ci=1@host.example:/x_y-z"
	spec.Labels["empty"] = ""
	record := someRecord(spec)
	text, err := libvirt.Define(someUUID, spec, "ab12_cd34", record, "/pool", false, "n", "")
	if err != nil {
		t.Fatal(err)
	}
	uuid, got, ok, err := libvirt.ParseDescription(text)
	if err != nil || !ok || uuid != someUUID {
		t.Fatalf("got %q %v %v, want the record of %s", uuid, ok, err, someUUID)
	}
	if len(got.Labels) != len(spec.Labels) {
		t.Errorf("got labels %v, want %v", got.Labels, spec.Labels)
	}
	for _, l := range got.Labels {
		if want, ok := spec.Labels[l.Key]; !ok || l.Value != want {
			t.Errorf("label %s: got %q, want %q", l.Key, l.Value, want)
		}
	}
	if got.Env != record.Env || got.Name != record.Name || got.Phase != libvirt.Making || got.Slot != 3 || got.Address != record.Address ||
		got.Spec != spec.Digest() || got.Image != "ab12_cd34" || len(got.Ports) != 2 || got.Ports[1] != record.Ports[1] {
		t.Errorf("got %+v, want %+v", got, record)
	}
}

func TestForeignDomainIsNotOurs(t *testing.T) {
	for _, text := range []string{
		`<domain><uuid>u</uuid></domain>`,
		`<domain><uuid>u</uuid><metadata><machine xmlns="urn:other" env="a.b"/></metadata></domain>`,
		`<domain><uuid>u</uuid><metadata><machine env="a.b"/></metadata></domain>`,
	} {
		if _, _, ok, err := libvirt.ParseDescription(text); ok || err != nil {
			t.Errorf("%s: got %v, %v, want neither a record nor an error", text, ok, err)
		}
	}
	if _, _, _, err := libvirt.ParseDescription("<domain"); err == nil {
		t.Error("half an element is no error")
	}
}

func TestUnfinishedIsPartialOnlyWhenNobodyWorksOnIt(t *testing.T) {
	r := someRecord(someSpec())
	for _, c := range []struct {
		maker string
		phase string
		want  bool
	}{
		{maker.Self(), string(libvirt.Making), false},
		{"gone:1:2:3", string(libvirt.Making), true},
		{"", string(libvirt.Making), true},
		{"gone:1:2:3", string(libvirt.Made), false},
		{maker.Self(), string(libvirt.Removing), true},
	} {
		r.Maker, r.Phase = c.maker, libvirt.Phase(c.phase)
		if got := r.Partial(); got != c.want {
			t.Errorf("%s by %q: partial is %v, want %v", c.phase, c.maker, got, c.want)
		}
	}
}

func FuzzDescriptionNeverPanics(f *testing.F) {
	text, err := libvirt.Define(someUUID, someSpec(), "ab12_cd34", someRecord(someSpec()), "/pool", false, "n", "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text string) {
		_, r, ok, err := libvirt.ParseDescription(text)
		if ok && err == nil {
			_ = r.Partial()
		}
		_, _ = libvirt.Amend(text, r)
	})
}
