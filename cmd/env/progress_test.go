// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/evenkeel/evenkeel/internal/progress"
	"github.com/evenkeel/evenkeel/providers"
)

func TestPlainProgressTellsEachStageOnce(t *testing.T) {
	var b bytes.Buffer
	p := &plain{w: &b, rows: map[string]*row{}}
	for _, e := range []progress.Event{
		{Subject: "web-1", Stage: "create"}, {Subject: "web-1", Stage: "create"}, {Stage: "store"},
		{Subject: "web", Stage: "fetch", Done: 0, Total: 3 << 20, Bytes: true}, {Subject: "web", Stage: "fetch", Done: 1 << 20, Total: 3 << 20, Bytes: true},
		{Subject: "web-1", Stage: "boot", Detail: "bad\x1b[2J\nline"},
	} {
		p.event(e)
	}
	p.note("a note")
	p.stop()
	p.event(progress.Event{Subject: "web-1", Stage: "late"})
	want := "web-1: create\n(all): store\nweb: fetch: 0 B of 3 MiB\nweb-1: boot: bad\\x1b[2J line\nevenkeel: a note\n"
	if got := b.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestLiveLinesAreCutToWidthAndHeight(t *testing.T) {
	l := &live{w: io.Discard, size: func() (int, int) { return 30, 5 }}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		l.event(progress.Event{Subject: name, Stage: "fetch", Detail: strings.Repeat("日本", 30), Done: 5, Total: 10})
	}
	var b bytes.Buffer
	l.w = &b
	l.draw(time.Now(), false)
	if got := strings.Count(b.String(), "\n"); got != 3 {
		t.Errorf("a frame has %d lines on a terminal of 5, want 3:\n%q", got, b.String())
	}
	if !strings.Contains(b.String(), "... and 4 more") {
		t.Errorf("got %q, want the lines left out counted", b.String())
	}
	for _, line := range l.lines(time.Now(), 30) {
		if w := utf8.RuneCountInString(line) + strings.Count(line, "日") + strings.Count(line, "本"); w > 29 {
			t.Errorf("%q is %d columns wide, want at most 29", line, w)
		}
	}
	b.Reset()
	l.draw(time.Now(), true)
	if got := strings.Count(b.String(), "\n"); got != 6 {
		t.Errorf("the last frame has %d lines, want all 6", got)
	}
}

func TestLiveTakesEventsFromManyAndStopsForGood(t *testing.T) {
	var b bytes.Buffer
	l := newLive(&b, func() (int, int) { return 80, 24 })
	var wg sync.WaitGroup
	for _, name := range []string{"web-1", "web-2", ""} {
		wg.Go(func() {
			for range 100 {
				l.event(progress.Event{Subject: name, Stage: "boot"})
			}
			l.event(progress.Event{Subject: name, Stage: providers.StageReady})
		})
	}
	wg.Wait()
	l.stop()
	l.stop()
	size := b.Len()
	l.event(progress.Event{Subject: "web-1", Stage: "late"})
	if b.Len() != size || strings.Count(b.String(), "web-1  ready") == 0 {
		t.Errorf("got %q, want web-1 ready and nothing behind it", b.String())
	}
	l.note("said at the end")
	if !strings.HasSuffix(b.String(), "evenkeel: said at the end\x1b[K\n\x1b[J") {
		t.Errorf("got %q, want the note at the end", b.String())
	}
}

func TestFinishedStagesStandStill(t *testing.T) {
	at := time.Now()
	r := &row{}
	r.take(progress.Event{Stage: "fetch", Done: 1, Total: 2}, at)
	if got := r.span(at.Add(3 * time.Second)); got != 3*time.Second {
		t.Errorf("got %s, want 3s", got)
	}
	r.take(progress.Event{Stage: "fetch", Done: 2, Total: 2}, at.Add(4*time.Second))
	if got := r.span(at.Add(9 * time.Second)); got != 4*time.Second {
		t.Errorf("got %s, want 4s", got)
	}
}

func TestFiguresForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 512 << 20: "512 MiB", 3 << 29: "1.5 GiB", 5 << 50: "5120 TiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{250 * time.Millisecond: "0.2s", 42 * time.Second: "42s", 61 * time.Second: "1m1s"} {
		if got := took(d); got != want {
			t.Errorf("took(%s) = %s, want %s", d, got, want)
		}
	}
	for text, want := range map[string]time.Duration{"30d": 720 * time.Hour, "12h": 12 * time.Hour, "0d": 0} {
		if got, err := span(text); got != want || err != nil {
			t.Errorf("span(%s) = %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "soon", "-1d", "-5s", "1.5d"} {
		if got, err := span(text); err == nil {
			t.Errorf("span(%q) = %s, want an error", text, got)
		}
	}
}

func TestFlattenKeepsWhatWasJoinedOnly(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	got := flatten(errors.Join(a, errors.Join(b, a)))
	if len(got) != 2 || got[0].Error() != "a" || got[1].Error() != "b" {
		t.Errorf("got %v, want a and b, each once", got)
	}
}

func TestSeveralPublishedPortsSayWhichTheyAre(t *testing.T) {
	m := providers.Machine{Ports: []providers.Port{{Port: 80, Proto: "tcp", HostPort: 40080}}}
	if got, want := published(m), "http://127.0.0.1:40080"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	m.Ports = append(m.Ports, providers.Port{Port: 22, Proto: "tcp"}, providers.Port{Port: 5432, Proto: "tcp", HostPort: 45432})
	if got, want := published(m), "80 at http://127.0.0.1:40080, 5432 at tcp://127.0.0.1:45432"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnInterruptedReplacementDoesNotClaimTheOldMachineIsThere(t *testing.T) {
	if got := ended(placeOptions{undoes: true, replaces: true}); strings.Contains(got, "as it was") || !strings.Contains(got, "evenkeel up") {
		t.Errorf("got %q", got)
	}
}
