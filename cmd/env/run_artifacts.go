// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/providers/session"
)

// runResult is run.json. docs/run.md describes it.
type runResult struct {
	Env      string  `json:"env"`
	Tier     string  `json:"tier"`
	Provider string  `json:"provider"`
	Ran      bool    `json:"ran"`    // the command ran, so that status is its own, or 124
	Status   int     `json:"status"` // run's exit status
	Seconds  float64 `json:"seconds"`
	Error    string  `json:"error,omitempty"` // why the bring-up failed
}

// keep writes the artifacts. p is nil where the place cannot be asked any more.
func (r *oneRun) keep(ctx context.Context, p *session.Session, result runResult, why error) error {
	ctx, cancel := context.WithTimeout(ctx, artifactsTime)
	defer cancel()
	if why != nil {
		result.Error = why.Error()
	}
	var events, junit bytes.Buffer
	text, err := json.MarshalIndent(result, "", "  ")
	errs := []error{
		err, r.keepFile("run.json", append(text, '\n')),
		r.recorder.WriteEvents(&events), r.keepFile("events.jsonl", events.Bytes()),
		r.s.WriteJUnit(&junit, &r.recorder, why), r.keepFile("junit.xml", junit.Bytes()),
	}
	if p != nil {
		errs = append(errs, p.WriteArtifacts(ctx, r.artifacts), r.keepFacts(ctx, &place{p}))
	}
	return errors.Join(errs...)
}

// keepFacts reads the machines that are there.
func (r *oneRun) keepFacts(ctx context.Context, p *place) error {
	list, err := p.Status(ctx, false)
	if err != nil {
		return err
	}
	var lines bytes.Buffer
	err = r.collect(ctx, p, list, collectOptions{}, func(s *parity.Snapshot) error {
		line, err := parity.MarshalSnapshot(s)
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
