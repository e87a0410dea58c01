// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/store"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// fleetSizes are the points of the line; the last has budgets.
var fleetSizes = []int{100, 1000, 10_000}

const (
	fleetTime   = 60.0 // s, end to end
	fleetMemory = 300  // MB of the largest of our processes
	fleetStored = 5.0  // s, from the store
	// linear is how much more than its share the tenfold may take.
	linear = 1.25
)

// fleet: audits of machines that another process plays, in 3 tiers and 40 variants, 1 in 100 drifted; as a user runs them, with all reports. Both ends share the processors.
func (b *bench) fleet(ctx context.Context) error {
	private, public, err := ssh.GenerateKey("bench")
	if err != nil {
		return err
	}
	world, err := b.serveFleet(ctx, string(public))
	if err != nil {
		return err
	}
	defer world.close()
	files := map[string]string{"images/bench.yaml": "from: debian:12\npackages: [curl]\n", "login": string(private)}
	for _, n := range fleetSizes {
		world.define(n, files)
	}
	s, err := b.site("fleet", files)
	if err != nil {
		return err
	}
	took := map[int][]float64{}
	var memory, again []float64
	for range min(b.rounds, 3) {
		for _, n := range fleetSizes {
			if err := s.forget(); err != nil {
				return err
			}
			r, err := s.audit(ctx, n, "--file", definitionOf(n))
			if err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "  first audit of %6d machines %33.3f s %8.0f MB\n", n, r.time.Seconds(), r.memory)
			took[n] = append(took[n], r.time.Seconds())
			if n < fleetSizes[len(fleetSizes)-1] {
				continue
			}
			memory = append(memory, r.memory)
			if r, err = s.audit(ctx, n, "--file", definitionOf(n)); err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "  audit again\t%49.3f s %8.0f MB\n", r.time.Seconds(), r.memory)
			again = append(again, r.time.Seconds())
			memory = append(memory, r.memory)
		}
	}
	for i := 1; i < len(fleetSizes); i++ {
		few, many := fleetSizes[i-1], fleetSizes[i]
		row := Row{Ours: took[many]}
		for _, t := range took[few] {
			row.Theirs = append(row.Theirs, t*float64(many/few))
		}
		b.note(row, fmt.Sprintf("first audit of %d machines", many), fmt.Sprintf("%d times that of %d", many/few, few), times(linear))
	}
	most := fleetSizes[len(fleetSizes)-1]
	b.budget(fmt.Sprintf("first audit of %d machines", most), "s", took[most], fleetTime)
	b.budget(fmt.Sprintf("audit again of %d machines", most), "s", again, fleetTime)
	b.budget(fmt.Sprintf("memory of an audit of %d machines", most), "MB", memory, fleetMemory)
	return b.fromStore(ctx, s, most)
}

// fromStore compares what the last audit kept, and writes every report of it.
func (b *bench) fromStore(ctx context.Context, s *site, n int) error {
	def, problems, err := envs.Load(filepath.Join(s.dir, definitionOf(n)))
	if err := errors.Join(err, problems.Err()); err != nil {
		return err
	}
	kept, err := store.Open(ctx, filepath.Join(s.state, "evenkeel", "parity"))
	if err != nil {
		return err
	}
	defer func() { _ = kept.Close() }() // it was read only
	list, err := kept.Audits(ctx, def.ID, time.Time{})
	if err != nil || len(list) == 0 {
		return fmt.Errorf("no audit was kept: %w", err)
	}
	var took []float64
	for range b.rounds {
		began := time.Now()
		policy, problems := parity.PolicyOf(def, nil, began)
		if err := problems.Err(); err != nil {
			return err
		}
		c, err := parity.NewComparison(policy)
		if err != nil {
			return err
		}
		if err := kept.Snapshots(ctx, list[0].ID, c.Add); err != nil {
			return err
		}
		report, err := c.Report()
		if err != nil {
			return err
		}
		if report.Checked.Machines != n {
			return fmt.Errorf("the store has %d machines, want %d", report.Checked.Machines, n)
		}
		for _, f := range parity.Formats() {
			if err := parity.Write(io.Discard, report, f.Name, parity.WriteOptions{}); err != nil {
				return err
			}
		}
		took = append(took, time.Since(began).Seconds())
	}
	b.budget(fmt.Sprintf("comparison and all reports of %d machines from the store", n), "s", took, fleetStored)
	return nil
}

// fleetWorld is the running server of test/bench/fleet.
type fleetWorld struct {
	cmd      *exec.Cmd
	stdin    io.Closer
	ca       string
	machines []string // of each, where it is, as an inventory says it
}

func (b *bench) serveFleet(ctx context.Context, authorized string) (_ *fleetWorld, err error) {
	program := filepath.Join(b.dir, "fleet-server")
	if _, err := timed(ctx, "", nil, "go", "build", "-o", program, "./test/bench/fleet"); err != nil {
		return nil, err
	}
	w := &fleetWorld{cmd: exec.Command(program, "-n", fmt.Sprint(fleetSizes[len(fleetSizes)-1]), "-authorized", strings.TrimSpace(authorized))}
	w.cmd.Stderr = os.Stderr
	if w.stdin, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	in := bufio.NewScanner(stdout)
	for in.Scan() && in.Text() != "" {
		if w.ca == "" {
			w.ca = in.Text()
		} else if host, port, ok := strings.Cut(in.Text(), " "); ok {
			w.machines = append(w.machines, fmt.Sprintf("ansible_host=%s ansible_port=%s ansible_user=root", host, port))
		}
	}
	if len(w.machines) != fleetSizes[len(fleetSizes)-1] {
		w.close()
		return nil, fmt.Errorf("the fleet's server began %d machines: %w", len(w.machines), in.Err())
	}
	return w, nil
}

// close ends the server, which ends with its input.
func (w *fleetWorld) close() {
	_ = w.stdin.Close()
	killed := time.AfterFunc(10*time.Second, func() { _ = w.cmd.Process.Kill() })
	defer killed.Stop()
	_ = w.cmd.Wait()
}

var fleetTiers = []string{"production", "staging", "ci"}

func definitionOf(n int) string { return fmt.Sprintf("fleet-%d.yaml", n) }

// define adds the definition of the first n machines. Of each tier a third is.
func (w *fleetWorld) define(n int, files map[string]string) {
	inventories := make([]strings.Builder, len(fleetTiers))
	counts := make([]int, len(fleetTiers))
	for i := range inventories {
		inventories[i].WriteString("[web]\n")
	}
	for i, where := range w.machines[:n] {
		t := i % len(fleetTiers)
		counts[t]++
		fmt.Fprintf(&inventories[t], "web-%d %s\n", i, where)
	}
	text := "evenkeel: 1\nname: bench\nid: be9c40\nimage: images/bench.yaml\nmachines: {web: {stateless: true}}\nparity: {baseline: production, rebuild_after: 30d}\ntiers:\n"
	for i, tier := range fleetTiers {
		inventory := fmt.Sprintf("%s-%d.ini", tier, n)
		files[inventory] = inventories[i].String()
		text += fmt.Sprintf("  %s: {provider: hosts, config: {inventory: %s, ca: [%q]}, machines: {web: {count: %d}}}\n", tier, inventory, w.ca, counts[i])
	}
	files[definitionOf(n)] = text
}
