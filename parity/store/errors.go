// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/evenkeel/evenkeel/providers"
)

// ErrNoAudit is what asking for an audit that was not kept, or no longer is, ends with.
var ErrNoAudit = errors.New("no such audit is kept")

// failure is err as the user is told it; nil stays nil, and the error of the caller's own function (see own) what it is.
func (s *Store) failure(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	if o, ok := errors.AsType[own](err); ok {
		return o.error
	}
	if said, ok := errors.AsType[*providers.Error](err); ok {
		return said
	}
	e := &providers.Error{Code: providers.Internal, Op: op, Subject: subject, Err: err}
	file := filepath.Join(s.dir, File)
	code := 0
	if failed, ok := errors.AsType[*sqlite.Error](err); ok {
		code = failed.Code() & 0xff // the rest of the bits say more of the same
	}
	damage, damaged := errors.AsType[damagedError](err)
	switch {
	case damaged, code == sqlite3.SQLITE_CORRUPT, code == sqlite3.SQLITE_NOTADB:
		if !damaged {
			damage = damagedError(err.Error())
		}
		e.Err = fmt.Errorf("%s is damaged: %w", file, damage)
		e.Hint = fmt.Sprintf("nothing in it was changed; move it away together with %s-wal and %s-shm, and the next audit begins a new one; `sqlite3 FILE .recover` may read what is left",
			File, File)
	case code == sqlite3.SQLITE_BUSY:
		e.Code, e.Err = providers.Unavailable, fmt.Errorf("another process is writing to %s and has not ended in time", file)
		e.Hint = "try again; `fuser " + file + "` says who it is"
	case code == sqlite3.SQLITE_FULL:
		e.Code, e.Err = providers.Exhausted, fmt.Errorf("there is no room left for %s", file)
		e.Hint = "make room on the disk; what was kept before is still there"
	case errors.Is(err, ErrNoAudit):
		e.Code, e.Hint = providers.NotFound, "`evenkeel history` lists those that are kept"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return e
}

// damagedError says what in the file cannot be what was written.
type damagedError string

func (e damagedError) Error() string { return string(e) }

func damagedf(format string, args ...any) error { return damagedError(fmt.Sprintf(format, args...)) }

// own is an error of the caller's function, which is returned as it is.
type own struct{ error }

func (o own) Unwrap() error { return o.error }

func none(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNoAudit
	}
	return err
}

// cancelled is ctx's error where that is why err came: what a cancelled transaction is used for fails in several ways.
func cancelled(ctx context.Context, err error) error {
	if _, theirs := errors.AsType[own](err); err != nil && ctx.Err() != nil && !theirs {
		return ctx.Err()
	}
	return err
}
