// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/facts"
)

const (
	// cacheRows and cacheBytes (packed) bound what is remembered of machines' answers. A fleet in 40 variants has a thousand that many machines give.
	cacheRows  = 50_000
	cacheBytes = 256 << 20
	// cacheSlack is how many more there may be until somebody looks.
	cacheSlack = 256
	// cacheGrain is how exactly it is remembered when an answer was used last: writing it down every time would cost more than the answer.
	cacheGrain = time.Hour
	// cacheWait is how long a write waits for other processes: it is worth less than the time of the machines that wait behind it.
	cacheWait = 2 * time.Second
)

// cache is what the store remembers of the cache in this process.
type cache struct {
	mu    sync.Mutex
	used  map[facts.SectionID]bool // since the last flush
	fresh int                      // rows written since somebody looked whether there are too many
	rows  int                      // bounds
	bytes int64
}

// Known are raw digests that came from the collector and with the key that were used last: of others there would be no section to go with them. First stand those
// that several machines of an audit had in common, since what a machine has for itself is worth offering to that one only; among these, those used last.
func (s *Store) Known(ctx context.Context, most int) ([]string, error) {
	list := []string{}
	rows, err := s.quick.QueryContext(ctx, `SELECT raw FROM cache WHERE (script, key_id) = (SELECT script, key_id FROM cache ORDER BY used DESC LIMIT 1)
		GROUP BY raw ORDER BY max(coalesce((SELECT machines FROM uses WHERE uses.section = cache.section ORDER BY audit DESC LIMIT 1), 0) > 1) DESC, max(used) DESC, raw LIMIT ?`, max(0, most))
	if err != nil {
		return nil, s.failure("read", "the cache of facts", cancelled(ctx, err))
	}
	defer rows.Close()
	for rows.Next() {
		var raw string
		if err := rows.Scan(&raw); err != nil {
			return nil, s.failure("read", "the cache of facts", err)
		}
		list = append(list, raw)
	}
	return list, s.failure("read", "the cache of facts", cancelled(ctx, rows.Err()))
}

// Section is one that was kept; of what Keep was given, it may have been let go since.
func (s *Store) Section(ctx context.Context, id facts.SectionID) (section parity.Section, ok bool, err error) {
	var sum, body []byte
	var used int64
	err = s.quick.QueryRowContext(ctx, `SELECT hash, body, used FROM cache JOIN sections ON sections.id = section
		WHERE cache.name = ? AND script = ? AND raw = ? AND key_id = ?`, id.Group, id.Script, id.Raw, id.KeyID).Scan(&sum, &body, &used)
	if errors.Is(err, sql.ErrNoRows) {
		return section, false, nil
	}
	if err == nil {
		section, _, err = s.codec.decodeSection(sum, body)
	}
	if err != nil {
		return parity.Section{}, false, s.failure("read", "the cache of facts", cancelled(ctx, err))
	}
	if time.Since(time.UnixMicro(used)) > cacheGrain {
		s.cache.mu.Lock()
		s.cache.used[id] = true
		s.cache.mu.Unlock()
	}
	return section, true, nil
}

// Keep remembers a section. A failure means that it is not remembered, and nothing else: who reads machines goes on.
func (s *Store) Keep(ctx context.Context, id facts.SectionID, section parity.Section) error {
	sum, body, err := s.codec.encodeSection(&section)
	if err == nil {
		err = s.write(ctx, s.quick, func(tx *sql.Tx) error { return s.keep(ctx, tx, id, sum, section.Name, body) })
	}
	return s.failure("keep", "facts in the cache", err)
}

func (s *Store) keep(ctx context.Context, tx *sql.Tx, id facts.SectionID, sum hash, name string, body []byte) error {
	put, err := newSectionPut(ctx, tx)
	if err != nil {
		return err
	}
	defer put.close()
	section, err := put.section(ctx, sum[:], name, body)
	if err != nil {
		return err
	}
	key := []any{id.Group, id.Script, id.Raw, id.KeyID}
	var before int64
	err = tx.QueryRowContext(ctx, `SELECT section FROM cache WHERE name = ? AND script = ? AND raw = ? AND key_id = ?`, key...).Scan(&before)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO cache (name, script, raw, key_id, section, used, size) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET section = excluded.section, used = excluded.used, size = excluded.size`, append(key, section, time.Now().UnixMicro(), len(body))...)
	if err != nil {
		return err
	}
	if before != 0 && before != section {
		if err := letGo(ctx, tx, before); err != nil {
			return err
		}
	}
	return s.bound(ctx, tx, cacheSlack)
}

// flush writes down what was used, and lets go of what is too much.
func (s *Store) flush(ctx context.Context) error {
	s.cache.mu.Lock()
	used := slices.Collect(maps.Keys(s.cache.used))
	clear(s.cache.used)
	idle := len(used) == 0 && s.cache.fresh == 0
	s.cache.mu.Unlock()
	if idle {
		return nil
	}
	err := s.write(ctx, s.quick, func(tx *sql.Tx) error {
		now := time.Now().UnixMicro()
		for _, id := range used {
			if _, err := tx.ExecContext(ctx, `UPDATE cache SET used = ? WHERE name = ? AND script = ? AND raw = ? AND key_id = ?`, now, id.Group, id.Script, id.Raw, id.KeyID); err != nil {
				return err
			}
		}
		return s.bound(ctx, tx, 0)
	})
	return s.failure("keep", "facts in the cache", err)
}

// bound lets go of the rows that were not used for the longest time, if more than slack were written since it was called last.
func (s *Store) bound(ctx context.Context, tx *sql.Tx, slack int) error {
	s.cache.mu.Lock()
	s.cache.fresh++
	look := s.cache.fresh > slack
	if look {
		s.cache.fresh = 0
	}
	s.cache.mu.Unlock()
	if !look {
		return nil
	}
	var rows int
	var bytes int64
	if err := tx.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(size), 0) FROM cache`).Scan(&rows, &bytes); err != nil {
		return err
	}
	for rows > s.cache.rows || bytes > s.cache.bytes {
		var id facts.SectionID
		var section, size int64
		err := tx.QueryRowContext(ctx, `SELECT name, script, raw, key_id, section, size FROM cache ORDER BY used LIMIT 1`).Scan(&id.Group, &id.Script, &id.Raw, &id.KeyID, &section, &size)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM cache WHERE name = ? AND script = ? AND raw = ? AND key_id = ?`, id.Group, id.Script, id.Raw, id.KeyID); err != nil {
			return err
		}
		if err := letGo(ctx, tx, section); err != nil {
			return err
		}
		rows--
		bytes -= size
	}
	return nil
}

// letGo removes a section that nothing needs any longer.
func letGo(ctx context.Context, tx *sql.Tx, section int64) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM sections WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM uses WHERE section = ?1) AND NOT EXISTS (SELECT 1 FROM cache WHERE section = ?1)`, section)
	return err
}
