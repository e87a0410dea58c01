// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/parity/facts"
	"github.com/evenkeel/evenkeel/providers"
)

const (
	// format is the version of the schema, SQLite's user_version. A change of the schema raises it and brings older files up to it in Open.
	format = 1
	// application marks the file as ours, SQLite's application_id: "EvkA".
	application = 0x45766b41
	// busyTimeout is how long a writer waits for others. Bringing an audit of 10,000 machines in takes a second or two.
	busyTimeout = time.Minute
)

const schema = `
CREATE TABLE audits (
	id INTEGER PRIMARY KEY AUTOINCREMENT, -- a number is never given twice
	project TEXT NOT NULL,
	at INTEGER NOT NULL, -- microseconds since 1970, UTC
	tiers TEXT NOT NULL, -- one a line
	"commit" TEXT NOT NULL,
	verdict TEXT NOT NULL,
	findings INTEGER NOT NULL,
	report BLOB NOT NULL -- packed JSON
);
CREATE INDEX audits_at ON audits (project, at);
CREATE TABLE sections (
	id INTEGER PRIMARY KEY,
	hash BLOB NOT NULL UNIQUE, -- SHA-256 of the JSON that body holds
	name TEXT NOT NULL,
	body BLOB NOT NULL -- packed JSON
);
CREATE INDEX sections_name ON sections (name);
CREATE TABLE snapshots (
	audit INTEGER NOT NULL REFERENCES audits ON DELETE CASCADE,
	tier TEXT NOT NULL, name TEXT NOT NULL, env TEXT NOT NULL, project TEXT NOT NULL,
	head BLOB NOT NULL, -- JSON without the sections
	sections BLOB NOT NULL, -- their ids, as varints
	PRIMARY KEY (audit, tier, name, env, project)
) WITHOUT ROWID;
CREATE TABLE uses ( -- which sections an audit's snapshots name
	audit INTEGER NOT NULL REFERENCES audits ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
	section INTEGER NOT NULL REFERENCES sections DEFERRABLE INITIALLY DEFERRED,
	machines INTEGER NOT NULL, -- how many of them do
	PRIMARY KEY (audit, section)
) WITHOUT ROWID;
CREATE INDEX uses_section ON uses (section);
CREATE TABLE cache (
	name TEXT NOT NULL, script TEXT NOT NULL, raw TEXT NOT NULL, key_id TEXT NOT NULL, -- a facts.SectionID
	section INTEGER NOT NULL REFERENCES sections DEFERRABLE INITIALLY DEFERRED,
	used INTEGER NOT NULL, -- microseconds since 1970
	size INTEGER NOT NULL, -- of the section's body
	PRIMARY KEY (name, script, raw, key_id)
) WITHOUT ROWID;
CREATE INDEX cache_used ON cache (used);
CREATE INDEX cache_section ON cache (section);
`

// Open opens the store in dir, which it makes, 0700, where it is not there. A file of a newer format is refused, and so is one that is damaged or another's;
// none of them is changed.
func Open(ctx context.Context, dir string) (_ *Store, err error) {
	s := &Store{dir: dir, writing: make(chan struct{}, 1), codec: newCodec(),
		cache: cache{used: map[facts.SectionID]bool{}, rows: cacheRows, bytes: cacheBytes}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, s.failure("open", "the store of audits", err)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, s.failure("open", "the store of audits", err)
	}
	s.dir = abs
	if s.db, err = s.pool("FULL", busyTimeout); err != nil {
		return nil, s.failure("open", "the store of audits", err)
	}
	if s.quick, err = s.pool("NORMAL", cacheWait); err != nil {
		return nil, s.failure("open", "the store of audits", err)
	}
	if err := s.prepare(ctx); err != nil {
		err = s.failure("open", "the store of audits", err)
		return nil, errors.Join(err, s.quick.Close(), s.db.Close())
	}
	return s, nil
}

// pool is a way into the file. Nothing is opened before it is used.
func (s *Store) pool(synchronous string, wait time.Duration) (*sql.DB, error) {
	// A transaction that may write says so when it begins: one that finds out later cannot wait for others, since what it read may be old by then.
	q := url.Values{
		"_busy_timeout": {fmt.Sprint(wait.Milliseconds())}, "_foreign_keys": {"1"}, "_synchronous": {synchronous}, "_txlock": {"immediate"}, "_defensive": {"1"},
		"mode": {"rw"}, // prepare makes it, with its mode
	}
	name := url.URL{Scheme: "file", Path: filepath.Join(s.dir, File), RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(4)
	return db, nil
}

// prepare makes the file where there is none, and checks that it is one of ours.
func (s *Store) prepare(ctx context.Context) error {
	// One at a time, also of other processes: changing to write-ahead is the one thing that SQLite does not wait for others with.
	dir, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // gives the lock back
	if err := flock(ctx, dir); err != nil {
		return err
	}
	if err := s.file0600(); err != nil {
		return err
	}
	ours, err := s.recognize(ctx)
	if err != nil || ours {
		return err
	}
	// auto_vacuum counts only while there is no table, and outside of a transaction.
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // back to the pool
	for _, pragma := range []string{"auto_vacuum = INCREMENTAL", "journal_mode = WAL"} {
		if _, err := conn.ExecContext(ctx, "PRAGMA "+pragma); err != nil {
			return err
		}
	}
	return s.write(ctx, s.db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, schema+fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", application, format))
		return err
	})
}

// recognize says whether the file is ours already; false where it is new, or a process ended before it had made it.
func (s *Store) recognize(ctx context.Context) (bool, error) {
	var id, version, tables int
	err := s.read(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT * FROM pragma_application_id, pragma_user_version, (SELECT count(*) FROM sqlite_schema)`).Scan(&id, &version, &tables)
	})
	file := filepath.Join(s.dir, File)
	switch {
	case err != nil:
		return false, err
	case id == 0 && version == 0 && tables == 0:
		return false, nil
	case id != application:
		return false, fmt.Errorf("%s is a database of another program; move it away, and a new one is begun", file)
	case version > format:
		return false, &providers.Error{Code: providers.Unsupported, Op: "open", Subject: "the store of audits", Hint: "use a version of evenkeel not older than the one that wrote it; nothing in it was changed",
			Err: fmt.Errorf("%s has format %d, and this version knows formats up to %d", file, version, format)}
	case version < 1:
		return false, damagedf("it has format %d", version)
	}
	return true, nil
}

// file0600 makes the file, or takes from others what they may do to it. A file that is there is not opened: closing it would give up the locks that SQLite holds on
// it for this process.
func (s *Store) file0600() error {
	name := filepath.Join(s.dir, File)
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		return f.Close()
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file", name)
	case info.Mode().Perm()&0o077 != 0:
		return os.Chmod(name, 0o600)
	}
	return nil
}

// flock waits for the lock on f, which closing f gives back.
func flock(ctx context.Context, f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
