// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
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
	if err := b.initialisation(ctx); err != nil {
		return err
	}
	within := target{"<= 8 ms more", func(o, t float64) bool { return o <= t+0.008 }}
	return b.pair("hand-off: env true", "/usr/bin/env true", within, b.rounds, many(filepath.Join(b.bin, "env")), many("/usr/bin/env"))
}

// initialisation: what every start pays before main's first statement, against a fixed budget of 3 ms, as the runtime itself counts it.
func (b *bench) initialisation(ctx context.Context) error {
	const budget = 0.003
	r := Row{What: "package initialisation", Against: "a budget", Rival: budget, Target: "<= 3 ms"}
	for range b.rounds {
		cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "env"), "true")
		cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
		trace, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("env true: %w: %s", err, trace)
		}
		total := 0.0
		for line := range strings.Lines(string(trace)) { // init net/http @1.2 ms, 0.034 ms clock, 120 bytes, 3 allocs
			if f := strings.Fields(line); len(f) > 5 && f[0] == "init" {
				ms, err := strconv.ParseFloat(f[4], 64)
				if err != nil {
					return fmt.Errorf("cannot read the trace line %q: %w", line, err)
				}
				total += ms / 1000
			}
		}
		r.Ours, r.Theirs = append(r.Ours, total), append(r.Theirs, budget)
	}
	r.Median = median(r.Ours)
	r.Ratio, r.Met = r.Median/budget, r.Median <= budget
	b.report.Rows = append(b.report.Rows, r)
	return nil
}
