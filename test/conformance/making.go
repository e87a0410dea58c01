// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers"
)

func twoPuts(t *testing.T, s *suite) {
	env := s.env(t, "race")
	const runs = 3
	var machines [runs]providers.Machine
	var specs [runs]providers.Spec
	var work sync.WaitGroup
	for i := range runs {
		specs[i], _ = s.spec(t, env, "web-1")
		specs[i] = withData(specs[i], "files", filesSize, filesMount)
		p := s.open(t)
		work.Go(func() {
			m, err := p.PutMachine(t.Context(), specs[i], s.ref, nil)
			if err != nil {
				t.Errorf("PutMachine of run %d: %v", i, err)
			}
			machines[i] = m
		})
	}
	work.Wait()
	one := s.only(t, s.p, env)
	for i, m := range machines {
		if m.ID != one.ID {
			t.Errorf("run %d got machine %q, want %q as the others", i, m.ID, one.ID)
		}
		wantLabels(t, m.Labels, one.Labels)
	}
	s.wantDisks(t, env, map[providers.DataRef]int64{{Env: env, Machine: "web-1", Name: "files"}: filesSize})
	winners := 0
	for _, spec := range specs {
		if maps.Equal(spec.Labels, one.Labels) {
			winners++
		}
	}
	if winners != 1 {
		t.Errorf("the machine's labels are those of %d runs, want of one: %v", winners, one.Labels)
	}
}

// cancelledPut cancels at the first word of progress and at moments spread over the time that a Put takes.
func cancelledPut(t *testing.T, s *suite) {
	env := s.env(t, "cancel")
	begin := time.Now()
	spec, _ := s.spec(t, env, "web-0")
	whole := s.put(t, spec)
	took := time.Since(begin)
	if err := s.p.DeleteMachine(t.Context(), whole.ID); err != nil {
		t.Fatal(err)
	}
	for _, share := range []time.Duration{0, 25, 60, 90} {
		spec, _ := s.spec(t, env, "web-1")
		spec = withData(spec, "files", filesSize, filesMount)
		ctx, cancel := context.WithCancel(t.Context())
		progress := func(providers.Event) {
			if share == 0 {
				cancel()
			}
		}
		if share > 0 {
			time.AfterFunc(took*share/100, cancel)
		}
		m, err := s.p.PutMachine(ctx, spec, s.ref, progress)
		cancel()
		left := s.list(t, s.p, env)
		if disks := s.disks(t, env); err != nil && len(disks) > 0 {
			t.Errorf("cancelled at %d %%: got data disks %v, want none, since nobody ever had them", share, disks)
		}
		switch {
		case err != nil && len(left) > 0:
			t.Errorf("cancelled at %d %%: %v, and yet there is %+v", share, err, left)
		case err == nil && (len(left) != 1 || left[0].ID != m.ID):
			t.Errorf("cancelled at %d %% too late to matter: got %+v, want %+v", share, left, m)
		case err == nil && share <= 60:
			t.Logf("cancelled at %d %%: the machine was made all the same", share)
		}
		if err == nil {
			if err := s.p.DeleteEnv(t.Context(), env, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.p.PutMachine(ctx, spec, s.ref, nil); err == nil {
		t.Error("PutMachine under a cancelled context makes a machine")
	}
	if left := s.list(t, s.p, env); len(left) > 0 {
		t.Errorf("got %+v, want nothing", left)
	}
}

func deleteEnv(t *testing.T, s *suite) {
	env, other := s.env(t, "gone"), s.env(t, "stays")
	before := s.h.Leaks()
	kept, _ := s.spec(t, other, "web-1")
	stays := s.put(t, kept)
	withOther := s.h.Leaks()
	for _, name := range []string{"web-1", "db-1"} {
		spec, _ := s.spec(t, env, name)
		s.put(t, withData(spec, "files", filesSize, filesMount))
	}
	if err := s.p.DeleteEnv(t.Context(), env, false); err != nil {
		t.Fatal(err)
	}
	s.wantGone(t, env)
	checkLeaks(t, s.h, withOther)
	if err := s.p.DeleteEnv(t.Context(), env, false); err != nil {
		t.Errorf("deleting an absent environment: %v, want success", err)
	}
	if got := s.only(t, s.p, other); got.ID != stays.ID || got.State != providers.Running {
		t.Errorf("another environment's machine is %+v, want %+v untouched", got, stays)
	}
	if err := s.p.DeleteEnv(t.Context(), other, false); err != nil {
		t.Fatal(err)
	}
	s.wantGone(t, other)
	checkLeaks(t, s.h, before)
}
