// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// image: a build from an empty store against mmdebstrap of the same packages by hand, both fetching them; then one package more, against
// the full build.
func (b *bench) image(ctx context.Context) error {
	dir, err := b.project(ctx)
	if err != nil {
		return err
	}
	recipe, lock := filepath.Join(dir, "images", "bench.yaml"), filepath.Join(dir, "images", "bench.lock")
	names, err := locked(lock)
	if err != nil {
		return err
	}
	home := filepath.Join(b.dir, "cache")
	env := []string{"XDG_CACHE_HOME=" + home}
	program := filepath.Join(b.bin, "evenkeel")
	full := func() (time.Duration, error) {
		if err := os.RemoveAll(home); err != nil {
			return 0, err
		}
		return timed(ctx, dir, env, program, "image", "build")
	}
	hand := func() (time.Duration, error) {
		tree := filepath.Join(b.dir, "hand.tar")
		defer os.Remove(tree)
		return timed(ctx, dir, nil, "mmdebstrap", "--variant=custom", "--include="+strings.Join(names, ","), "bookworm", tree)
	}
	if err := b.pair("full image build", "mmdebstrap of the same set", times(1.3), min(b.rounds, 3), full, hand); err != nil {
		return err
	}
	more := func() (time.Duration, error) {
		if err := os.WriteFile(recipe, []byte(benchRecipe("curl, tree")), 0o644); err != nil {
			return 0, err
		}
		if _, err := timed(ctx, dir, env, program, "image", "lock"); err != nil {
			return 0, err
		}
		return timed(ctx, dir, env, program, "image", "build")
	}
	fullAgain := func() (time.Duration, error) {
		if err := os.WriteFile(recipe, []byte(benchRecipe("curl")), 0o644); err != nil {
			return 0, err
		}
		if _, err := timed(ctx, dir, env, program, "image", "lock"); err != nil {
			return 0, err
		}
		return full()
	}
	return b.pair("one package more", "full image build", times(0.4), min(b.rounds, 3), more, fullAgain)
}

// locked reads the package names out of a lock.
func locked(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var names []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if f := strings.Fields(s.Text()); len(f) == 9 && f[0] == "-" { // layer archive name version arch size sha256 path
			names = append(names, f[3])
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s names no package", file)
	}
	return names, nil
}
