// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/session"
)

// runResult is run.json. docs/run.md describes it.
type runResult struct {
	Env      string  `json:"env,omitempty"` // "": it ended before it had one
	Tier     string  `json:"tier,omitempty"`
	Provider string  `json:"provider,omitempty"`
	Ran      bool    `json:"ran"`    // the command began, so that status is its own, or 124
	Status   int     `json:"status"` // run's exit status
	Seconds  float64 `json:"seconds"`
	Error    string  `json:"error,omitempty"` // why the bring-up failed
}

// runFiles are those that a run writes itself; each machine has a folder beside them.
func runFiles() []string { return []string{"run.json", "junit.xml", "events.jsonl", "facts.jsonl"} }

// forgetEarlier takes away what an earlier run wrote of itself, so that it is not taken for this one's, and finds out whether files can be made.
func (r *oneRun) forgetEarlier() error {
	for _, name := range runFiles() {
		if err := os.Remove(filepath.Join(r.artifacts, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot use the folder for artifacts: %w", err)
		}
	}
	f, err := os.CreateTemp(r.artifacts, ".new-*")
	if err != nil {
		return fmt.Errorf("cannot use the folder for artifacts: %w", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// keepNothingMade writes the artifacts of a run that ended before there was anything to bring up.
func (r *oneRun) keepNothingMade(status int, why error) error {
	result := runResult{Tier: r.flag.String("tier"), Status: status, Seconds: time.Since(r.began).Seconds(), Error: why.Error()}
	none := &session.Session{Core: &providers.Core{Plan: &envs.Plan{Env: "run"}}}
	var junit bytes.Buffer
	return errors.Join(r.keepResult(result), none.WriteJUnit(&junit, &r.recorder, why), r.keepFile("junit.xml", junit.Bytes()))
}

func (r *oneRun) keepResult(result runResult) error {
	text, err := json.MarshalIndent(result, "", "  ")
	return errors.Join(err, r.keepFile("run.json", append(text, '\n')))
}

// keep writes the artifacts. p is nil where the place cannot be asked any more.
func (r *oneRun) keep(ctx context.Context, p *session.Session, result runResult, why error) error {
	ctx, cancel := context.WithTimeout(ctx, artifactsTime)
	defer cancel()
	mask := providers.NewMask(r.s.Secrets)
	if why != nil {
		result.Error = mask.Text(why.Error())
	}
	var events, junit bytes.Buffer
	errs := []error{
		r.keepResult(result),
		r.s.WriteEvents(&events, &r.recorder), r.keepFile("events.jsonl", events.Bytes()),
		r.s.WriteJUnit(&junit, &r.recorder, why), r.keepFile("junit.xml", junit.Bytes()),
	}
	if p != nil {
		errs = append(errs, p.WriteArtifacts(ctx, r.artifacts), r.keepFacts(ctx, &place{p}, mask))
	}
	return errors.Join(errs...)
}

// keepFacts reads the machines that are there.
func (r *oneRun) keepFacts(ctx context.Context, p *place, mask providers.Mask) error {
	list, err := p.Status(ctx, false)
	if err != nil {
		return err
	}
	var lines bytes.Buffer
	err = r.collect(ctx, p, list, collectOptions{}, func(s *parity.Snapshot) error {
		line, err := parity.MarshalSnapshot(s.Masked(mask.Text))
		if err != nil {
			return err
		}
		lines.Write(append(line, '\n'))
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot keep the machines' facts: %w", err)
	}
	return r.keepFile("facts.jsonl", lines.Bytes())
}
