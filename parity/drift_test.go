// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/parity"
)

func driftPolicy() parity.Policy {
	m := manifest("web", now.AddDate(0, 0, -1), "nginx:amd64=1.22.1-9", "bash:amd64=5.2-2", "tzdata:all=2024a-0+deb12u1")
	file := func(path, mode, text string) images.Entry {
		return images.Entry{Path: path, Type: "file", Mode: mode, SHA256: sum(text)}
	}
	m.Files = []images.Entry{
		file("/etc/motd", "0644", "hello\n"), file("/etc/hosts", "0644", "127.0.0.1 localhost\n"), file("/etc/machine-id", "0444", ""), file("/usr/bin/x", "0755", "x"),
		{Path: "/etc/localtime", Type: "symlink", Mode: "0777", Link: "/usr/share/zoneinfo/Etc/UTC"}, {Path: "/etc/apt", Type: "dir", Mode: "0755"},
		{Path: "/etc/motd.twin", Type: "link", Link: "/etc/motd", Mode: "0644"}, file("/etc/owned", "0640", "o"), file("/etc/secret.key", "0600", "k"),
	}
	m.Files[7].UID = 33
	return parity.Policy{Baseline: "production", Manifests: map[string]*images.Manifest{"k": m}, Recipes: map[string]string{"web": "images/web.yaml"}}
}

func asMade() box {
	b := plainBox()
	for key, value := range map[string]string{
		"/etc/motd": "body:hello\n", "/etc/motd.twin": "0644 root:root sha256:" + sum("hello\n"), "/etc/localtime": "0777 root:root -> /usr/share/zoneinfo/Etc/UTC",
		"/etc/hosts": "body:127.0.0.1 localhost\n127.0.1.1 web-1\n# evenkeel: machines\n10.0.0.1 web-1\n# evenkeel: end\n", "/etc/machine-id": "0444 root:root sha256:77",
		"/etc/resolv.conf": "0644 root:root sha256:88", "/etc/owned": "0640 www-data:root sha256:" + sum("o"),
	} {
		b = b.with("etc", key, value)
	}
	return b
}

func imaged(name string, b box) parity.Snapshot {
	s := snap("production", name, b.with("etc", "/etc/machine-id", "0444 root:root sha256:"+sum(name)))
	s.Subject.ImageKey = "k"
	return s
}

func TestAMachineAsItsImageHasNotDrifted(t *testing.T) {
	wantRows(t, compare(t, driftPolicy(), imaged("web-1", asMade())))
}

func TestDriftFromTheImage(t *testing.T) {
	for want, b := range map[string]box{
		"packages/nginx:amd64 in production: production-webA=different(1.22.1-8)<":                    asMade().with("packages", "nginx:amd64", "1.22.1-8"),
		"packages/nginx:amd64 in production: production-webA=different(1.22.1-9 half-configured)":     asMade().with("packages", "nginx:amd64", "1.22.1-9 half-configured"),
		"packages/bash:amd64 in production: production-webA=absent":                                   asMade().without("packages", "bash:amd64"),
		"packages/gcc:amd64 in production: production-webA=different(4:12)":                           asMade().with("packages", "gcc:amd64", "4:12"),
		"etc//etc/motd in production: production-webA=different(0644 root:root sha256:" + sum("hi\n"): asMade().with("etc", "/etc/motd", "body:hi\n"),
		"etc//etc/motd in production: production-webA=different(0666 root:root":                       asMade().with("etc", "/etc/motd", "0666 root:root sha256:"+sum("hello\n")),
		"etc//etc/motd in production: production-webA=different(0644 games:root":                      asMade().with("etc", "/etc/motd", "0644 games:root sha256:"+sum("hello\n")),
		"etc//etc/owned in production: production-webA=different(0640 root:root":                      asMade().with("etc", "/etc/owned", "0640 root:root sha256:"+sum("o")),
		"etc//etc/localtime in production: production-webA=different(0777 root:root -> /usr":          asMade().with("etc", "/etc/localtime", "0777 root:root -> /usr/share/zoneinfo/Asia/Tokyo"),
		"etc//etc/localtime in production: production-webA=absent":                                    asMade().without("etc", "/etc/localtime"),
		"etc//etc/new in production: production-webA=different(0644 root:root sha256:11":              asMade().with("etc", "/etc/new", "0644 root:root sha256:11"),
	} {
		r := compare(t, driftPolicy(), imaged("web-1", b))
		got := said(r)
		if len(got) != 1 || !strings.HasPrefix(got[0], "drift "+want) || r.Rows[0].File != "images/web.yaml" || !strings.Contains(r.Rows[0].Fix, "rebuild web-1") {
			t.Errorf("got %v\n%+v; want %s", got, r.Rows, want)
		}
	}
}

func TestDriftOfOneMachineAmongMany(t *testing.T) {
	r := compare(t, driftPolicy(), imaged("web-1", asMade()), imaged("web-2", asMade()), imaged("web-3", asMade().with("packages", "gcc:amd64", "4:12")))
	wantRows(t, r, "skew packages/gcc:amd64: production-webB=different(4:12)", "drift packages/gcc:amd64 in production: production-webB=different(4:12)")
}

func TestAnUnknownImageIsSaid(t *testing.T) {
	s := imaged("web-1", asMade())
	s.Subject.ImageKey = strings.Repeat("9", 64)
	r := compare(t, driftPolicy(), s)
	wantRows(t, r)
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "the manifest of image 999999999999 is not here") {
		t.Errorf("got notes %q", r.Notes)
	}
}

func TestWhatSettleLaidIsComparedWithWhatItLays(t *testing.T) {
	p := driftPolicy()
	rules := "0644 root:root sha256:"
	p.Tiers = []parity.TierPolicy{{Name: "production", Laid: map[string]map[string]string{"web-1": {"/etc/evenkeel/nft/rules.nft": sum("rules")}}}}
	wantRows(t, compare(t, p, imaged("web-1", asMade().with("etc", "/etc/evenkeel/nft/rules.nft", rules+sum("rules")))))
	wantRows(t, compare(t, p, imaged("web-1", asMade().with("etc", "/etc/evenkeel/nft/rules.nft", rules+"99"))),
		"drift etc//etc/evenkeel/nft/rules.nft in production: production-webA=different(0644 root:root sha256:99)")
	wantRows(t, compare(t, p, imaged("web-1", asMade())), "drift etc//etc/evenkeel/nft/rules.nft in production: production-webA=absent")
	// Other tiers have other rules by the definition.
	staging := snap("staging", "web-1", asMade().with("etc", "/etc/evenkeel/nft/rules.nft", rules+"77"))
	p.Tiers = append(p.Tiers, parity.TierPolicy{Name: "staging"})
	if got := said(compare(t, p, imaged("web-1", asMade().with("etc", "/etc/evenkeel/nft/rules.nft", rules+sum("rules"))), staging)); len(got) != 0 {
		for _, row := range got {
			if strings.Contains(row, "evenkeel") {
				t.Errorf("got %v", got)
			}
		}
	}
}
