// SPDX-License-Identifier: Apache-2.0

// Bench holds what Evenkeel does against its rivals, measured in the same run on the same machine: ratios of medians, never absolute times. The two
// sides take turns, so that a busy minute of the machine falls on both. Run it by `make bench`, which installs the rivals.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// Row is one comparison.
type Row struct {
	What    string    `json:"what"`
	Against string    `json:"against"`
	Unit    string    `json:"unit,omitempty"` // of what is not seconds
	Ours    []float64 `json:"ours_s"`
	Theirs  []float64 `json:"theirs_s"`
	Median  float64   `json:"median_s"`
	Rival   float64   `json:"rival_median_s"`
	Ratio   float64   `json:"ratio"`
	Target  string    `json:"target"`
	Met     bool      `json:"met"`
}

// Report is what a run found, with where and when.
type Report struct {
	When    time.Time `json:"when"`
	Machine string    `json:"machine"`
	Rounds  int       `json:"rounds"`
	Rows    []Row     `json:"rows"`
}

// target judges the two medians, in seconds.
type target struct {
	text string
	met  func(ours, theirs float64) bool
}

func times(limit float64) target {
	return target{fmt.Sprintf("<= %gx", limit), func(o, t float64) bool { return o <= limit*t }}
}

func main() {
	rounds := flag.Int("n", 5, "rounds of each comparison")
	only := flag.String("only", "", "sections to run, separated by commas: handoff, vm, docker, vagrant, image, ansible, fleet, reports")
	out := flag.String("o", "bench.json", "where the figures go")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *rounds, *only, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int, only, out string) error {
	dir, err := os.MkdirTemp("/var/tmp", "evenkeel-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // QEMU runs as another user in system mode
		return err
	}
	bin, err := filepath.Abs("bin")
	if err != nil {
		return err
	}
	b := &bench{rounds: rounds, dir: dir, bin: bin, report: Report{When: time.Now().UTC(), Machine: machine(), Rounds: rounds}}
	sections := []struct {
		name string
		run  func(context.Context) error
	}{{"handoff", b.handoff}, {"vm", b.virtualMachine}, {"docker", b.docker}, {"vagrant", b.againstVagrant}, {"image", b.image}, {"ansible", b.againstAnsible}, {"fleet", b.fleet}, {"reports", b.reports}}
	var failed []error
	for _, s := range sections {
		if only != "" && !slices.Contains(strings.Split(only, ","), s.name) {
			continue
		}
		if err := s.run(ctx); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", s.name, err)) // what the others found is still worth printing
		}
	}
	b.print()
	data, err := json.MarshalIndent(b.report, "", "  ")
	if err == nil {
		err = os.WriteFile(out, append(data, '\n'), 0o644)
	}
	return errors.Join(append(failed, err)...)
}

type bench struct {
	rounds int
	dir    string // everything made goes here
	bin    string
	report Report
}

// pair times ours and theirs in turns and notes the row. Each prepares and cleans up outside of what it returns.
func (b *bench) pair(what, against string, t target, rounds int, ours, theirs func() (time.Duration, error)) error {
	r := Row{What: what, Against: against, Target: t.text}
	for i := range rounds {
		for _, side := range []struct {
			f    func() (time.Duration, error)
			into *[]float64
			name string
		}{{theirs, &r.Theirs, against}, {ours, &r.Ours, what}} {
			d, err := side.f()
			if err != nil {
				return fmt.Errorf("%s, round %d: %w", side.name, i+1, err)
			}
			*side.into = append(*side.into, d.Seconds())
			fmt.Fprintf(os.Stderr, "  %-60s %8.3f s\n", side.name, d.Seconds())
		}
	}
	r.Median, r.Rival = median(r.Ours), median(r.Theirs)
	r.Ratio, r.Met = r.Median/r.Rival, t.met(r.Median, r.Rival)
	b.report.Rows = append(b.report.Rows, r)
	return nil
}

func median(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func (b *bench) print() {
	fmt.Printf("\n%s, %s, medians of %d\n\n", b.report.Machine, b.report.When.Format("2 January 2006"), b.rounds)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "| what\t| against\t| ours\t| theirs\t| ratio\t| target\t|")
	fmt.Fprintln(w, "|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, r := range b.report.Rows {
		mark := ""
		if !r.Met {
			mark = " MISSED"
		}
		unit := cmp.Or(r.Unit, "s")
		fmt.Fprintf(w, "| %s\t| %s\t| %.3f %s\t| %.3f %s\t| %.2f\t| %s%s\t|\n", r.What, r.Against, r.Median, unit, r.Rival, unit, r.Ratio, r.Target, mark)
	}
	_ = w.Flush()
}

func machine() string {
	accel := "emulation"
	if machineHasKVM() {
		accel = "KVM"
	}
	return fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), accel)
}

// machineHasKVM is the rule of the libvirt provider: a /dev/kvm that opens is not enough.
func machineHasKVM() bool {
	info, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && (strings.Contains(string(info), " vmx") || strings.Contains(string(info), " svm"))
}
