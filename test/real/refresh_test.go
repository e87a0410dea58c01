// SPDX-License-Identifier: Apache-2.0

package real_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// served is one machine that serves nginx's own page.
const served = `evenkeel: 1
name: realrefresh
id: "4ef4e5"
image: images/web.yaml
machines: {web: {memory: 512MiB, stateless: true, allow: [{from: anywhere, port: 80}], health: {http: ":80/", within: 120s}, rebuild: {order: surge}}}
tiers: {laptop: {provider: libvirt}}
`

// TestRefreshMovesAMachineToNewerPackages: a lock of some weeks ago, when nginx had an older version that the archive still has beside today's.
func TestRefreshMovesAMachineToNewerPackages(t *testing.T) {
	s := newSite(t, func(string) string { return served })
	recipe, lock := filepath.Join(s.dir, "images/web.yaml"), filepath.Join(s.dir, "images/web.lock")
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	locked := func(nginx string) string {
		t.Helper()
		write(recipe, "from: debian:12\npackages: ["+nginx+"]\n")
		if err := os.Remove(lock); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		s.run(0, "image", "lock")
		text, err := os.ReadFile(lock)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	write(recipe, "from: debian:12\npackages: [nginx=0.1]\n")
	_, said, _ := s.try("image", "lock")
	versions := regexp.MustCompile(`no archive has nginx=0\.1; they have (\S+), (\S+)`).FindStringSubmatch(said)
	if versions == nil {
		t.Fatalf("the archives have not two versions of nginx today:\n%s", said)
	}
	newest := locked("nginx")
	older := versions[1]
	if older == nginxOf(t, newest) {
		older = versions[2]
	}
	old := locked("nginx=" + older + ", nginx-common=" + older)
	wants := regexp.MustCompile(`(?m)^wants: .*$`) // of the recipe, which does not say a version
	write(recipe, "from: debian:12\npackages: [nginx]\n")
	write(lock, wants.ReplaceAllLiteralString(old, wants.FindString(newest)))

	t.Cleanup(func() {
		s.run(0, "down", "--data")
		s.wantNothing("realrefresh.laptop")
	})
	const installed = "dpkg-query -W -f '${Version}' nginx"
	s.run(0, "up", "--locked")
	if got := s.run(0, "ssh", "web-1", "--", installed); got != older {
		t.Errorf("the machine has nginx %s, want the lock's %s", got, older)
	}
	before, out := s.machines()["web-1"], s.run(2, "refresh", "--dry-run", "--json")
	var plan struct {
		Pending bool
		Locks   []struct {
			Packages []struct{ Name, From, To string }
		}
	}
	if err := json.Unmarshal([]byte(out), &plan); err != nil {
		t.Fatal(err)
	}
	if !plan.Pending || len(plan.Locks) != 1 || !slices.ContainsFunc(plan.Locks[0].Packages, func(p struct{ Name, From, To string }) bool {
		return p.Name == "nginx" && p.From == older && p.To == nginxOf(t, newest)
	}) {
		t.Errorf("what would change is\n%s", out)
	}
	if text, err := os.ReadFile(lock); err != nil || nginxOf(t, string(text)) != older {
		t.Errorf("--dry-run wrote the lock: %v", err)
	}
	s.run(0, "refresh")
	if got := s.run(0, "ssh", "web-1", "--", installed); got != nginxOf(t, newest) {
		t.Errorf("after refresh the machine has nginx %s, want %s", got, nginxOf(t, newest))
	}
	if text, err := os.ReadFile(lock); err != nil || nginxOf(t, string(text)) != nginxOf(t, newest) {
		t.Errorf("the lock is not today's: %v", err)
	}
	after := s.machines()["web-1"]
	if len(after.Ports) != 1 || after.Ports[0] != before.Ports[0] {
		t.Errorf("published at %v, before at %v", after.Ports, before.Ports)
	}
	fetch(t, after)
	s.run(0, "status", "--check")
	if out := s.run(0, "refresh"); !strings.Contains(out, "nothing to replace") {
		t.Errorf("refresh again:\n%s", out)
	}
}

// nginxOf is the version of nginx that a lock has.
func nginxOf(t *testing.T, lock string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^ {2}- recipe \S+ nginx (\S+) `).FindStringSubmatch(lock)
	if m == nil {
		t.Fatalf("no nginx in the lock:\n%.2000s", lock)
	}
	return m[1]
}
