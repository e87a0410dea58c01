// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/evenkeel/evenkeel/internal/progress"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// Pair is a folder of the project and its counterpart on one machine.
type Pair struct {
	Machine string // name, for progress
	From    string // absolute path on this computer
	To      string // absolute path on the machine
	// State is the file that holds the baseline; made with its folder where it is absent. See StateFile.
	State string
}

// StateFile is where the baseline of a pair lies below the state folder dir: one for each project folder, environment, machine and pair of folders.
func StateFile(dir, project, env, machine, from, to string) string {
	h := sha256.New()
	for _, s := range []string{project, env, machine, from, to} {
		_, _ = fmt.Fprintf(h, "%d:%s", len(s), s) // a hash never fails
	}
	return filepath.Join(dir, "sync", env+"@"+machine+"-"+hex.EncodeToString(h.Sum(nil))[:16])
}

// Options say how Sync works.
type Options struct {
	Prefer   Side // settles conflicts for one side; "" leaves them
	Progress progress.Func
	// Login may become root by sudo, for making the machine's folder where its user cannot; User is that user's name.
	Login *ssh.Client
	User  string
}

// Result is what one Sync came to.
type Result struct {
	Machine   string            `json:"machine"`
	From      string            `json:"from"`
	To        string            `json:"to"`
	Pushed    int               `json:"pushed"`  // files carried to the machine
	Pulled    int               `json:"pulled"`  // files carried to this computer
	Removed   int               `json:"removed"` // deleted, on either side
	Bytes     int64             `json:"bytes"`
	Files     int               `json:"files"`             // alike on both sides now
	Conflicts []Conflict        `json:"conflicts"`         // sorted by path
	Skipped   map[string]string `json:"skipped,omitempty"` // paths that cannot be synced, and why
	Foreign   int               `json:"foreign,omitempty"` // files of other users on the machine, left there
	Seconds   float64           `json:"seconds"`
}

// Changed says whether anything was carried or deleted.
func (r *Result) Changed() bool { return r.Pushed+r.Pulled+r.Removed > 0 }

// Sync makes both folders alike, as the package comment says, over client, which is logged in as the user who is to own the files. What was carried over
// before a failure or a cancel stays, and the next call finds it alike. Calls for one Pair wait for each other, in other processes too.
func Sync(ctx context.Context, client *ssh.Client, p Pair, o Options) (res *Result, err error) {
	began := time.Now()
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot sync %s with %s of machine %s: %w", p.From, p.To, p.Machine, err)
		}
	}()
	release, err := hold(ctx, p.State)
	if err != nil {
		return nil, err
	}
	defer release()
	h, err := openHost(ctx, p.From)
	if err != nil {
		return nil, err
	}
	defer h.root.Close()
	h.stage = ours + "stage-" + filepath.Base(p.State)
	if err := h.root.RemoveAll(h.stage); err != nil {
		return nil, err
	}
	r := &work{pair: p, options: o, host: h, machine: machine{client, p.To}}
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	if err := r.decide(ctx); err != nil {
		return nil, err
	}
	if res, err = r.carry(ctx); err != nil {
		return nil, err
	}
	res.Seconds = time.Since(began).Seconds()
	return res, nil
}

// work is one Sync.
type work struct {
	pair    Pair
	options Options
	host    *host
	machine machine

	clock    int64 // this computer's, before the scan
	here     tree
	skipHere skipped
	there    *scanned
	base     *baseline
	first    bool
	ignored  map[string]bool
	dirty    bool // the baseline changed
	sides    *sides
	todo     *judgement
}

// look scans both sides at once and reads the baseline.
func (w *work) look(ctx context.Context) error {
	w.clock = time.Now().UnixNano()
	type scan struct {
		s   *scanned
		err error
	}
	answer := make(chan scan, 1)
	go func() {
		s, err := w.prepared(ctx)
		answer <- scan{s, err}
	}()
	var err error
	w.here, w.skipHere, err = w.host.scan(ctx)
	other := <-answer
	if err := errors.Join(err, other.err); err != nil {
		return err
	}
	w.there = other.s
	if w.base, err = loadBaseline(w.pair.State); err != nil {
		return err
	}
	if w.first = w.base.ID == "" || w.base.ID != w.there.id; w.first {
		w.base = &baseline{Format: baselineFormat, ID: rand.Text(), Records: map[string]record{}}
	}
	var unknown []string // to the host: git may ignore them
	for p := range w.there.tree {
		if _, ok := w.here[p]; !ok {
			unknown = append(unknown, p)
		}
	}
	for p := range w.base.Records {
		_, here := w.here[p]
		if _, there := w.there.tree[p]; !here && !there {
			unknown = append(unknown, p)
		}
	}
	w.ignored, err = w.host.rules.ignored(ctx, unknown)
	return err
}

// decide judges, and reads contents where they decide.
func (w *work) decide(ctx context.Context) error {
	odd := map[string]bool{} // changed while they were read: left for the next time
	w.sides = &sides{
		base: w.base.Records, host: w.here, machine: w.there.tree, first: w.first, hostSums: sums{}, machineSums: sums{},
		leave: func(p string) bool { return w.ignored[p] || odd[p] || w.skipHere.has(p) || w.there.skip.has(p) },
	}
	for {
		j := w.sides.judge()
		if len(j.askHost)+len(j.askMachine) == 0 {
			w.todo = j
			break
		}
		w.tell("compare", len(j.askHost)+len(j.askMachine))
		found, err := w.machine.hashes(ctx, j.askMachine)
		if err != nil {
			return err
		}
		for _, p := range j.askMachine {
			sum, ok := found[p]
			w.sides.machineSums[p], odd[p] = sum, odd[p] || !ok
		}
		for _, p := range j.askHost {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			sum, err := w.host.hash(p, w.here[p])
			w.sides.hostSums[p], odd[p] = sum, odd[p] || err != nil
		}
	}
	if w.sides.vanished(w.todo) {
		return w.restore(ctx)
	}
	if w.options.Prefer != "" {
		w.sides.prefer(w.todo, w.options.Prefer)
	}
	return nil
}

// restore is for a side that lost everything: the preferred side's state is taken, whichever it is.
func (w *work) restore(ctx context.Context) error {
	empty := Host
	if len(w.here) > 0 {
		empty = Machine
	}
	switch w.options.Prefer {
	case "":
		return nil
	case empty:
		w.todo = w.sides.judge()
		return nil
	}
	w.base.Records, w.sides.base = map[string]record{}, map[string]record{}
	w.todo = w.sides.judge() // all is new on the side that has it
	return nil
}

func (w *work) tell(what string, files int) {
	w.options.Progress.Emit(progress.Event{Subject: w.pair.Machine, Stage: "code", Detail: fmt.Sprintf("%s %d files", what, files)})
}

// measure tells how far a transfer of n files is.
func (w *work) measure(what string, n int) func(files, bytes int64) {
	last := time.Now()
	return func(files, _ int64) {
		if time.Since(last) < 200*time.Millisecond {
			return
		}
		last = time.Now()
		w.options.Progress.Emit(progress.Event{Subject: w.pair.Machine, Stage: "code", Detail: "files " + what, Done: files, Total: int64(n) + 1}) // + 1: putting them in place
	}
}
