// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/store"
)

func TestAnUnfinishedRecordingIsNotThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	r, err := s.Begin(t.Context(), project, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, snapshot := range fleet() {
		if err := r.Add(t.Context(), snapshot); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Add(t.Context(), fleet()[0]); err == nil || !strings.Contains(err.Error(), "production/web-1: the audit has one of that machine already") {
		t.Errorf("a second snapshot of a machine: got %v", err)
	}
	if list, err := s.Audits(t.Context(), "", time.Time{}); err != nil || len(list) > 0 || count(t, s, "sections") > 0 {
		t.Errorf("got %+v, %v, want nothing before Finish", list, err)
	}
	r.Discard()
	r.Discard()
	if _, err := r.Finish(t.Context(), &parity.Report{}); err == nil {
		t.Error("Finish after Discard kept something")
	}
	if err := r.Add(t.Context(), fleet()[0]); err == nil {
		t.Error("Add after Discard kept something")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".recording*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestFinishCanBeTriedAgain(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	r, err := s.Begin(t.Context(), project, now)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Discard()
	if err := r.Add(t.Context(), fleet()[0]); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Finish(ctx, &parity.Report{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it cancelled", err)
	}
	if n := count(t, s, "audits") + count(t, s, "sections") + count(t, s, "snapshots"); n > 0 {
		t.Errorf("a cancelled Finish left %d rows", n)
	}
	if err := r.Add(t.Context(), fleet()[1]); err != nil {
		t.Fatal(err)
	}
	a, err := r.Finish(t.Context(), &parity.Report{})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, a.ID); len(got) != 2 {
		t.Errorf("got %d snapshots, want 2", len(got))
	}
}

func TestCancelledInTheMiddleItSaysSoAndKeepsNothing(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	var list []*parity.Snapshot
	for i := range 3000 {
		list = append(list, snapshot("ci", fmt.Sprintf("web-%d", i), packages("a", fmt.Sprint(i))))
	}
	a := keep(t, s, now, list...)
	before := count(t, s, "sections")
	r, err := s.Begin(t.Context(), project, now)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Discard()
	for _, snapshot := range list {
		snapshot.Sections = []parity.Section{packages("b", snapshot.Subject.Name)}
		if err := r.Add(t.Context(), snapshot); err != nil {
			t.Fatal(err)
		}
	}
	for _, after := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond, 40 * time.Millisecond} {
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(after, cancel)
		_, err := r.Finish(ctx, &parity.Report{})
		if timer.Stop(); err == nil {
			cancel()
			break // it was quicker
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after %s: got %v, want it cancelled", after, err)
		}
		if n := count(t, s, "sections"); n != before || count(t, s, "audits") != 1 {
			t.Errorf("after %s: got %d sections, want %d and no audit more", after, n, before)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err = s.Snapshots(ctx, a.ID, func(*parity.Snapshot) error {
		if n++; n == 3 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n > 100 {
		t.Errorf("Snapshots: got %v after %d, want it cancelled", err, n)
	}
	for what, err := range map[string]error{
		"History": second(s.History(ctx, project, "packages", "a", time.Time{})), "Keys": second(s.Keys(ctx, project, "a", 9)), "Audits": second(s.Audits(ctx, project, time.Time{})),
		"Prune": second(s.Prune(ctx, store.DefaultKeep())), "Open": second(store.Open(ctx, t.TempDir())),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want it cancelled", what, err)
		}
	}
	whole(t, s)
}
