// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"time"
)

// handoff: what a word that is not ours costs when `env` is our binary. One sample is fifty runs, since one is too short to time.
func (b *bench) handoff(ctx context.Context) error {
	const runs = 50
	many := func(program string) func() (time.Duration, error) {
		return func() (time.Duration, error) {
			began := time.Now()
			for range runs {
				if err := exec.CommandContext(ctx, program, "true").Run(); err != nil {
					return 0, err
				}
			}
			return time.Since(began) / runs, nil
		}
	}
	within := target{"<= 8 ms more", func(o, t float64) bool { return o <= t+0.008 }}
	return b.pair("hand-off: env true", "/usr/bin/env true", within, b.rounds, many(filepath.Join(b.bin, "env")), many("/usr/bin/env"))
}
