// SPDX-License-Identifier: Apache-2.0

package store

import "context"

// Bound makes the cache smaller.
func (s *Store) Bound(rows int, bytes int64) { s.cache.rows, s.cache.bytes = rows, bytes }

// Count is how many rows a table has.
func (s *Store) Count(table string) (n int, err error) {
	return n, s.db.QueryRow(`SELECT count(*) FROM ` + table).Scan(&n)
}

// Exec runs a statement.
func (s *Store) Exec(statement string, args ...any) error {
	_, err := s.db.Exec(statement, args...)
	return err
}

// Check says what SQLite finds wrong with the file: "ok", and references to what is not there.
func (s *Store) Check(ctx context.Context) (integrity string, dangling int, err error) {
	if err := s.db.QueryRowContext(ctx, `PRAGMA integrity_check`).Scan(&integrity); err != nil {
		return "", 0, err
	}
	return integrity, dangling, s.db.QueryRowContext(ctx, `SELECT count(*) FROM pragma_foreign_key_check`).Scan(&dangling)
}

// Setting is the value of a PRAGMA.
func (s *Store) Setting(pragma string) (value string, err error) {
	return value, s.db.QueryRow(`PRAGMA ` + pragma).Scan(&value)
}

// LimitPages makes the disk full: the file may not grow.
func (s *Store) LimitPages() error {
	s.db.SetMaxOpenConns(1)
	var n int
	return s.db.QueryRow(`PRAGMA max_page_count = 1`).Scan(&n) // it cannot be less than there are
}

// HoldWriter writes without end, until release is called.
func (s *Store) HoldWriter(ctx context.Context) (release func(), err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return func() { _ = tx.Rollback() }, nil // there was nothing to write
}
