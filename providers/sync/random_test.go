// SPDX-License-Identifier: Apache-2.0

package sync_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/providers/sync"
)

// files is a folder's contents by path.
type files map[string]string

// merged is what three-way comparison by content says: what both sides hold afterwards, and the conflicts.
func merged(base, host, machine files) (h, m files, conflicts []string) {
	h, m = maps.Clone(host), maps.Clone(machine)
	all := maps.Clone(base)
	maps.Copy(all, host)
	maps.Copy(all, machine)
	set := func(to files, p string, from files) {
		if text, ok := from[p]; ok {
			to[p] = text
		} else {
			delete(to, p)
		}
	}
	same := func(a, b files, p string) bool {
		x, inA := a[p]
		y, inB := b[p]
		return inA == inB && x == y
	}
	for p := range all {
		switch {
		case same(host, machine, p):
		case same(host, base, p):
			set(h, p, machine)
		case same(machine, base, p):
			set(m, p, host)
		default:
			conflicts = append(conflicts, p)
		}
	}
	slices.Sort(conflicts)
	return h, m, conflicts
}

// TestRandomChangesEndAsThreeWayComparisonSays changes both sides at random and holds the result against merged, which knows contents only.
func TestRandomChangesEndAsThreeWayComparisonSays(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t)
	names := []string{"a", "b", "d/a", "d/b", "d/e/a", "f/a", "it's", "-rf"}
	base, host, machine := files{}, files{"keep": "here"}, files{"keep": "here"}
	write(t, r.host, "keep", "here") // or a side may lose everything, which is another test
	write(t, r.far, "keep", "here")
	for round := range 40 {
		var did []string
		for range random.IntN(6) {
			dir, side, name := r.host, host, names[random.IntN(len(names))]
			if random.IntN(2) == 0 {
				dir, side = r.far, machine
			}
			// Few contents of equal length, so that the same change on both sides, and back, happen.
			text := fmt.Sprint(random.IntN(4))
			if random.IntN(3) == 0 {
				if err := os.Remove(filepath.Join(dir, name)); err == nil {
					delete(side, name)
				}
				did = append(did, "rm "+filepath.Base(dir)+"/"+name)
				continue
			}
			write(t, dir, name, text)
			side[name] = text
			did = append(did, text+" to "+filepath.Base(dir)+"/"+name)
		}
		var conflicts []string
		before := base
		host, machine, conflicts = merged(base, host, machine)
		res := r.sync(sync.Options{})
		var got []string
		for _, c := range res.Conflicts {
			got = append(got, c.Path)
		}
		if h, m := read(t, r.host), read(t, r.far); !slices.Equal(got, conflicts) || !maps.Equal(h, host) || !maps.Equal(m, machine) {
			t.Fatalf("seed %d, round %d: %s\nbase %v\nhost %v, want %v\nmachine %v, want %v\nconflicts %v, want %v", seed, round, strings.Join(did, ", "), before, h, host, m, machine, got, conflicts)
		}
		if len(conflicts) > 0 && random.IntN(2) == 0 {
			side, winner := sync.Host, host
			if random.IntN(2) == 0 {
				side, winner = sync.Machine, machine
			}
			r.sync(sync.Options{Prefer: side})
			host, machine, conflicts = maps.Clone(winner), maps.Clone(winner), nil
			if h, m := read(t, r.host), read(t, r.far); !maps.Equal(h, host) || !maps.Equal(m, machine) {
				t.Fatalf("seed %d, round %d: preferring %s: host %v, machine %v, want %v", seed, round, side, h, m, winner)
			}
		}
		next := maps.Clone(host)
		for _, p := range conflicts {
			if was, ok := base[p]; ok {
				next[p] = was
			} else {
				delete(next, p)
			}
		}
		base = next
	}
}

func read(t *testing.T, dir string) files {
	t.Helper()
	all := files{}
	for _, word := range strings.Fields(contents(t, dir)) {
		p, text, ok := strings.Cut(word, "=")
		if ok {
			all[p] = text
		}
	}
	return all
}
