// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/store"
	"github.com/evenkeel/evenkeel/providers"
)

// closed is a store with two audits that nobody has open.
func closed(t *testing.T) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	s, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	keep(t, s, now, fleet()...)
	keep(t, s, now.Add(time.Hour), fleet()...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, store.File)
}

// refused opens dir, which is to fail with words, and leave the file as it is.
func refused(t *testing.T, dir string, words ...string) {
	t.Helper()
	file := filepath.Join(dir, store.File)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), dir)
	if err == nil {
		_ = s.Close() // the test has failed
		t.Fatalf("it was opened; want an error with %q", words)
	}
	text := err.Error()
	if e, ok := errors.AsType[*providers.Error](err); ok {
		text += "\n" + e.Hint
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("got %q, want %q in it", text, w)
		}
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the refused file was changed: %v", err)
	}
}

func TestAFileThatIsNoDatabaseIsRefusedAndStays(t *testing.T) {
	t.Parallel()
	dir, file := closed(t)
	if err := os.WriteFile(file, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, dir, "cannot open the store of audits: "+file+" is damaged: ", "move it away together with audits.db-wal and audits.db-shm, and the next audit begins a new one")
}

func TestADatabaseOfAnotherProgramIsRefusedAndStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, store.File))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`CREATE TABLE theirs (a)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, dir, "is a database of another program; move it away")
}

func TestAFileOfANewerFormatIsRefusedAndStays(t *testing.T) {
	t.Parallel()
	dir, _ := closed(t)
	s := open(t, dir)
	if err := s.Exec(`PRAGMA user_version = 2`); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, dir, "audits.db has format 2, and this version knows formats up to 1", "use a version of evenkeel not older than the one that wrote it")
}

func TestAnEmptyFileIsANewStore(t *testing.T) { // what a process leaves that was killed while it made it
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, store.File), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	keep(t, s, now, fleet()...)
	if v, err := s.Setting("auto_vacuum"); v != "2" || err != nil {
		t.Errorf("got auto_vacuum %q, %v, want 2", v, err)
	}
}

// Whatever bytes of the file are others, what is read is what was written, or an error that says what to do.
func TestADamagedFileIsNeverReadAsSomethingElse(t *testing.T) {
	t.Parallel()
	dir, file := closed(t)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := 0
	for n := range 300 {
		bad := bytes.Clone(good)
		rnd := rand.New(rand.NewPCG(1, uint64(n)))
		switch n % 3 {
		case 0:
			bad = bad[:rnd.IntN(len(bad))]
		case 1:
			at := rnd.IntN(len(bad))
			for i := range bad[at:min(len(bad), at+512)] {
				bad[at+i] = byte(rnd.Uint32())
			}
		case 2:
			clear(bad[rnd.IntN(len(bad)):])
		}
		for _, beside := range []string{"-wal", "-shm"} {
			_ = os.Remove(file + beside) // they need not be there
		}
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		err := readAll(t, dir)
		if err == nil {
			continue
		}
		damaged++
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%d: the file is gone: %v", n, err)
		}
	}
	if damaged < 100 {
		t.Errorf("%d of 300 damages were noticed", damaged)
	}
}

// readAll reads all there is.
func readAll(t *testing.T, dir string) error {
	s, err := store.Open(t.Context(), dir)
	if err != nil {
		return err
	}
	defer s.Close()
	list, err := s.Audits(t.Context(), "", time.Time{})
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, snapshot := range fleet() {
		for _, section := range snapshot.Sections {
			known[section.Name+section.Digest+section.Unknown] = true
		}
	}
	for _, a := range list {
		if _, err := s.Report(t.Context(), a.ID); err != nil {
			return err
		}
		err := s.Snapshots(t.Context(), a.ID, func(snapshot *parity.Snapshot) error {
			for _, section := range snapshot.Sections {
				if !known[section.Name+section.Digest+section.Unknown] {
					t.Errorf("a section was read that was not written: %s %s", section.Name, section.Digest)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if _, err := s.History(t.Context(), "", "packages", "package0001:amd64", time.Time{}); err != nil {
		return err
	}
	_, err = s.Known(t.Context(), 10)
	return err
}

func TestAFullDiskLeavesWhatWasKept(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	a := keep(t, s, now, fleet()...)
	if err := s.LimitPages(); err != nil {
		t.Fatal(err)
	}
	var big []string
	for _, n := range rand.Perm(60_000) {
		big = append(big, digestOf([]parity.Item{{Value: digestOf([]parity.Item{{Key: string(rune(n))}})}})[:8], digestOf([]parity.Item{{Value: string(rune(n))}}))
	}
	_, err := tryKeep(t.Context(), s, project, now, snapshot("ci", "web-1", packages(big...)))
	if providers.CodeOf(err) != providers.Exhausted || !strings.Contains(err.Error(), "cannot keep an audit: there is no room left for ") {
		t.Errorf("got %v, want it to say that there is no room", err)
	}
	whole(t, s)
	if got := len(read(t, s, a.ID)); got != 4 || count(t, s, "audits") != 1 {
		t.Errorf("got %d snapshots of the audit before, want 4", got)
	}
}
