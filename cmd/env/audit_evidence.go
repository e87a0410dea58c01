// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/facts"
	"github.com/evenkeel/evenkeel/parity/store"
)

// evidence is what is kept of an audit while machines are read, none of it in memory but digests: in the store, in a file, for the signature.
type evidence struct {
	c         *call
	store     *store.Store // nil: audits cannot be kept here
	recording *store.Recording
	signs     bool
	digests   []parity.Digested

	snapshots *os.File // below --out, under a name of its own; nil: not asked for
	buffer    *bufio.Writer
}

// newEvidence opens what the audit is kept in. Snapshots that are read from files are kept already.
func (c *call) newEvidence(o auditOptions) (*evidence, error) {
	e := &evidence{c: c, signs: o.key != nil}
	if o.out != "" {
		if err := os.MkdirAll(o.out, 0o755); err != nil {
			return nil, fmt.Errorf("cannot make the folder of reports: %w", err)
		}
		sweepReports(o.out, o.at)
	}
	if c.flag.Bool("snapshots") {
		if err := mayWrite(filepath.Join(o.out, snapshotsName)); err != nil {
			return nil, err
		}
		f, err := os.CreateTemp(o.out, "."+snapshotsName+".*")
		if err != nil {
			return nil, fmt.Errorf("cannot write snapshots: %w", err)
		}
		e.snapshots, e.buffer = f, bufio.NewWriterSize(f, 1<<20)
	}
	return e, nil
}

// keep records the audit from now on. That it cannot be kept is no reason not to make it.
func (e *evidence) keep(ctx context.Context, project string, at time.Time) {
	var err error
	if e.store, err = e.c.audits(ctx); err == nil {
		e.recording, err = e.store.Begin(ctx, project, at)
	}
	if err != nil {
		e.lost(err)
	}
}

// cache is what spares machines to say again what is known, nil where nothing is.
func (e *evidence) cache() facts.Cache {
	if e.store == nil {
		return nil
	}
	return e.store
}

func (e *evidence) lost(err error) {
	if e.recording != nil {
		e.recording.Discard()
		e.recording = nil
	}
	fmt.Fprintf(e.c.Stderr, "evenkeel: this audit is not kept: %s\n", oneLine(err.Error()))
}

// audits opens the store of kept audits.
func (a *App) audits(ctx context.Context) (*store.Store, error) {
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, filepath.Join(state, "parity"))
}

func (e *evidence) add(ctx context.Context, s *parity.Snapshot) error {
	if e.recording != nil {
		if err := e.recording.Add(ctx, s); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			e.lost(err)
		}
	}
	if !e.signs && e.snapshots == nil {
		return nil
	}
	line, err := parity.MarshalSnapshot(s)
	if err != nil {
		return err
	}
	if e.signs {
		sum := sha256.Sum256(line)
		e.digests = append(e.digests, parity.SnapshotSubject(s.Subject, hex.EncodeToString(sum[:])))
	}
	if e.snapshots == nil {
		return nil
	}
	if _, err := e.buffer.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("cannot write snapshots: %w", err)
	}
	return nil
}

// finish keeps the audit with its report.
func (e *evidence) finish(ctx context.Context, r *parity.Report) error {
	if e.buffer != nil {
		if err := e.buffer.Flush(); err != nil {
			return fmt.Errorf("cannot write snapshots: %w", err)
		}
	}
	if e.recording == nil {
		return nil
	}
	if _, err := e.recording.Finish(ctx, r); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e.lost(err)
		return nil
	}
	if _, err := e.store.Prune(ctx, store.DefaultKeep()); err != nil && ctx.Err() == nil {
		fmt.Fprintf(e.c.Stderr, "evenkeel: audits that are too old were not removed: %s\n", oneLine(err.Error()))
	}
	return nil
}

// close forgets what was not finished.
func (e *evidence) close() {
	if e.recording != nil {
		e.recording.Discard()
	}
	if e.store != nil {
		_ = e.store.Close() // what was finished is on the disk
	}
	if e.snapshots != nil {
		_ = e.snapshots.Close()
		_ = os.Remove(e.snapshots.Name()) // gone by now where it was saved under its final name
	}
}
