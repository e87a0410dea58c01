// SPDX-License-Identifier: Apache-2.0

// Package store keeps audits: one SQLite file, written by any number of processes at once.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/facts"
)

// Store is an opened file. It is safe for concurrent use, also by several processes. It is a facts.Cache too. Close it.
type Store struct{}

var _ facts.Cache = (*Store)(nil)

// Open opens the store in dir, which it makes, 0700, where it is not there. A file of a newer format is refused.
func Open(ctx context.Context, dir string) (*Store, error) { return nil, errors.New("TODO") }

func (s *Store) Close() error { return nil }

// Audit is one that was kept.
type Audit struct {
	ID      int64     `json:"id"`
	Project string    `json:"project"`
	At      time.Time `json:"at"`
	Tiers   []string  `json:"tiers"`
	Commit  string    `json:"commit,omitempty"`
	Verdict string    `json:"verdict"` // its report's
	Counted int       `json:"findings"`
}

// Recording is an audit that is being kept: in one transaction, so that it is there as a whole after Finish, and not at all before or without it.
type Recording struct{}

// Begin records nothing yet.
func (s *Store) Begin(ctx context.Context, project string, at time.Time) (*Recording, error) {
	return nil, errors.New("TODO")
}

// Add takes a snapshot in; the Recording does not keep it in memory.
func (r *Recording) Add(ctx context.Context, s *parity.Snapshot) error { return errors.New("TODO") }

// Finish keeps the audit with its report.
func (r *Recording) Finish(ctx context.Context, report *parity.Report) (Audit, error) {
	return Audit{}, errors.New("TODO")
}

// Discard forgets what was recorded; after Finish it does nothing.
func (r *Recording) Discard() {}

// Audits are those of a project ("": all) since a time, newest first.
func (s *Store) Audits(ctx context.Context, project string, since time.Time) ([]Audit, error) {
	return nil, errors.New("TODO")
}

// Snapshots gives each snapshot of an audit to take, in the order tier, name. Sections with equal digests share their items.
func (s *Store) Snapshots(ctx context.Context, audit int64, take func(*parity.Snapshot) error) error {
	return errors.New("TODO")
}

// Report is the one that was kept with an audit.
func (s *Store) Report(ctx context.Context, audit int64) (*parity.Report, error) {
	return nil, errors.New("TODO")
}

// Change is a value of a fact that began to be so on a machine, as audits saw it.
type Change struct {
	At      time.Time `json:"at"` // of the first audit that saw it
	Audit   int64     `json:"audit"`
	Tier    string    `json:"tier"`
	Env     string    `json:"env,omitempty"`
	Machine string    `json:"machine"`
	State   string    `json:"state"` // present, absent, unknown, unreachable
	Value   string    `json:"value,omitempty"`
}

// History is when SECTION/KEY changed on which machine since a time, oldest first.
func (s *Store) History(ctx context.Context, project, section, key string, since time.Time) ([]Change, error) {
	return nil, errors.New("TODO")
}

// Keep is how long audits stay.
type Keep struct {
	For  time.Duration // 0: for good
	Last int           // the newest of a project stay whatever their age
}

// Prune removes audits that Keep does not hold, and sections that nothing needs any longer.
func (s *Store) Prune(ctx context.Context, k Keep) (removed int, err error) {
	return 0, errors.New("TODO")
}

func (s *Store) Known(ctx context.Context, most int) ([]string, error) { return nil, nil }

func (s *Store) Section(ctx context.Context, id facts.SectionID) (parity.Section, bool, error) {
	return parity.Section{}, false, nil
}

func (s *Store) Keep(ctx context.Context, id facts.SectionID, section parity.Section) error {
	return nil
}
