// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/parity"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// box is a snapshot to start from: sections as "section" -> "key" -> value.
type box map[string]map[string]string

func (b box) with(section, key, value string) box {
	out := box{}
	for name, items := range b {
		out[name] = map[string]string{}
		for k, v := range items {
			out[name][k] = v
		}
	}
	if out[section] == nil {
		out[section] = map[string]string{}
	}
	out[section][key] = value
	return out
}

func (b box) without(section, key string) box {
	out := b.with(section, key, "")
	delete(out[section], key)
	return out
}

func plainBox() box {
	return box{
		"os":       {"id": "debian", "version_id": "12"},
		"packages": {"nginx:amd64": "1.22.1-9", "bash:amd64": "5.2-2", "tzdata:all": "2024a-0+deb12u1"},
		"sysctl":   {"vm.swappiness": "60"},
		"boot":     {"uptime": "3600"},
	}
}

// snap is a machine's snapshot. A value that begins with "body:" becomes a file with that text.
func snap(tier, name string, b box) parity.Snapshot {
	s := parity.Snapshot{
		Format: parity.SnapshotFormat, Collector: strings.Repeat("c", 64), Taken: now, KeyID: "k1",
		Subject: parity.Subject{Project: "7f3a9c", Tier: tier, Name: name, Kind: strings.TrimRight(name, "-0123456789"), Created: now.Add(-time.Hour)},
	}
	for name, items := range b {
		section := parity.Section{Name: name, Lane: parity.Stable}
		for key, value := range items {
			section.Items = append(section.Items, item(key, value))
		}
		slices.SortFunc(section.Items, func(a, b parity.Item) int { return strings.Compare(a.Key, b.Key) })
		section.Digest = digestOf(section.Items)
		s.Sections = append(s.Sections, section)
	}
	slices.SortFunc(s.Sections, func(a, b parity.Section) int { return strings.Compare(a.Name, b.Name) })
	return s
}

func item(key, value string) parity.Item {
	switch {
	case strings.HasPrefix(value, "body:"):
		body := strings.TrimPrefix(value, "body:")
		return parity.Item{Key: key, Value: "0644 root:root sha256:" + sum(body), Body: body}
	case strings.HasPrefix(value, "unknown:"):
		return parity.Item{Key: key, Unknown: strings.TrimPrefix(value, "unknown:")}
	}
	return parity.Item{Key: key, Value: value}
}

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

func digestOf(items []parity.Item) string {
	data, err := json.Marshal(items)
	if err != nil {
		panic(err)
	}
	return sum(string(data))
}

func compare(t *testing.T, p parity.Policy, snapshots ...parity.Snapshot) *parity.Report {
	t.Helper()
	if p.At.IsZero() {
		p.At = now
	}
	r, err := parity.Compare(snapshots, p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// said is a report's rows in short: kind section/key tier: state value, ...
func said(r *parity.Report) []string {
	var out []string
	for _, row := range r.Rows {
		text := fmt.Sprintf("%s %s/%s", row.Kind, row.Section, row.Key)
		if row.Tier != "" {
			text += " in " + row.Tier
		}
		if !row.Counts {
			text += " (no finding)"
		}
		text += ":"
		for i, c := range row.Cells {
			if c.State != "" && c.State != parity.Same {
				text += fmt.Sprintf(" %s-%s%s=%s", r.Columns[i].Tier, r.Columns[i].Kind, r.Columns[i].Variant, c.State)
				if c.Value != "" {
					text += "(" + c.Value + ")"
				}
				text += []string{"<", "", ">"}[c.Order+1]
			}
		}
		out = append(out, text)
	}
	return out
}

func wantRows(t *testing.T, r *parity.Report, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, said(r)); diff != "" {
		t.Errorf("rows (-want +got):\n%s\nnotes: %q", diff, r.Notes)
	}
}

func TestEqualTiersHaveNoFindings(t *testing.T) {
	b := plainBox()
	r := compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", b), snap("production", "web-2", b), snap("staging", "web-1", b))
	wantRows(t, r)
	if got := r.Checked; got.Machines != 3 || got.Tiers != 2 || got.Facts != 18 || got.Unknown != 0 {
		t.Errorf("got checked %+v; want 3 machines of 2 tiers with 6 facts each", got)
	}
	if len(r.Columns) != 2 || r.Columns[0].Count != 2 || r.Columns[0].Variant != "A" || r.Columns[0].Tier != "production" {
		t.Errorf("got columns %+v; want production A with two machines first", r.Columns)
	}
}

func TestVersionsOrderByThePackageManager(t *testing.T) {
	b := plainBox()
	r := compare(t, parity.Policy{Baseline: "production"},
		snap("production", "web-1", b), snap("staging", "web-1", b.with("packages", "nginx:amd64", "1.22.1-9+deb12u1")),
		snap("ci", "web-1", b.with("packages", "nginx:amd64", "1.22.1-9~bpo11+1").without("packages", "bash:amd64").with("packages", "vim:amd64", "2:9.0")))
	wantRows(t, r,
		"skew packages/nginx:amd64: ci-webA=different(1.22.1-9~bpo11+1)< staging-webA=different(1.22.1-9+deb12u1)>",
		"skew packages/bash:amd64: ci-webA=absent",
		"skew packages/vim:amd64: ci-webA=different(2:9.0)")
}

// trap: unreachable is never "unchanged".
func TestUnreachableIsAColumnOfItsOwn(t *testing.T) {
	b := plainBox()
	gone := parity.Snapshot{Format: 1, Taken: now, Subject: parity.Subject{Tier: "staging", Name: "web-2", Kind: "web"}, Unreachable: "no route to host"}
	r := compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", b), snap("staging", "web-1", b.with("sysctl", "vm.swappiness", "10")), gone)
	wantRows(t, r, "skew sysctl/vm.swappiness: staging-webA=different(10) staging-web=unreachable")
	if r.Checked.Unreachable != 1 || r.Columns[2].Why != "no route to host" {
		t.Errorf("got %+v, columns %+v", r.Checked, r.Columns)
	}
	gone.Subject.Tier, gone.Subject.Name = "production", "web-1"
	r = compare(t, parity.Policy{Baseline: "production"}, gone, snap("staging", "web-1", b))
	if len(r.Rows) != 0 || !strings.Contains(strings.Join(r.Notes, "\n"), "no machine web of production could be read") {
		t.Errorf("got rows %v, notes %q", said(r), r.Notes)
	}
}

// trap: what could not be read is unknown, never same and never absent.
func TestUnknownIsNeitherSameNorAbsent(t *testing.T) {
	b := plainBox().with("sudoers", "/etc/sudoers", "x")
	blind := snap("staging", "web-1", b)
	for i := range blind.Sections {
		if blind.Sections[i].Name == "sudoers" {
			blind.Sections[i] = parity.Section{Name: "sudoers", Lane: parity.Stable, Unknown: "sudo asks for a password"}
		}
	}
	r := compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", b), blind)
	wantRows(t, r, "skew sudoers/* (no finding): staging-webA=unknown(sudo asks for a password)")
	if r.Checked.Unknown != 1 {
		t.Errorf("got %d unknown, want 1", r.Checked.Unknown)
	}
	// One that was not even asked for it.
	r = compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", b), snap("staging", "web-1", plainBox()))
	wantRows(t, r, "skew sudoers/* (no finding): staging-webA=unknown(another collector, or an older snapshot)")
	if r.Complete() || r.Checked.Unknown != 1 || !strings.HasPrefix(r.Verdict(), "INCOMPLETE") {
		t.Errorf("%q with %d unknown, where staging was not asked for sudoers", r.Verdict(), r.Checked.Unknown)
	}
	r = compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", plainBox()), snap("staging", "web-1", b))
	wantRows(t, r, "skew sudoers/* (no finding): production-webA=unknown(another collector, or an older snapshot)")
	if r.Complete() || r.Checked.Unknown != 1 {
		t.Errorf("%q with %d unknown, where production was not asked for sudoers", r.Verdict(), r.Checked.Unknown)
	}
	// Nor is it a variant with one that was asked and has none.
	none := snap("staging", "web-1", plainBox().with("sudoers", "x", "").without("sudoers", "x"))
	r = compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", b), none, snap("staging", "web-2", plainBox()))
	wantRows(t, r, "skew sudoers//etc/sudoers: staging-webA=absent staging-webB=unknown", "skew sudoers/* (no finding): staging-webB=unknown(another collector, or an older snapshot)")
	// A single item.
	r = compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", b), snap("staging", "web-1", b.with("sudoers", "/etc/sudoers", "unknown:permission denied")))
	wantRows(t, r, "skew sudoers//etc/sudoers (no finding): staging-webA=unknown")
	// One that no machine can read is in no row; what the report lacks is said all the same.
	b = b.with("sudoers", "/etc/sudoers", "unknown:permission denied")
	r = compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", b), snap("production", "web-2", b), snap("staging", "web-1", b))
	wantRows(t, r)
	if want := "sudoers: 3 facts on 3 machines could not be read: permission denied"; r.Checked.Unknown != 3 || !slices.Contains(r.Notes, want) {
		t.Errorf("got %d unknown, notes %q; want 3 and %q", r.Checked.Unknown, r.Notes, want)
	}
}

// trap: identity facts must differ; equal is the finding.
func TestEqualIdentitiesAreTheFinding(t *testing.T) {
	b := plainBox()
	one := b.with("etc", "/etc/machine-id", "0444 root:root sha256:aa")
	r := compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", one), snap("production", "web-2", one), snap("staging", "web-1", b.with("etc", "/etc/machine-id", "0444 root:root sha256:bb")))
	wantRows(t, r, "inventory identity/etc//etc/machine-id: production-webA=different(shared: web-[1,2])")
	if r.Columns[0].Count != 2 {
		t.Errorf("identities split variants: %+v", r.Columns)
	}
}

func TestPlaceFactsAreComparedWithinATierOnly(t *testing.T) {
	b := plainBox()
	r := compare(t, parity.Policy{Baseline: "production"},
		snap("production", "web-1", b.with("etc", "/etc/resolv.conf", "a")), snap("staging", "web-1", b.with("etc", "/etc/resolv.conf", "b")),
		snap("staging", "web-2", b.with("etc", "/etc/resolv.conf", "b")), snap("staging", "web-3", b.with("etc", "/etc/resolv.conf", "c")))
	wantRows(t, r, "skew etc//etc/resolv.conf in staging: staging-webB=different(c)")
}

func TestHostKernelIsSaidOnce(t *testing.T) {
	b := plainBox()
	box := snap("ci", "web-1", b.with("sysctl", "vm.swappiness", "1"))
	box.Subject.HostKernel = true
	r := compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", b), snap("production", "web-2", b), box)
	wantRows(t, r)
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "ci: its machines run their host's kernel") {
		t.Errorf("got notes %q", r.Notes)
	}
}

// TestWhatServesTheKernelIsNoDifferenceOfContainers: units and mounts that only a machine with a kernel of its own can have. What else it runs is compared, and
// containers of one tier are compared in their mounts, too.
func TestWhatServesTheKernelIsNoDifferenceOfContainers(t *testing.T) {
	b := plainBox().with("units", "nginx.service", "enabled active").with("mounts", "/srv", "ext4 rw")
	machine := b.with("units", "systemd-udevd.service", "static active").with("units", "systemd-timesyncd.service", "enabled active").with("time", "kept_by", "systemd-timesyncd").with("mounts", "/sys", "sysfs rw")
	inside := b.with("units", "systemd-timesyncd.service", "enabled skipped").with("time", "kept_by", "nothing").with("mounts", "/sys", "sysfs ro").with("mounts", "/etc/hosts", "ext4 rw")
	container := func(name string, b box) parity.Snapshot {
		s := snap("ci", name, b)
		s.Subject.HostKernel = true
		return s
	}
	p := parity.Policy{Baseline: "production"}
	wantRows(t, compare(t, p, snap("production", "web-1", machine), container("web-1", inside)))
	wantRows(t, compare(t, p, snap("production", "web-1", machine), container("web-1", inside.with("units", "nginx.service", "enabled failed"))),
		"skew units/nginx.service: ci-webA=different(enabled failed)")
	wantRows(t, compare(t, p, snap("production", "web-1", machine), container("web-1", inside), container("web-2", inside), container("web-3", inside.with("mounts", "/srv", "tmpfs rw"))),
		"skew mounts//srv in ci: ci-webB=different(tmpfs rw)")
}

// trap: secrets masked with different keys compare unknown.
func TestMaskedValuesOfDifferentKeysAreUnknown(t *testing.T) {
	b := plainBox().with("settled", "x", "y")
	a, z := snap("production", "web-1", b.with("conf", "password", "hmac:11")), snap("staging", "web-1", b.with("conf", "password", "hmac:22"))
	wantRows(t, compare(t, parity.Policy{Baseline: "production"}, a, z), "skew conf/password: staging-webA=different(hmac:22)")
	z.KeyID = "k2"
	wantRows(t, compare(t, parity.Policy{Baseline: "production"}, a, z), "skew conf/password (no finding): staging-webA=unknown(hmac:22)")
}

func TestFilesAreComparedByMeaning(t *testing.T) {
	b := plainBox().with("etc", "/etc/ssh/sshd_config", "body:# hardened\nPermitRootLogin no\nPort 22\n")
	r := compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", b),
		snap("staging", "web-1", b.with("etc", "/etc/ssh/sshd_config", "body:port   22\n\nPermitRootLogin no # \n")),
		snap("ci", "web-1", b.with("etc", "/etc/ssh/sshd_config", "body:Port 22\nPermitRootLogin yes\n")))
	if got := said(r); len(got) != 1 || !strings.HasPrefix(got[0], "skew etc//etc/ssh/sshd_config: ci-webA=different") {
		// " # " at the end has no certain meaning, so staging is different there.
		if len(got) != 1 {
			t.Fatalf("got %v", got)
		}
	}
	row := r.Rows[0]
	if row.Severity != parity.Security || !strings.Contains(row.Diff, "-permitrootlogin no\n+permitrootlogin yes\n") {
		t.Errorf("got severity %s and diff\n%s", row.Severity, row.Diff)
	}
	r = compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", b),
		snap("staging", "web-1", b.with("etc", "/etc/ssh/sshd_config", "body:port   22\n\n  PermitRootLogin=no\n# changed\n")))
	wantRows(t, r)
	// The same text under another mode is another file.
	other := snap("staging", "web-1", b)
	for i := range other.Sections {
		if other.Sections[i].Name == "etc" {
			it := other.Sections[i].Items[0]
			it.Value = strings.Replace(it.Value, "0644", "0666", 1)
			other.Sections[i].Items = []parity.Item{it}
			other.Sections[i].Digest = ""
		}
	}
	if got := said(compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", b), other)); len(got) != 1 {
		t.Errorf("another mode: got %v", got)
	}
}

// fleet is a random fleet for properties.
func fleet(r *rand.Rand) []parity.Snapshot {
	var all []parity.Snapshot
	for _, tier := range []string{"production", "staging", "ci"} {
		for i := range 1 + r.IntN(6) {
			b := plainBox()
			for range r.IntN(3) {
				b = b.with([]string{"packages", "sysctl", "etc", "units"}[r.IntN(4)], fmt.Sprintf("key%d", r.IntN(4)), fmt.Sprintf("%d", r.IntN(3)))
			}
			s := snap(tier, fmt.Sprintf("%s-%d", []string{"web", "db"}[r.IntN(2)], i+1), b)
			if r.IntN(8) == 0 {
				s.Sections, s.Unreachable = nil, "timed out"
			}
			all = append(all, s)
		}
	}
	return all
}

func TestTheOrderOfMachinesNeverMatters(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		all := fleet(r)
		p := parity.Policy{At: now, Baseline: "production", Tiers: []parity.TierPolicy{{Name: "ci", RebuildAfter: map[string]time.Duration{"": time.Minute}}, {Name: "production"}, {Name: "staging", Planned: map[string]string{"web-9": "web"}}}}
		want, err := json.Marshal(compare(t, p, all...))
		if err != nil {
			t.Fatal(err)
		}
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		got, err := json.Marshal(compare(t, p, all...))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Fatalf("seed %d: another order, another report:\n%s", seed, cmp.Diff(string(want), string(got)))
		}
	}
}

func TestASnapshotComparedWithItselfFindsNothing(t *testing.T) {
	for seed := range uint64(60) {
		for _, s := range fleet(rand.New(rand.NewPCG(seed, 2))) {
			if s.Unreachable != "" {
				continue
			}
			twin := s
			twin.Subject.Tier, s.Subject.Tier = "other", "one"
			if r := compare(t, parity.Policy{Baseline: "one"}, s, twin); len(r.Rows) != 0 {
				t.Fatalf("seed %d: got %v", seed, said(r))
			}
		}
	}
}

func TestWhatCannotBeJudgedIsAnError(t *testing.T) {
	b := snap("production", "web-1", plainBox())
	old := b
	old.Format = 7
	nameless := b
	nameless.Subject.Name = ""
	for want, c := range map[string]struct {
		list []parity.Snapshot
		p    parity.Policy
	}{
		"format 7":                   {[]parity.Snapshot{old}, parity.Policy{At: now}},
		"two snapshots are of":       {[]parity.Snapshot{b, b}, parity.Policy{At: now}},
		"does not say which machine": {[]parity.Snapshot{nameless}, parity.Policy{At: now}},
		"did you mean production?":   {[]parity.Snapshot{b}, parity.Policy{At: now, Baseline: "prodution"}},
		"no time":                    {[]parity.Snapshot{b}, parity.Policy{}},
		"not among those":            {[]parity.Snapshot{b}, parity.Policy{At: now, Baseline: "x", Tiers: []parity.TierPolicy{{Name: "production"}}}},
	} {
		if _, err := parity.Compare(c.list, c.p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
}

func TestFingerprintsOutliveValuesAndHosts(t *testing.T) {
	b := plainBox()
	one := compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", b), snap("staging", "web-1", b.with("sysctl", "vm.swappiness", "10")))
	two := compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-7", b), snap("ci", "web-2", b), snap("staging", "web-8", b.with("sysctl", "vm.swappiness", "20")))
	if len(one.Rows) != 1 || len(two.Rows) != 1 || one.Rows[0].Fingerprint != two.Rows[0].Fingerprint || len(one.Rows[0].Fingerprint) != 32 {
		t.Errorf("got %v and %v", one.Rows, two.Rows)
	}
}

func manifest(recipe string, at time.Time, packages ...string) *images.Manifest {
	m := &images.Manifest{Format: 1, Recipe: recipe, Time: at}
	for _, p := range packages {
		name, version, _ := strings.Cut(p, "=")
		name, arch, _ := strings.Cut(name, ":")
		m.Packages = append(m.Packages, images.ManifestPackage{Name: name, Version: version, Arch: arch})
	}
	return m
}

func TestImagesOfOneRecipeArePromotedInTime(t *testing.T) {
	older, newer := now.AddDate(0, 0, -40), now.AddDate(0, 0, -18)
	p := parity.Policy{Baseline: "production", PromoteWithin: 20 * 24 * time.Hour, Manifests: map[string]*images.Manifest{
		"k1": manifest("web", older, "nginx:amd64=1.22.1-9", "bash:amd64=5.2-2", "tzdata:all=2024a-0+deb12u1"),
		"k2": manifest("web", newer, "nginx:amd64=1.22.1-10", "bash:amd64=5.2-2", "tzdata:all=2024a-0+deb12u1", "vim:amd64=2:9"),
	}}
	b := plainBox()
	old, young := snap("production", "web-1", b), snap("staging", "web-1", b.with("packages", "nginx:amd64", "1.22.1-10").with("packages", "vim:amd64", "2:9"))
	old.Subject.ImageKey, young.Subject.ImageKey = "k1", "k2"
	wantRows(t, compare(t, p, old, young), "skew images/web (no finding): staging-webA=expected(ahead: 2 packages since 3 Nov 2026)>")
	p.PromoteWithin = 17 * 24 * time.Hour
	wantRows(t, compare(t, p, old, young), "skew images/web: staging-webA=different(ahead: 2 packages since 3 Nov 2026)>")
	// What the manifests do not explain is a row, and drift from the image.
	young = snap("staging", "web-1", b.with("packages", "nginx:amd64", "1.22.1-10").with("packages", "vim:amd64", "2:9").with("packages", "gcc:amd64", "4:12"))
	young.Subject.ImageKey = "k2"
	wantRows(t, compare(t, p, old, young), "skew images/web: staging-webA=different(ahead: 2 packages since 3 Nov 2026)>",
		"drift packages/gcc:amd64 in staging: staging-webA=different(4:12)")
}

func TestInventory(t *testing.T) {
	b := plainBox()
	foreign := snap("staging", "web-5", b)
	foreign.Subject.Project = "ffffff"
	r := compare(t, parity.Policy{Project: "7f3a9c", Baseline: "production", Tiers: []parity.TierPolicy{
		{Name: "production", Planned: map[string]string{"web-1": "web", "web-2": "web", "web-3": "web"}},
		{Name: "staging", Planned: map[string]string{"web-1": "web"}, External: map[string]string{"db": "db.acme.example:5432"}},
		{Name: "ci"}, {Name: "far", Unlisted: "the provider needs credentials"},
	}}, snap("production", "web-1", b), snap("staging", "web-1", b), snap("staging", "web-9", b), foreign)
	wantRows(t, r, "inventory machines/extra in staging: staging-webA=different(web-9)", "inventory machines/foreign in staging: staging-webA=different(web-5)", "inventory machines/missing in production:")
	if r.Checked.Tiers != 3 {
		t.Errorf("%d tiers are said to be checked; one of four could not be listed", r.Checked.Tiers)
	}
	slices.Reverse(r.Rows)
	if r.Rows[0].Missing != 2 || r.Rows[0].Reference != "web-[2,3]" || !r.Rows[0].Counts {
		t.Errorf("got %+v", r.Rows[0])
	}
	notes := strings.Join(r.Notes, "\n")
	for _, want := range []string{"staging: db is external (db.acme.example:5432)", "ci: it is empty", "far: its machines could not be listed from here"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes lack %q:\n%s", want, notes)
		}
	}
}

func TestSeveritiesCanBeOverruled(t *testing.T) {
	b := plainBox()
	p := parity.Policy{Baseline: "production", Severities: []parity.SeverityRule{{Match: "sysctl/vm.*", Severity: parity.Security}}}
	r := compare(t, p, snap("production", "web-1", b), snap("staging", "web-1", b.with("sysctl", "vm.swappiness", "10")))
	if r.Rows[0].Severity != parity.Security {
		t.Errorf("got %s", r.Rows[0].Severity)
	}
}

func TestCohortsOfOtherMakersAreComparedAmongThemselves(t *testing.T) {
	b := plainBox()
	one, two, other := snap("dc1", "alpha", b), snap("dc2", "beta", b.with("sysctl", "vm.swappiness", "1")), snap("dc2", "gamma", b.with("os", "id", "rocky").with("os", "version_id", "9"))
	for _, s := range []*parity.Snapshot{&one, &two, &other} {
		s.Subject.Kind = ""
	}
	r := compare(t, parity.Policy{Baseline: "dc1"}, one, two, other)
	wantRows(t, r, "skew sysctl/vm.swappiness: dc2-debian 12A=different(1)")
	if r.Columns[2].Kind != "rocky 9" {
		t.Errorf("got %+v", r.Columns)
	}
}

func TestWhatTheDefinitionGivesATierIsExpectedThere(t *testing.T) {
	b := plainBox().with("keys", "deploy SHA256:one", "ssh-ed25519")
	other := plainBox().with("keys", "deploy SHA256:two", "ssh-ed25519")
	p := parity.Policy{Baseline: "production", Tiers: []parity.TierPolicy{
		{Name: "production", Expected: map[string]string{"keys/deploy SHA256:one": "ssh-ed25519", "keys/deploy SHA256:two": ""}},
		{Name: "staging", Expected: map[string]string{"keys/deploy SHA256:one": "", "keys/deploy SHA256:two": "ssh-ed25519"}},
	}}
	wantRows(t, compare(t, p, snap("production", "web-1", b), snap("staging", "web-1", other)))
	wantRows(t, compare(t, p, snap("production", "web-1", b), snap("staging", "web-1", other.with("keys", "deploy SHA256:evil", "ssh-ed25519"))),
		"skew keys/deploy SHA256:evil: staging-webA=different(ssh-ed25519)")
	// The other tier's key is no more welcome than anybody's.
	wantRows(t, compare(t, p, snap("production", "web-1", b), snap("staging", "web-1", other.with("keys", "deploy SHA256:one", "ssh-ed25519"))),
		"drift keys/deploy SHA256:one in staging: staging-webA=different(ssh-ed25519)")
	// One that is gone is missed.
	wantRows(t, compare(t, p, snap("production", "web-1", b), snap("staging", "web-1", other.without("keys", "deploy SHA256:two"))),
		"drift keys/deploy SHA256:two in staging: staging-webA=absent")
}

// trap: several versions of one name, as of kernels; the newest decides which is newer.
func TestAPackageMayHaveSeveralVersions(t *testing.T) {
	rocky := plainBox().with("os", "id", "rocky").with("packages", "kernel:x86_64", "5.14.0-427.13.1.el9_4, 5.14.0-427.20.1.el9_4")
	wantRows(t, compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", rocky), snap("staging", "web-1", rocky.with("packages", "kernel:x86_64", "5.14.0-427.20.1.el9_4, 5.14.0-427.9.1.el9_4")),
		snap("ci", "web-1", rocky.with("packages", "kernel:x86_64", "5.14.0-503.1.1.el9_5, 5.14.0-427.13.1.el9_4"))),
		"skew packages/kernel:x86_64: ci-webA=different(5.14.0-503.1.1.el9_5, 5.14.0-427.13.1.el9_4)> staging-webA=different(5.14.0-427.20.1.el9_4, 5.14.0-427.9.1.el9_4)")
}

// trap: systems of different distributions are not compared by package names.
func TestOtherSystemsAreNotComparedByPackageNames(t *testing.T) {
	b := plainBox()
	alpine := b.with("os", "id", "alpine").with("packages", "musl:x86_64", "1.2.5-r0").without("packages", "bash:amd64").with("sysctl", "vm.swappiness", "1")
	r := compare(t, parity.Policy{Baseline: "production"}, snap("production", "web-1", b), snap("staging", "web-1", alpine))
	wantRows(t, r, "skew os/id: staging-webA=different(alpine)", "skew sysctl/vm.swappiness: staging-webA=different(1)")
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "staging: its machines web have another package manager (apk) than those of production (dpkg)") {
		t.Errorf("got notes %q", r.Notes)
	}
}
