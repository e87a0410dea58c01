// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"slices"
	"strings"
	"testing"
	"time"

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
		if len(got) != 1 || !strings.HasPrefix(got[0], "drift "+want) || r.Rows[0].File != "images/web.yaml" || !strings.Contains(r.Rows[0].Fix, "`evenkeel rebuild web-1 --tier production`") {
			t.Errorf("got %v\n%+v; want %s", got, r.Rows, want)
		}
	}
}

func TestDriftOfOneMachineAmongMany(t *testing.T) {
	r := compare(t, driftPolicy(), imaged("web-1", asMade()), imaged("web-2", asMade()), imaged("web-3", asMade().with("packages", "gcc:amd64", "4:12")))
	wantRows(t, r, "drift packages/gcc:amd64 in production: production-webB=different(4:12)")
	// What both tiers' machines drifted in differently is skew too.
	p := driftPolicy()
	p.Manifests["j"] = p.Manifests["k"]
	staging := snap("staging", "web-1", asMade().with("packages", "gcc:amd64", "4:13"))
	staging.Subject.ImageKey = "j"
	wantRows(t, compare(t, p, imaged("web-1", asMade().with("packages", "gcc:amd64", "4:12")), staging), "skew packages/gcc:amd64: staging-webA=different(4:13)>",
		"drift packages/gcc:amd64 in production: production-webA=different(4:12)", "drift packages/gcc:amd64 in staging: staging-webA=different(4:13)")
	// As are a machine's whose image is not known.
	staging.Subject.ImageKey = ""
	wantRows(t, compare(t, p, imaged("web-1", asMade()), staging), "skew packages/gcc:amd64: staging-webA=different(4:13)")
}

func TestAnUnknownImageIsSaid(t *testing.T) {
	s := imaged("web-1", asMade())
	s.Subject.ImageKey = strings.Repeat("9", 64)
	r := compare(t, driftPolicy(), s)
	wantRows(t, r)
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "the manifest of image 999999999999 is not here") {
		t.Errorf("got notes %q", r.Notes)
	}
	// Beside machines that drifted nothing is said of it, nor of one that was not asked.
	unasked := imaged("web-3", asMade())
	unasked.Sections = slices.DeleteFunc(unasked.Sections, func(s parity.Section) bool { return s.Name == "packages" })
	s = imaged("web-2", asMade())
	s.Subject.ImageKey = strings.Repeat("9", 64)
	r = compare(t, driftPolicy(), imaged("web-1", asMade().with("packages", "gcc:amd64", "4:12")), s, unasked)
	i := slices.IndexFunc(r.Rows, func(row parity.Row) bool { return row.Kind == parity.Drift })
	if i < 0 {
		t.Fatalf("got %v, want drift", said(r))
	}
	for j, cell := range r.Rows[i].Cells {
		if want := map[string]parity.State{"web-1": parity.Different, "web-2": parity.Unknown, "web-3": parity.Unknown}[r.Columns[j].Machines[0]]; cell.State != want {
			t.Errorf("%v: got %s, want %s", r.Columns[j].Machines, cell.State, want)
		}
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
	// What is laid is known without the image.
	blind := p
	blind.Manifests = nil
	blind.Tiers = []parity.TierPolicy{{Name: "production", Laid: map[string]map[string]string{"web-1": {"/etc/evenkeel/nft/rules.nft": sum("rules")}, "web-2": {"/etc/evenkeel/nft/rules.nft": sum("rules")}}}}
	wantRows(t, compare(t, blind, imaged("web-1", asMade().with("etc", "/etc/evenkeel/nft/rules.nft", rules+sum("rules"))), imaged("web-2", asMade().with("etc", "/etc/evenkeel/nft/rules.nft", rules+"99"))),
		"drift etc//etc/evenkeel/nft/rules.nft in production: production-webB=different(0644 root:root sha256:99)")
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

func TestImagesExplainFilesToo(t *testing.T) {
	p := driftPolicy()
	other := *p.Manifests["k"]
	other.Files = append(other.Files[:0:0], other.Files...)
	other.Files[0].SHA256, other.Time = sum("newer\n"), now.Add(-time.Hour)
	p.Manifests["j"], p.PromoteWithin = &other, 24*time.Hour
	staging := snap("staging", "web-1", asMade().with("etc", "/etc/motd", "body:newer\n").with("etc", "/etc/machine-id", "0444 root:root sha256:5").with("etc", "/etc/motd.twin", "0644 root:root sha256:"+sum("newer\n")))
	staging.Subject.ImageKey = "j"
	wantRows(t, compare(t, p, imaged("web-1", asMade()), staging), "skew images/web (no finding): staging-webA=expected(ahead: 2 files since 21 Nov 2026)>")
	p.Baseline = "staging"
	wantRows(t, compare(t, p, imaged("web-1", asMade()), staging), "skew images/web (no finding): production-webA=expected(behind: 2 files since 21 Nov 2026)<")
	p.PromoteWithin = time.Minute
	if r := compare(t, p, imaged("web-1", asMade()), staging); len(r.Rows) != 1 || !strings.Contains(r.Rows[0].Fix, "--tier production") || r.Rows[0].File != "images/web.yaml" {
		t.Errorf("got %+v", r.Rows)
	}
}

// A change without meaning is none, where a machine as the image shows what the image says; one with meaning is shown in its statements.
func TestAMeaninglessChangeIsNoDrift(t *testing.T) {
	p := driftPolicy()
	m := *p.Manifests["k"]
	const text = "# c\nPort 22\nPermitRootLogin no\n"
	m.Files = append(m.Files[:len(m.Files):len(m.Files)], images.Entry{Path: "/etc/ssh/sshd_config", Type: "file", Mode: "0644", SHA256: sum(text)})
	p.Manifests["k"] = &m
	with := func(text string) box { return asMade().with("etc", "/etc/ssh/sshd_config", "body:"+text) }
	wantRows(t, compare(t, p, imaged("web-1", with(text)), imaged("web-2", with("port 22\nPermitRootLogin   no\n"))))
	r := compare(t, p, imaged("web-1", with(text)), imaged("web-2", with("port 22\nPermitRootLogin yes\n")))
	if len(r.Rows) != 1 || r.Rows[0].Kind != parity.Drift || !strings.Contains(r.Rows[0].Diff, "-permitrootlogin no\n+permitrootlogin yes\n") {
		t.Errorf("got %+v", r.Rows)
	}
	// The image's own text tells as well, where there is no other machine.
	p.Texts = map[string]map[string]string{"k": {"/etc/ssh/sshd_config": text}}
	wantRows(t, compare(t, p, imaged("web-1", with("port 22\nPermitRootLogin   no\n"))))
	if r := compare(t, p, imaged("web-1", with("Port 23\nPermitRootLogin no\n"))); len(r.Rows) != 1 || r.Rows[0].Diff != "--- image\n+++ production A\n@@ -2 +2 @@\n-port 22\n+port 23\n" {
		t.Errorf("got %+v", r.Rows)
	}
	p.Texts = nil
	// Nobody shows what the image says: its digest is another, and that is all there is.
	if r := compare(t, p, imaged("web-1", with("port 22\nPermitRootLogin   no\n"))); len(r.Rows) != 1 {
		t.Errorf("got %v", said(r))
	}
}

// A plain user sees neither what is in a folder of root's, nor that it is not there.
func TestWhatIsInAFolderThatCouldNotBeLookedIntoIsNotAbsent(t *testing.T) {
	blind := func(s parity.Snapshot) parity.Snapshot {
		for i := range s.Sections {
			if s.Sections[i].Name == "etc" {
				list := append(s.Sections[i].Items, parity.Item{Key: "/etc/sudoers.d", Value: "0750 root:root", Unknown: "only root may look into it"})
				slices.SortFunc(list, func(a, b parity.Item) int { return strings.Compare(a.Key, b.Key) })
				s.Sections[i].Items, s.Sections[i].Digest = list, digestOf(list)
			}
		}
		return s
	}
	seen := asMade().with("etc", "/etc/sudoers.d/deploy", "0440 root:root sha256:11").with("etc", "/etc/sudoers.d", "0750 root:root")
	a := snap("production", "web-1", seen.without("etc", "/etc/machine-id"))
	rows := said(compare(t, parity.Policy{Baseline: "production"}, a, blind(snap("staging", "web-1", asMade().without("etc", "/etc/machine-id")))))
	if len(rows) != 2 || !strings.Contains(rows[0], "sudoers.d (") || !strings.Contains(rows[1], "sudoers.d/deploy (") || strings.Count(strings.Join(rows, ""), "=unknown") != 2 {
		t.Errorf("got %q", rows)
	}
	p := driftPolicy()
	m := p.Manifests["k"]
	m.Files = append(m.Files, images.Entry{Path: "/etc/sudoers.d/deploy", Type: "file", Mode: "0440", SHA256: sum("x")}, images.Entry{Path: "/etc/sudoers.d", Type: "dir", Mode: "0750"})
	for _, got := range said(compare(t, p, blind(imaged("web-1", asMade())))) {
		if strings.Contains(got, "absent") {
			t.Errorf("got %s", got)
		}
	}
}

func TestWhatFirstBootMadeIsNoDriftAndWhatCameLaterIs(t *testing.T) {
	made := asMade().with("etc", "/etc/made.conf", "body:a=1\n").with("etc", "/etc/motd", "body:made on this machine\n")
	s := imaged("web-1", made)
	since := func(s *parity.Snapshot, key, value string) {
		for i := range s.Sections {
			for j := range s.Sections[i].Items {
				if item := &s.Sections[i].Items[j]; item.Key == key {
					item.Since = value
				}
			}
		}
	}
	conf := "drift etc//etc/made.conf in production: production-webA=different(0644 root:root sha256:" + sum("a=1\n") + ")"
	motd := "drift etc//etc/motd in production: production-webA=different(0644 root:root sha256:" + sum("made on this machine\n") + ")"
	wantRows(t, compare(t, driftPolicy(), s), conf, motd)

	s = imaged("web-1", made.with("etc", parity.FirstBootItem, "ended"))
	for i := range s.Sections {
		if s.Sections[i].Name == "etc" {
			for j := range s.Sections[i].Items {
				if item := &s.Sections[i].Items[j]; item.Key == parity.FirstBootItem {
					item.Lane = parity.Volatile
				}
			}
		}
	}
	wantRows(t, compare(t, driftPolicy(), s))

	since(&s, "/etc/made.conf", "2026-11-01T10:00:00Z")
	wantRows(t, compare(t, driftPolicy(), s), conf)
}
