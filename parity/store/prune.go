// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"math"
	"strconv"
	"time"
)

// Keep is how long audits stay: those that are young enough, and the last ones.
type Keep struct {
	For  time.Duration // 0: for good
	Last int           // the newest of a project stay whatever their age
}

// DefaultKeep is for those who say nothing: a year and a month, so that this month can be compared with the same one a year ago; and of what is audited more seldom,
// 20 audits.
func DefaultKeep() Keep { return Keep{For: 400 * 24 * time.Hour, Last: 20} }

// Prune removes audits that Keep does not hold, and sections that nothing needs any longer; the file gets smaller. It is done in steps, each of which is whole,
// so that others wait for one step at most.
func (s *Store) Prune(ctx context.Context, k Keep) (removed int, err error) {
	if k.For <= 0 {
		return 0, nil
	}
	old, err := s.old(ctx, k, time.Now().Add(-k.For))
	if err != nil {
		return 0, s.failure("prune", "audits", err)
	}
	for _, id := range old {
		gone := false
		err := s.write(ctx, s.db, func(tx *sql.Tx) (err error) {
			gone, err = remove(ctx, tx, id)
			return err
		})
		if err != nil {
			return removed, s.failure("remove", auditName(id), err)
		}
		if gone {
			removed++
		}
	}
	return removed, s.failure("prune", "audits", s.shrink(ctx))
}

// old are the audits that k does not hold, oldest first.
func (s *Store) old(ctx context.Context, k Keep, before time.Time) (ids []int64, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT id FROM (SELECT id, at, row_number() OVER (PARTITION BY project ORDER BY at DESC, id DESC) AS nth FROM audits)
			WHERE nth > ? AND at < ? ORDER BY at, id`, max(0, k.Last), micros(before))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return rows.Err()
	})
	return ids, err
}

// remove takes an audit out, if it is there, and what only it needed.
func remove(ctx context.Context, tx *sql.Tx, audit int64) (gone bool, err error) {
	// References are checked when the transaction ends.
	_, err = tx.ExecContext(ctx, `DELETE FROM sections WHERE id IN (SELECT section FROM uses WHERE audit = ?1)
		AND NOT EXISTS (SELECT 1 FROM uses WHERE section = sections.id AND audit <> ?1) AND NOT EXISTS (SELECT 1 FROM cache WHERE section = sections.id)`, audit)
	if err != nil {
		return false, err
	}
	result, err := tx.ExecContext(ctx, `DELETE FROM audits WHERE id = ?`, audit) // and with it its snapshots and uses
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

const (
	// shrinkMin is how many free pages (of 4 KiB) stay for what comes next.
	shrinkMin = 1024
	// shrinkStep is how many are given back at a time, while others may wait.
	shrinkStep = 8192
)

// shrink gives free pages back to the disk.
func (s *Store) shrink(ctx context.Context) error {
	for before := math.MaxInt; ; {
		var free int
		if err := s.db.QueryRowContext(ctx, `PRAGMA freelist_count`).Scan(&free); err != nil {
			return cancelled(ctx, err)
		}
		if free <= shrinkMin || free >= before { // others may have taken some, or made more
			return nil
		}
		before = free
		err := s.write(ctx, s.db, func(tx *sql.Tx) error {
			return drain(tx.QueryContext(ctx, `PRAGMA incremental_vacuum(`+strconv.Itoa(min(free-shrinkMin, shrinkStep))+`)`))
		})
		if err != nil {
			return err
		}
	}
}

// drain runs a statement to its end: a PRAGMA that works by the row stops where nobody asks for the next.
func drain(rows *sql.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}
