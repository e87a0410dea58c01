// SPDX-License-Identifier: Apache-2.0

// Package store keeps audits: one SQLite file, written by any number of processes at once.
//
// A section of facts is kept once, however many machines, audits and cached answers have it; a snapshot is its subject and a list of sections. An audit that is
// still going on lies in a file of its own that has no name, so that it holds up nobody and ends with its process; one transaction brings it into the
// store. The cache of what machines printed lies in the same file, since most of it is what audits keep anyway, and is bounded.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/facts"
)

// File is the store's name in its folder. SQLite lays two more beside it while it is open.
const File = "audits.db"

// Store is an opened file. It is safe for concurrent use, also by several processes. It is a facts.Cache too. Close it.
type Store struct {
	dir     string
	db      *sql.DB       // commits are on the disk when they return
	quick   *sql.DB       // for the cache: commits are whole, and may be lost with the computer's power
	writing chan struct{} // held by who writes: in one process they line up here, not in SQLite's waiting by the clock
	codec   *codec
	cache   cache
}

var _ facts.Cache = (*Store)(nil)

// Audit is one that was kept.
type Audit struct {
	ID      int64     `json:"id"`
	Project string    `json:"project"`
	At      time.Time `json:"at"`
	Tiers   []string  `json:"tiers"` // sorted
	Commit  string    `json:"commit,omitempty"`
	Verdict string    `json:"verdict"` // its report's
	Counted int       `json:"findings"`
}

// Close ends the use of the file. What was kept is on the disk already; which cached sections were used last is written now.
func (s *Store) Close() error {
	err := s.flush(context.Background())
	return errors.Join(err, s.quick.Close(), s.db.Close())
}

// write runs f in a transaction that waits for other writers, of this process and of others.
func (s *Store) write(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	if err := f(tx); err != nil {
		return cancelled(ctx, err)
	}
	return cancelled(ctx, tx.Commit())
}

// read runs f on the store as it is at one moment, whatever is written or pruned meanwhile.
func (s *Store) read(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // there is nothing to commit
	return cancelled(ctx, f(tx))
}

// scanAudit reads one row of auditColumns.
func scanAudit(row interface{ Scan(...any) error }) (a Audit, err error) {
	var at int64
	var tiers string
	if err := row.Scan(&a.ID, &a.Project, &at, &tiers, &a.Commit, &a.Verdict, &a.Counted); err != nil {
		return a, err
	}
	a.At = time.UnixMicro(at).UTC()
	a.Tiers = words(tiers)
	return a, nil
}

const auditColumns = `id, project, at, tiers, "commit", verdict, findings`

// Audits are those of a project ("": all) since a time, newest first.
func (s *Store) Audits(ctx context.Context, project string, since time.Time) ([]Audit, error) {
	var list []Audit
	err := s.read(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+auditColumns+` FROM audits WHERE (?1 = '' OR project = ?1) AND at >= ?2 ORDER BY at DESC, id DESC`, project, micros(since))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			a, err := scanAudit(rows)
			if err != nil {
				return err
			}
			list = append(list, a)
		}
		return rows.Err()
	})
	return list, s.failure("list", "audits", err)
}

// First is the oldest kept audit of a project since a time, the one to compare today's with. Where there is none, the error is ErrNoAudit.
func (s *Store) First(ctx context.Context, project string, since time.Time) (a Audit, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		a, err = scanAudit(tx.QueryRowContext(ctx, `SELECT `+auditColumns+` FROM audits WHERE (?1 = '' OR project = ?1) AND at >= ?2 ORDER BY at, id LIMIT 1`, project, micros(since)))
		return none(err)
	})
	return a, s.failure("find", "an audit since "+since.UTC().Format(time.RFC3339), err)
}

// Audit is the one with that ID, else the error is ErrNoAudit.
func (s *Store) Audit(ctx context.Context, id int64) (a Audit, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		a, err = scanAudit(tx.QueryRowContext(ctx, `SELECT `+auditColumns+` FROM audits WHERE id = ?`, id))
		return none(err)
	})
	return a, s.failure("find", auditName(id), err)
}

// Report is the one that was kept with an audit.
func (s *Store) Report(ctx context.Context, audit int64) (*parity.Report, error) {
	r := new(parity.Report)
	err := s.read(ctx, func(tx *sql.Tx) error {
		var body []byte
		if err := tx.QueryRowContext(ctx, `SELECT report FROM audits WHERE id = ?`, audit).Scan(&body); err != nil {
			return none(err)
		}
		return s.codec.decode(body, r)
	})
	if err != nil {
		return nil, s.failure("read", "the report of "+auditName(audit), err)
	}
	return r, nil
}

func auditName(id int64) string { return fmt.Sprintf("audit %d", id) }

// micros is t as the store has it; no time is before all.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return -1 << 63
	}
	return t.UnixMicro()
}
