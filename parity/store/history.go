// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/parity"
)

// States of a Change, as in a report.
const (
	Present     = "present"
	Absent      = string(parity.Absent)
	Unknown     = string(parity.Unknown)
	Unreachable = string(parity.Unreachable)
)

// Change is a value of a fact that began to be so on a machine, as audits saw it: some time between After and At.
type Change struct {
	At    time.Time `json:"at"` // of the first audit that saw it
	Audit int64     `json:"audit"`
	// After is when the last audit before saw it otherwise; zero where At is the first that saw the machine.
	After    time.Time `json:"after,omitzero"`
	Tier     string    `json:"tier"`
	Env      string    `json:"env,omitempty"`
	Machine  string    `json:"machine"`
	State    string    `json:"state"`           // present, absent, unknown, unreachable
	Value    string    `json:"value,omitempty"` // of unknown and unreachable: why
	WasState string    `json:"was_state,omitempty"`
	Was      string    `json:"was,omitempty"`
	// Since is when it came to be so by the machine's own word, RFC 3339, where the machine knows.
	Since string `json:"since,omitempty"`
}

// maxChanges bounds a history. It is of a fact that is another one on every machine in every audit, and worth nothing.
const maxChanges = 500_000

// otherKey is why a masked value that was masked with another key before is unknown.
const otherKey = "it is masked, and with another key than before"

// History is when SECTION/KEY changed on which machine since a time, oldest first; what audits before that time saw is known and not told. A machine's first audit is a
// change too, unless the fact is absent. An audit that did not ask a machine for the section, or that the machine is not in, says nothing of it. Of a key that no
// kept audit has, there is no history.
func (s *Store) History(ctx context.Context, project, section, key string, since time.Time) ([]Change, error) {
	h := history{codec: s.codec, since: since, last: map[parity.Subject]*seen{}}
	err := s.read(ctx, func(tx *sql.Tx) error {
		ever, err := h.facts(ctx, tx, project, section, key)
		if err != nil || !ever {
			return err
		}
		return h.follow(ctx, tx, project)
	})
	return h.changes, s.failure("read", "the history of "+section+"/"+key, err)
}

// history goes through audits from the oldest to the newest.
type history struct {
	codec   *codec
	since   time.Time
	values  map[int64]*fact // by section
	last    map[parity.Subject]*seen
	changes []Change
}

// fact is what a section says of the key.
type fact struct{ state, value, since string }

// seen is what was seen last of a machine.
type seen struct {
	*fact
	keyID string // of a masked value
	at    time.Time
}

// facts reads what each section says of the key, and whether any has it.
func (h *history) facts(ctx context.Context, tx *sql.Tx, project, section, key string) (ever bool, err error) {
	h.values = map[int64]*fact{}
	rows, err := tx.QueryContext(ctx, `SELECT id, hash, body FROM sections WHERE name = ?1
		AND EXISTS (SELECT 1 FROM uses JOIN audits ON audits.id = audit WHERE section = sections.id AND (?2 = '' OR project = ?2))`, section, project)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	distinct := map[fact]*fact{}
	var sum, body sql.RawBytes
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id, &sum, &body); err != nil {
			return false, err
		}
		whole, _, err := h.codec.decodeSection(sum, body)
		if err != nil {
			return false, err
		}
		f, has := factOf(&whole, key)
		if distinct[f] == nil {
			distinct[f] = &f
		}
		h.values[id] = distinct[f]
		ever = ever || has
	}
	return ever, rows.Err()
}

func factOf(s *parity.Section, key string) (f fact, has bool) {
	if s.Unknown != "" {
		return fact{state: Unknown, value: s.Unknown}, false
	}
	i, found := slices.BinarySearchFunc(s.Items, key, func(item parity.Item, key string) int { return strings.Compare(item.Key, key) })
	switch {
	case !found:
		return fact{state: Absent}, false
	case s.Items[i].Unknown != "":
		return fact{state: Unknown, value: s.Items[i].Unknown}, true
	}
	return fact{Present, strings.Clone(s.Items[i].Value), strings.Clone(s.Items[i].Since)}, true
}

// follow goes through all snapshots.
func (h *history) follow(ctx context.Context, tx *sql.Tx, project string) error {
	rows, err := tx.QueryContext(ctx, `SELECT audits.id, at, tier, name, env, snapshots.project, head, sections FROM audits JOIN snapshots ON audit = audits.id
		WHERE ?1 = '' OR audits.project = ?1 ORDER BY at, audits.id, tier, name, env, snapshots.project`, project)
	if err != nil {
		return err
	}
	defer rows.Close()
	var head, list sql.RawBytes
	for rows.Next() {
		var audit, at int64
		var who parity.Subject
		if err := rows.Scan(&audit, &at, &who.Tier, &who.Name, &who.Env, &who.Project, &head, &list); err != nil {
			return err
		}
		now, err := h.see(head, list)
		if err != nil {
			return err
		}
		if now.fact == nil {
			continue
		}
		now.at = time.UnixMicro(at).UTC()
		if err := h.note(audit, who, now); err != nil {
			return err
		}
	}
	return rows.Err()
}

// see is what a snapshot says of the key; no fact where it says nothing.
func (h *history) see(head, list []byte) (seen, error) {
	ids, err := sectionIDs(list)
	if err != nil {
		return seen{}, err
	}
	var now seen
	for _, id := range ids {
		if f := h.values[id]; f != nil {
			now.fact = f
			break
		}
	}
	masked := now.fact != nil && strings.Contains(now.value, "hmac:")
	if now.fact != nil && !masked || len(ids) > 0 && now.fact == nil {
		return now, nil
	}
	var s parity.Snapshot
	if err := json.Unmarshal(head, &s); err != nil {
		return seen{}, damagedf("a snapshot is not the JSON that was written: %v", err)
	}
	if masked {
		now.keyID = s.KeyID
	} else if s.Unreachable != "" {
		now.fact = &fact{state: Unreachable, value: s.Unreachable}
	}
	return now, nil
}

// note takes down what was seen, if it is another thing than before.
func (h *history) note(audit int64, who parity.Subject, now seen) error {
	before := h.last[who]
	if before != nil && before.state == now.state && before.value == now.value && before.keyID == now.keyID {
		before.at = now.at
		return nil
	}
	h.last[who] = &now
	if before == nil && now.state == Absent || now.at.Before(h.since) {
		return nil
	}
	c := Change{At: now.at, Audit: audit, Tier: who.Tier, Env: who.Env, Machine: who.Name, State: now.state, Value: now.value, Since: now.since}
	if before != nil {
		c.After, c.WasState, c.Was = before.at, before.state, before.value
		if before.keyID != "" && now.keyID != "" && before.keyID != now.keyID {
			c.State, c.Value = Unknown, otherKey
		}
	}
	if len(h.changes) == maxChanges {
		return fmt.Errorf("there are more than %d changes of it; it is another one on each machine in each audit", maxChanges)
	}
	h.changes = append(h.changes, c)
	return nil
}

// Keys are SECTION/KEY of facts in the newest audit of a project ("": of all) that contain part, in any case of letters, sorted, at most most.
func (s *Store) Keys(ctx context.Context, project, part string, most int) ([]string, error) {
	found := map[string]bool{}
	part = strings.ToLower(part)
	err := s.read(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT hash, body FROM uses JOIN sections ON sections.id = section
			WHERE audit = (SELECT id FROM audits WHERE ?1 = '' OR project = ?1 ORDER BY at DESC, id DESC LIMIT 1)`, project)
		if err != nil {
			return err
		}
		defer rows.Close()
		var sum, body sql.RawBytes
		for rows.Next() {
			if err := rows.Scan(&sum, &body); err != nil {
				return err
			}
			section, _, err := s.codec.decodeSection(sum, body)
			if err != nil {
				return err
			}
			for i := range section.Items {
				name := section.Name + "/" + section.Items[i].Key
				if strings.Contains(strings.ToLower(name), part) {
					found[name] = true
				}
			}
		}
		return rows.Err()
	})
	list := slices.Sorted(maps.Keys(found))
	return list[:min(len(list), most)], s.failure("read", "the kept facts", err)
}
