// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// oneApp is a machine with the project's code.
const oneApp = `evenkeel: 1
name: shop
id: "a1b2c3"
image: images/web.yaml
machines: {web: {stateless: true, code: [{from: ./app, to: /srv/app}]}}
tiers: {laptop: {provider: fake, config: {world: WORLD}}}
`

// listing prints every file with its content's digest, and what of ours is left over.
const listing = `cd "$1" && find . -name .evenkeel-sync -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum`

// What a killed sync leaves the next one completes: both sides come to be the same, and no change is lost.
func TestKilledSyncLosesNothing(t *testing.T) {
	t.Parallel()
	random := moments(t)
	s := newSite(t, map[string]string{"env.yaml": oneApp, "app/keep": "here"})
	s.run(0, "up", "-q")
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(s.dir, "app", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	whole := time.Second
	for i := range *kills {
		big := strings.Repeat(fmt.Sprint(i), 20_000)
		for n := range 30 {
			write(fmt.Sprintf("here/%d/f", n), big)
		}
		s.run(0, "ssh", "web-1", "--", fmt.Sprintf("mkdir -p /srv/app/there && cd /srv/app/there && for n in $(seq 30); do echo %d >f$n; done; rm -f ../gone-there", i))
		write("gone-there", "removed on the machine") // both: it goes or it stays, on both sides
		after := time.Duration(random.Int64N(int64(whole)))
		began := time.Now()
		p := s.start("sync", "-q")
		if i > 0 {
			time.Sleep(after)
			_ = p.Process.Kill()
		}
		p.end(t)
		if i == 0 {
			whole = time.Since(began)
		}
		if again := s.start("sync"); again.end(t) != 0 {
			t.Fatalf("kill %d, after %s: sync ends badly\nkilled:\n%s\nsync:\n%s%s", i, after, p.stderr, again.stdout, again.stderr)
		}
		here, err := exec.Command("sh", "-c", listing, "sh", filepath.Join(s.dir, "app")).Output()
		if err != nil {
			t.Fatal(err)
		}
		there := s.run(0, "ssh", "web-1", "--", "set -- /srv/app; "+listing).stdout.String()
		if there != string(here) || strings.Contains(there, ".evenkeel-") {
			t.Fatalf("kill %d, after %s: here\n%s\nthere\n%s", i, after, here, there)
		}
		for _, want := range []string{filepath.Join("here", "29", "f"), filepath.Join("there", "f30")} {
			if !strings.Contains(there, want) {
				t.Fatalf("kill %d, after %s: %s is lost:\n%s", i, after, want, there)
			}
		}
	}
}
