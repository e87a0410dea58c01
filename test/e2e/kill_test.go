// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var (
	seed  = flag.Uint64("seed", 0, "of the random moments of the kill tests; 0: another one each time")
	kills = flag.Int("kills", 20, "how many random moments the kill tests try")
)

func moments(t *testing.T) *rand.Rand {
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("seed %d (again with: go test ./test/e2e -run %s -args -seed %d)", n, t.Name(), n)
	return rand.New(rand.NewPCG(n, n))
}

// quick has stages long enough to be hit and short enough to be tried often.
var quick = strings.NewReplacer("put_image: 200ms, put_machine: 300ms, delete_machine: 100ms, delete_env: 200ms", "put_image: 50ms, put_machine: 200ms, delete_env: 100ms", "boot: 500ms", "boot: 200ms").Replace(slow)

// What a killed up leaves, up completes or down removes, by turns.
func TestKilledUpIsSettled(t *testing.T) {
	t.Parallel()
	random := moments(t)
	s := newSite(t, map[string]string{"env.yaml": quick})
	began := time.Now()
	s.run(0, "up", "-q")
	whole := time.Since(began)
	s.run(0, "down")
	for i := range *kills {
		after := time.Duration(random.Int64N(int64(whole)))
		name := fmt.Sprintf("kill %d, after %s of %s", i, after.Round(time.Millisecond), whole.Round(time.Millisecond))
		p := s.start("up")
		time.Sleep(after)
		_ = p.Process.Kill()
		p.end(t)
		if i%2 == 0 {
			up := s.start("up")
			if got := up.end(t); got != 0 {
				t.Fatalf("%s: up ends with status %d\nkilled:\n%s\nup:\n%s", name, got, p.stderr, up.stderr)
			}
			if check := s.start("status", "--check"); check.end(t) != 0 {
				t.Fatalf("%s: after up not all is ready:\n%s%s", name, check.stdout, check.stderr)
			}
		}
		if down := s.start("down"); down.end(t) != 0 {
			t.Fatalf("%s: down fails:\n%s", name, down.stderr)
		}
		if left := leftovers(s.world); len(left) > 0 {
			t.Fatalf("%s: left over:\n  %s\nkilled:\n%s", name, strings.Join(left, "\n  "), p.stderr)
		}
	}
}

// What a killed down leaves, down removes or up completes, by turns.
func TestKilledDownIsSettled(t *testing.T) {
	t.Parallel()
	random := moments(t)
	s := newSite(t, map[string]string{"env.yaml": quick})
	s.run(0, "up", "-q")
	began := time.Now()
	s.run(0, "down")
	whole := time.Since(began)
	for i := range *kills {
		s.run(0, "up", "-q")
		after := time.Duration(random.Int64N(int64(whole)))
		name := fmt.Sprintf("kill %d, after %s of %s", i, after.Round(time.Millisecond), whole.Round(time.Millisecond))
		p := s.start("down")
		time.Sleep(after)
		_ = p.Process.Kill()
		p.end(t)
		if i%2 == 0 {
			up := s.start("up")
			if got := up.end(t); got != 0 {
				t.Fatalf("%s: up ends with status %d\n%s", name, got, up.stderr)
			}
			if check := s.start("status", "--check"); check.end(t) != 0 {
				t.Fatalf("%s: after up not all is ready:\n%s%s", name, check.stdout, check.stderr)
			}
		}
		if down := s.start("down"); down.end(t) != 0 {
			t.Fatalf("%s: down fails:\n%s", name, down.stderr)
		}
		if left := leftovers(s.world); len(left) > 0 {
			t.Fatalf("%s: left over:\n  %s", name, strings.Join(left, "\n  "))
		}
	}
}
