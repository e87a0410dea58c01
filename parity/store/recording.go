// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/parity"
)

// Recording is an audit that is being kept: it is there as a whole after Finish, and not at all before or without it. It is for one goroutine.
//
// An audit takes minutes, and SQLite has one writer. So what is added lies in a spool until Finish brings all of it in, in one transaction; other
// audits are kept meanwhile.
type Recording struct {
	store    *Store
	project  string
	at       time.Time
	spool    *spool
	sections map[sectionKey]uint64 // -> its place among the sections of the spool
	hashes   map[hash]uint64
	machines map[parity.Subject]bool
	tiers    map[string]bool
	buf      []byte
}

// sectionKey is what a section is told from others by, where its digest stands for its items.
type sectionKey struct {
	name, unknown, digest string
	lane                  parity.Lane
}

// Begin records nothing yet.
func (s *Store) Begin(_ context.Context, project string, at time.Time) (*Recording, error) {
	spool, err := newSpool(s.dir)
	if err != nil {
		return nil, s.failure("keep", "an audit", err)
	}
	return &Recording{store: s, project: project, at: at, spool: spool,
		sections: map[sectionKey]uint64{}, hashes: map[hash]uint64{}, machines: map[parity.Subject]bool{}, tiers: map[string]bool{}}, nil
}

// Add takes a snapshot in; the Recording keeps digests of it in memory, no facts. A section's digest is believed, as parity.Comparison does. After an error the
// Recording can only be discarded.
func (r *Recording) Add(ctx context.Context, s *parity.Snapshot) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.spool == nil {
		return errors.New("cannot keep a snapshot: the recording has ended")
	}
	return r.store.failure("keep", "the snapshot of "+s.Subject.Tier+"/"+s.Subject.Name, r.add(s))
}

func (r *Recording) add(s *parity.Snapshot) error {
	who := parity.Subject{Tier: s.Subject.Tier, Name: s.Subject.Name, Env: s.Subject.Env, Project: s.Subject.Project}
	if r.machines[who] {
		return errors.New("the audit has one of that machine already")
	}
	r.machines[who] = true
	r.tiers[who.Tier] = true
	list := r.buf[:0]
	for i := range s.Sections {
		place, err := r.section(&s.Sections[i])
		if err != nil {
			return err
		}
		list = binary.AppendUvarint(list, place)
	}
	r.buf = list
	head := *s
	head.Sections = nil
	text, err := json.Marshal(&head)
	if err != nil {
		return err
	}
	return r.spool.write(frameSnapshot, []byte(who.Tier), []byte(who.Name), []byte(who.Env), []byte(who.Project), text, list)
}

// section puts one into the spool, if it is not there, and says its place.
func (r *Recording) section(s *parity.Section) (uint64, error) {
	key := sectionKey{s.Name, s.Unknown, s.Digest, s.Lane}
	if place, ok := r.sections[key]; ok && s.Digest != "" {
		return place, nil
	}
	sum, body, err := r.store.codec.encodeSection(s)
	if err != nil {
		return 0, err
	}
	place, ok := r.hashes[sum]
	if !ok {
		place = uint64(len(r.hashes))
		r.hashes[sum] = place
		if err := r.spool.write(frameSection, sum[:], []byte(s.Name), body); err != nil {
			return 0, err
		}
	}
	r.sections[key] = place
	return place, nil
}

// Finish keeps the audit with its report. After an error nothing was kept, and Finish may be called again.
func (r *Recording) Finish(ctx context.Context, report *parity.Report) (Audit, error) {
	if r.spool == nil {
		return Audit{}, errors.New("cannot keep an audit: the recording has ended")
	}
	for _, c := range report.Columns {
		r.tiers[c.Tier] = true
	}
	a := Audit{Project: r.project, At: r.at.UTC().Truncate(time.Microsecond), Tiers: slices.Sorted(maps.Keys(r.tiers)), Commit: report.Commit,
		Verdict: report.Verdict(), Counted: report.Findings()}
	body, err := r.store.codec.encode(report)
	if err == nil {
		err = r.store.write(ctx, r.store.db, func(tx *sql.Tx) error { return r.bring(ctx, tx, &a, body) })
	}
	if err != nil {
		return Audit{}, r.store.failure("keep", "an audit", err)
	}
	r.Discard()
	return a, nil
}

// Discard forgets what was recorded; after Finish it does nothing.
func (r *Recording) Discard() {
	if r.spool != nil {
		r.spool.close()
	}
	*r = Recording{store: r.store}
}

// bring takes the spool into the store, and gives a its ID.
func (r *Recording) bring(ctx context.Context, tx *sql.Tx, a *Audit, report []byte) error {
	result, err := tx.ExecContext(ctx, `INSERT INTO audits (project, at, tiers, "commit", verdict, findings, report) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		a.Project, micros(a.At), lines(a.Tiers), a.Commit, a.Verdict, a.Counted, report)
	if err != nil {
		return err
	}
	if a.ID, err = result.LastInsertId(); err != nil {
		return err
	}
	put, err := newSectionPut(ctx, tx)
	if err != nil {
		return err
	}
	defer put.close()
	snapshot, err := tx.PrepareContext(ctx, `INSERT INTO snapshots (audit, tier, name, env, project, head, sections) VALUES (?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	defer snapshot.Close()
	var ids, machines []int64 // of the sections, by their place in the spool: ID, and how many have it
	list := []byte{}          // an empty one is none that is not there
	err = r.spool.each(func(kind byte, f [][]byte) error {
		if kind == frameSection {
			id, err := put.section(ctx, f[0], string(f[1]), f[2])
			if err != nil {
				return err
			}
			ids, machines = append(ids, id), append(machines, 0)
			return nil
		}
		list = list[:0]
		for rest := f[5]; len(rest) > 0; {
			place, n := binary.Uvarint(rest)
			if n <= 0 || place >= uint64(len(ids)) {
				return fmt.Errorf("%s holds what was not written", r.spool.file.Name())
			}
			rest = rest[n:]
			machines[place]++
			list = binary.AppendUvarint(list, uint64(ids[place]))
		}
		_, err := snapshot.ExecContext(ctx, a.ID, string(f[0]), string(f[1]), string(f[2]), string(f[3]), f[4], list)
		return err
	})
	if err != nil {
		return err
	}
	return uses(ctx, tx, a.ID, ids, machines)
}

// uses says which sections an audit needs, and how many machines each is of.
func uses(ctx context.Context, tx *sql.Tx, audit int64, ids, machines []int64) error {
	use, err := tx.PrepareContext(ctx, `INSERT INTO uses (audit, section, machines) VALUES (?, ?, ?)`)
	if err != nil {
		return err
	}
	defer use.Close()
	for i, id := range ids {
		if _, err := use.ExecContext(ctx, audit, id, machines[i]); err != nil {
			return err
		}
	}
	return nil
}

// sectionPut makes sure that sections are in the store.
type sectionPut struct{ insert, find *sql.Stmt }

func newSectionPut(ctx context.Context, tx *sql.Tx) (p sectionPut, err error) {
	if p.insert, err = tx.PrepareContext(ctx, `INSERT INTO sections (hash, name, body) VALUES (?, ?, ?) RETURNING id`); err != nil {
		return p, err
	}
	if p.find, err = tx.PrepareContext(ctx, `SELECT id FROM sections WHERE hash = ?`); err != nil {
		return p, errors.Join(err, p.insert.Close())
	}
	return p, nil
}

func (p sectionPut) close() {
	_ = p.insert.Close() // they end with the transaction anyway
	_ = p.find.Close()
}

// section is the ID of the section with that hash, new or not.
func (p sectionPut) section(ctx context.Context, sum []byte, name string, body []byte) (id int64, err error) {
	err = p.find.QueryRowContext(ctx, sum).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = p.insert.QueryRowContext(ctx, sum, name, body).Scan(&id)
	}
	return id, err
}
