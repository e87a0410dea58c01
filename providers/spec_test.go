// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/providers"
)

func TestSpecDigestCoversWhatNeedsReplacingAndNothingElse(t *testing.T) {
	base := providers.Spec{Env: "shop.laptop", Name: "web-1", CPUs: 1, Memory: 1 << 30, Disk: 4 << 30, ImageKey: "k"}
	changed := map[string]func(*providers.Spec){
		"cpus":   func(s *providers.Spec) { s.CPUs = 2 },
		"memory": func(s *providers.Spec) { s.Memory++ },
		"disk":   func(s *providers.Spec) { s.Disk++ },
		"image":  func(s *providers.Spec) { s.ImageKey = "l" },
	}
	for name, change := range changed {
		s := base
		change(&s)
		if s.Digest() == base.Digest() {
			t.Errorf("another %s has the same digest", name)
		}
	}
	same := base
	same.Name, same.Labels, same.Publish, same.Seed = "web-2", providers.Labels{"a": "b"}, []providers.Port{{Port: 80}}, providers.Seed{User: "x"}
	if same.Digest() != base.Digest() {
		t.Error("name, labels, ports or seed change the digest")
	}
	// Machines out there carry this value: it changes only with specFormat.
	if got, want := base.Digest()[:16], "7b7bf0f1d1d69ca5"; got != want {
		t.Errorf("digest of a fixed spec is %s, was %s: every existing machine would have to be replaced", got, want)
	}
}

func TestSpecValidateRefusesWhatNoPlaceMayTake(t *testing.T) {
	good := providers.Spec{Env: "shop.laptop.two", Name: "web-1", CPUs: 1, Memory: 128 << 20}
	if err := good.Validate(); err != nil {
		t.Errorf("a good spec: %v", err)
	}
	bad := map[string]func(*providers.Spec){
		"environment without tier": func(s *providers.Spec) { s.Env = "shop" },
		"environment too long":     func(s *providers.Spec) { s.Env = strings.Repeat("a", 38) + ".ci" },
		"path in environment":      func(s *providers.Spec) { s.Env = "../x.ci" },
		"machine name":             func(s *providers.Spec) { s.Name = "Web_1" },
		"no cpu":                   func(s *providers.Spec) { s.CPUs = 0 },
		"no memory":                func(s *providers.Spec) { s.Memory = 1 << 20 },
		"negative disk":            func(s *providers.Spec) { s.Disk = -1 },
		"label value":              func(s *providers.Spec) { s.Labels = providers.Labels{"a": "line\nbreak"} },
		"label key":                func(s *providers.Spec) { s.Labels = providers.Labels{"A b": "x"} },
		"too many labels": func(s *providers.Spec) {
			s.Labels = providers.Labels{}
			for i := range providers.MaxLabels + 1 {
				s.Labels[fmt.Sprintf("l%d", i)] = ""
			}
		},
	}
	for name, change := range bad {
		s := good
		change(&s)
		if s.Validate() == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
}

func seed() providers.Seed {
	return providers.Seed{
		Hostname: "web-1", HostKey: []byte("PRIVATE \"quoted\"\n"), HostCertificate: []byte("cert\n"),
		User: "evenkeel", AuthorizedKeys: []string{"ssh-ed25519 AAAA me"},
	}
}

func TestSeedSaysTheSameAsTarAndAsCloudConfig(t *testing.T) {
	archive, err := seed().Tar("0123456789abcdef0123456789abcdef", []providers.NIC{{MAC: "52:54:00:00:00:01", Address: "10.0.2.15/24", Gateway: "10.0.2.2", DNS: []string{"10.0.2.3"}}})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || strings.HasPrefix(h.Name, "/") {
			t.Errorf("%s: uid %d gid %d", h.Name, h.Uid, h.Gid)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[fmt.Sprintf("/%s %04o", h.Name, h.Mode)] = string(body)
	}
	for name, want := range map[string]string{
		"/etc/hostname 0644":                              "web-1\n",
		"/etc/machine-id 0444":                            "0123456789abcdef0123456789abcdef\n",
		"/etc/resolv.conf 0644":                           "nameserver 10.0.2.3\n",
		"/etc/ssh/ssh_host_ed25519_key 0600":              "PRIVATE \"quoted\"\n",
		"/etc/evenkeel/authorized_keys/evenkeel 0644":     "ssh-ed25519 AAAA me\n",
		"/etc/systemd/network/10-evenkeel-0.network 0644": "[Match]\nMACAddress=52:54:00:00:00:01\n\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nDNS=10.0.2.3\n",
	} {
		if got := files[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}

	data, err := seed().UserData()
	if err != nil {
		t.Fatal(err)
	}
	body, ok := bytes.CutPrefix(data, []byte("#cloud-config\n"))
	if !ok {
		t.Fatalf("user-data begins with %q", data[:20])
	}
	var config struct {
		Hostname string
		Files    []struct{ Path, Permissions, Content string } `json:"write_files"`
	}
	if err := json.Unmarshal(body, &config); err != nil {
		t.Fatal(err)
	}
	for _, f := range config.Files {
		if got, ok := files[f.Path+" "+f.Permissions]; !ok || got != f.Content {
			t.Errorf("cloud-config's %s %s is %q, the tar's %q", f.Path, f.Permissions, f.Content, got)
		}
	}
}

func TestSeedRefusesWhatAMachineCouldNotUse(t *testing.T) {
	if _, err := seed().Tar("not-an-id", nil); err == nil {
		t.Error("a bad machine id was accepted")
	}
	big := seed()
	big.AuthorizedKeys = []string{strings.Repeat("k", 17<<10)}
	if _, err := big.UserData(); err == nil || !strings.Contains(err.Error(), "at most 16384") {
		t.Errorf("oversized user-data: got %v", err)
	}
}

func TestErrorsKeepTheirCodeThroughWrapping(t *testing.T) {
	inner := &providers.Error{Code: providers.Denied, Op: "open", Subject: "libvirt", Err: errors.New("permission denied")}
	if got := providers.CodeOf(fmt.Errorf("somewhere: %w", inner)); got != providers.Denied {
		t.Errorf("code %s", got)
	}
	if got := inner.Error(); got != "cannot open libvirt: permission denied" {
		t.Errorf("text %q", got)
	}
	if providers.CodeOf(nil) != "" || providers.CodeOf(io.EOF) != providers.Internal {
		t.Error("nil or foreign errors have the wrong code")
	}
}

func TestPrintableShowsWhatATerminalWouldObey(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext\n":        "plain\ttext\n",
		"\x1b[31mred\x07":      `\x1b[31mred\x07`,
		"bad \xff utf-8":       `bad \x? utf-8`,
		"a\r\nb\rc":            "a\nb\\x0dc",
		"\u202eevil\u0085 end": `\u202eevil\x85 end`,
	} {
		if got := providers.Printable(in); got != want {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzPrintableNeverPassesAControl(f *testing.F) {
	f.Add("\x1b]0;title\x07")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range providers.Printable(s) {
			if r < 0x20 && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
				t.Errorf("%q let %U through", s, r)
			}
		}
	})
}
