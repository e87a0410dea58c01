// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// site is a folder with a definition, in which our command runs with state of its own.
type site struct {
	dir, state, program string
	env                 []string
}

// site writes the files of one, by their names below its folder.
func (b *bench) site(name string, files map[string]string) (*site, error) {
	s := &site{dir: filepath.Join(b.dir, name), program: filepath.Join(b.bin, "evenkeel")}
	s.state = filepath.Join(s.dir, "state")
	s.env = append(os.Environ(), "XDG_STATE_HOME="+s.state, "XDG_CACHE_HOME="+filepath.Join(s.dir, "cache"), "SSH_AUTH_SOCK=", "EVENKEEL_SSH_KEY_FILE="+filepath.Join(s.dir, "login"))
	for name, text := range files {
		file := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// forget makes the next call the first one.
func (s *site) forget() error { return os.RemoveAll(s.state) }

// ran is what a call took.
type ran struct {
	time   time.Duration
	memory float64 // MB at the most; of the largest of its processes
	stdout []byte
}

// run runs our command. That machines differ (2) or are known in part (3) is no failure of it.
func (s *site) run(ctx context.Context, args ...string) (r ran, err error) {
	cmd := exec.CommandContext(ctx, s.program, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends its plugins
	cmd.WaitDelay = 10 * time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	began := time.Now()
	err = cmd.Run()
	r.time, r.stdout = time.Since(began), out.Bytes()
	if cmd.ProcessState == nil || !slices.Contains([]int{0, 2, 3}, cmd.ProcessState.ExitCode()) || ctx.Err() != nil {
		return r, fmt.Errorf("evenkeel %v: %w\n%.2000s", args, err, said.String())
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.memory = float64(usage.Maxrss) / 1000 // kB (getrusage(2))
	}
	return r, nil
}

// audit audits all there is, writes every report, and makes sure that n machines were read.
func (s *site) audit(ctx context.Context, n int, args ...string) (ran, error) {
	out := filepath.Join(s.dir, "out")
	r, err := s.run(ctx, append([]string{"audit", "--quiet", "--offline", "--out", out}, args...)...)
	if err != nil {
		return r, err
	}
	data, err := os.ReadFile(filepath.Join(out, "audit.json"))
	if err != nil {
		return r, err
	}
	var report struct {
		Checked struct{ Machines, Unreachable int }
		Columns []struct{ Why string }
	}
	if err := json.Unmarshal(data, &report); err != nil {
		return r, err
	}
	if report.Checked.Machines != n || report.Checked.Unreachable > 0 {
		why := ""
		for _, c := range report.Columns {
			if why == "" {
				why = c.Why
			}
		}
		return r, fmt.Errorf("an audit of %d machines read %d, of which it could not reach %d: %s", n, report.Checked.Machines, report.Checked.Unreachable, why)
	}
	return r, nil
}

// contender is one way of ours to do what the rival does.
type contender struct {
	what string
	t    target
	run  func() (time.Duration, error)
}

// against times several of ours and one rival in turns, and notes a row for each; of share machines, so that what is noted is of one.
func (b *bench) against(rival string, rounds, share int, theirs func() (time.Duration, error), ours ...contender) error {
	rows := make([]Row, len(ours))
	timed := func(name string, f func() (time.Duration, error)) (float64, error) {
		d, err := f()
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(os.Stderr, "  %-60s %8.3f s\n", name, d.Seconds())
		return d.Seconds() / float64(share), nil
	}
	for range rounds {
		t, err := timed(rival, theirs)
		if err != nil {
			return err
		}
		for i, o := range ours {
			d, err := timed(o.what, o.run)
			if err != nil {
				return err
			}
			rows[i].Ours, rows[i].Theirs = append(rows[i].Ours, d), append(rows[i].Theirs, t)
		}
	}
	for i, o := range ours {
		b.note(rows[i], o.what, rival, o.t)
	}
	return nil
}

// note finishes a row.
func (b *bench) note(r Row, what, rival string, t target) {
	r.What, r.Against, r.Target = what, rival, t.text
	r.Median, r.Rival = median(r.Ours), median(r.Theirs)
	r.Ratio, r.Met = r.Median/r.Rival, t.met(r.Median, r.Rival)
	b.report.Rows = append(b.report.Rows, r)
}

// budget notes figures against a fixed one.
func (b *bench) budget(what, unit string, figures []float64, limit float64) {
	r := Row{Unit: unit, Ours: figures, Theirs: []float64{limit}}
	b.note(r, what, "a budget", target{fmt.Sprintf("<= %g %s", limit, unit), func(o, t float64) bool { return o <= t }})
}

// told is a target that is none: a figure beside others.
func told() target { return target{"none", func(_, _ float64) bool { return true }} }
