// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"

	"github.com/evenkeel/evenkeel/parity"
)

// sharedMax bounds the text of sections that are held for the snapshots to come. What 10,000 machines in 40 variants share is a tenth of it.
const sharedMax = 128 << 20

// Snapshots gives each snapshot of an audit to take, in the order tier, name (by bytes). Sections with equal digests share their items, as far as these
// are not too many to be held at once; nobody changes them. It ends with take's error, as that is.
func (s *Store) Snapshots(ctx context.Context, audit int64, take func(*parity.Snapshot) error) error {
	err := s.read(ctx, func(tx *sql.Tx) error {
		if err := exists(ctx, tx, audit); err != nil {
			return err
		}
		sections, err := s.newShared(ctx, tx, audit)
		if err != nil {
			return err
		}
		defer sections.close()
		rows, err := tx.QueryContext(ctx, `SELECT head, sections FROM snapshots WHERE audit = ? ORDER BY tier, name, env, project`, audit)
		if err != nil {
			return err
		}
		defer rows.Close()
		var head, list sql.RawBytes
		for rows.Next() {
			if err := rows.Scan(&head, &list); err != nil {
				return err
			}
			snapshot := new(parity.Snapshot)
			if err := json.Unmarshal(head, snapshot); err != nil {
				return damagedf("a snapshot is not the JSON that was written: %v", err)
			}
			ids, err := sectionIDs(list)
			if err != nil {
				return err
			}
			for _, id := range ids {
				section, err := sections.get(ctx, id)
				if err != nil {
					return err
				}
				snapshot.Sections = append(snapshot.Sections, section)
			}
			if err := take(snapshot); err != nil {
				return own{err}
			}
		}
		return rows.Err()
	})
	return s.failure("read", auditName(audit), err)
}

func exists(ctx context.Context, tx *sql.Tx, audit int64) error {
	var one int
	return none(tx.QueryRowContext(ctx, `SELECT 1 FROM audits WHERE id = ?`, audit).Scan(&one))
}

// sectionIDs are those of a snapshot.
func sectionIDs(list []byte) ([]int64, error) {
	var ids []int64
	for len(list) > 0 {
		id, n := binary.Uvarint(list)
		if n <= 0 {
			return nil, damagedf("a snapshot's list of sections is not what was written")
		}
		ids = append(ids, int64(id))
		list = list[n:]
	}
	return ids, nil
}

// shared reads sections, and holds those that more snapshots of the audit will ask for.
type shared struct {
	codec *codec
	find  *sql.Stmt
	left  map[int64]int // how often each will be asked for yet
	held  map[int64]held
	size  int
}

type held struct {
	parity.Section
	size int
}

func (s *Store) newShared(ctx context.Context, tx *sql.Tx, audit int64) (*shared, error) {
	sh := &shared{codec: s.codec, left: map[int64]int{}, held: map[int64]held{}}
	rows, err := tx.QueryContext(ctx, `SELECT sections FROM snapshots WHERE audit = ?`, audit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&list); err != nil {
			return nil, err
		}
		ids, err := sectionIDs(list)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			sh.left[id]++
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	sh.find, err = tx.PrepareContext(ctx, `SELECT hash, body FROM sections WHERE id = ?`)
	return sh, err
}

func (sh *shared) close() { _ = sh.find.Close() } // it ends with the transaction anyway

func (sh *shared) get(ctx context.Context, id int64) (parity.Section, error) {
	sh.left[id]--
	more := sh.left[id] > 0
	if h, ok := sh.held[id]; ok {
		if !more {
			delete(sh.held, id)
			sh.size -= h.size
		}
		return h.Section, nil
	}
	section, size, err := sh.read(ctx, id)
	if err == nil && more && sh.size+size <= sharedMax {
		sh.held[id] = held{section, size}
		sh.size += size
	}
	return section, err
}

func (sh *shared) read(ctx context.Context, id int64) (section parity.Section, size int, err error) {
	rows, err := sh.find.QueryContext(ctx, id)
	if err != nil {
		return section, 0, err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return section, 0, err
		}
		return section, 0, damagedf("a section of a snapshot is not there")
	}
	var sum, body sql.RawBytes
	if err := rows.Scan(&sum, &body); err != nil {
		return section, 0, err
	}
	return sh.codec.decodeSection(sum, body)
}
