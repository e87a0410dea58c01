// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
)

// journals is a core over web-1 and web-2, whose journalctl prints what write writes.
func journals(t *testing.T, write func(ctx context.Context, machine int, s *sshtest.Session)) (*providers.Core, *answering) {
	t.Helper()
	machine := 0
	c, p := answer(t, nil)
	c.Plan = plan(web("1"), web("2"))
	for _, name := range []string{"web-1", "web-2"} {
		machine++
		n := machine
		p.exec = func(ctx context.Context, s *sshtest.Session) int {
			if !strings.Contains(s.Command, "journalctl") {
				return 0
			}
			write(ctx, n, s)
			return 0
		}
		p.putAs(c, name, nil, 0)
	}
	return c, p
}

func line(w io.Writer, second int, message string) {
	_, _ = fmt.Fprintf(w, `{"__REALTIME_TIMESTAMP":"%d000000","MESSAGE":%q,"SYSLOG_IDENTIFIER":"x","_PID":"7"}`+"\n", second, message) // the client may be gone
}

// logs collects what Logs hands on, until enough is true of it or it ends.
func logs(t *testing.T, c *providers.Core, o providers.LogOptions, enough func(text string) bool) (text string, failures []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := c.Logs(ctx, nil, o, func(r providers.LogRecord) error {
		text += fmt.Sprintf("%s:%d:%s ", r.Machine, r.Time.Unix()%1000, r.Message)
		if enough != nil && enough(text) {
			cancel()
		}
		return nil
	}, func(f providers.LogFailure) { failures = append(failures, f.Machine+": "+f.Err.Error()) })
	if err != nil && enough == nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text), failures
}

func TestJournalsAreMergedByTime(t *testing.T) {
	c, _ := journals(t, func(_ context.Context, machine int, s *sshtest.Session) {
		for i := range 100 {
			if machine == 2 && i == 50 {
				time.Sleep(200 * time.Millisecond) // a slow one
			}
			line(s.Stdout, 2*i+machine, "m")
		}
	})
	text, failures := logs(t, c, providers.LogOptions{Lines: -1}, nil)
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprintf("web-1:%d:m web-2:%d:m", 2*i+1, 2*i+2))
	}
	if text != strings.Join(want, " ") || len(failures) > 0 {
		t.Errorf("got %.300s..., failures %v", text, failures)
	}
}

func TestFollowedJournalsKeepTheirOrderWithinAWindow(t *testing.T) {
	sent := make(chan struct{})
	c, _ := journals(t, func(ctx context.Context, machine int, s *sshtest.Session) {
		if machine == 1 {
			line(s.Stdout, 10, "b")
			close(sent)
		} else {
			<-sent
			line(s.Stdout, 9, "a")
		}
		<-ctx.Done()
	})
	text, _ := logs(t, c, providers.LogOptions{Follow: true}, func(text string) bool { return strings.Contains(text, ":b") })
	if want := "web-2:9:a web-1:10:b"; text != want {
		t.Errorf("got %s, want %s", text, want)
	}
}

func TestAFollowedMachineThatIsLostIsReadOnFromWhereItWas(t *testing.T) {
	var asked atomic.Int32
	c, _ := journals(t, func(ctx context.Context, machine int, s *sshtest.Session) {
		switch {
		case machine == 2:
			<-ctx.Done()
		case asked.Add(1) == 1:
			_, _ = io.WriteString(s.Stdout, `{"__REALTIME_TIMESTAMP":"1000000","MESSAGE":"before","__CURSOR":"c;1"}`+"\n")
			s.ExitSignal = "TERM" // as when it shuts down
		default:
			if !strings.Contains(s.Command, "--after-cursor='c;1'") {
				t.Errorf("asked %s, want it from the cursor on", s.Command)
			}
			line(s.Stdout, 2, "after")
			<-ctx.Done()
		}
	})
	text, failures := logs(t, c, providers.LogOptions{Follow: true, Lines: 10}, func(text string) bool { return strings.Contains(text, "after") })
	if text != "web-1:1:before web-1:2:after" || len(failures) != 1 || !strings.Contains(failures[0], "it is read on when it answers again") {
		t.Errorf("got %s, failures %v", text, failures)
	}
}

// Silence would be taken for a quiet machine.
func TestEveryLossOfAFollowedMachineIsTold(t *testing.T) {
	var asked atomic.Int32
	c, _ := journals(t, func(ctx context.Context, machine int, s *sshtest.Session) {
		if n := asked.Load(); machine == 2 || n == 3 {
			if machine == 1 {
				line(s.Stdout, 9, "last")
			}
			<-ctx.Done()
			return
		}
		line(s.Stdout, int(asked.Add(1)), "m")
		s.ExitSignal = "TERM"
	})
	text, failures := logs(t, c, providers.LogOptions{Follow: true, Lines: 10}, func(text string) bool { return strings.Contains(text, "last") })
	if len(failures) != 3 {
		t.Errorf("got %s, failures %v, want three", text, failures)
	}
}

// One that stays away is asked for again and again, and told of once.
func TestALossIsToldOnceUntilTheMachineIsBack(t *testing.T) {
	var c *providers.Core
	var p *answering
	c, p = journals(t, func(ctx context.Context, machine int, s *sshtest.Session) {
		if machine == 1 {
			p.mu.Lock()
			p.machines[0].State = providers.Stopped
			p.mu.Unlock()
			s.ExitSignal = "TERM"
			return
		}
		select {
		case <-time.After(5 * time.Second): // it is asked for every two
		case <-ctx.Done():
			return
		}
		line(s.Stdout, 9, "last")
		<-ctx.Done()
	})
	text, failures := logs(t, c, providers.LogOptions{Follow: true, Lines: 10}, func(text string) bool { return strings.Contains(text, "last") })
	if len(failures) != 1 {
		t.Errorf("got %s, failures %v, want one", text, failures)
	}
}

func TestAMachineThatCannotBeReadHoldsUpNoOther(t *testing.T) {
	c, p := journals(t, func(_ context.Context, _ int, s *sshtest.Session) { line(s.Stdout, 1, "here") })
	p.machines[1].State = providers.Stopped
	text, failures := logs(t, c, providers.LogOptions{}, nil)
	if text != "web-1:1:here" || len(failures) != 1 || !strings.Contains(failures[0], "web-2: cannot reach machine web-2: it is stopped") {
		t.Errorf("got %q, failures %v", text, failures)
	}
}

func TestALineThatIsNoRecordOrTooLongIsSaidToBe(t *testing.T) {
	c, _ := journals(t, func(_ context.Context, machine int, s *sshtest.Session) {
		if machine == 2 {
			return
		}
		_, _ = io.WriteString(s.Stdout, strings.Repeat("x", 1<<20)+"\nno json\n")
		line(s.Stdout, 5, "after")
	})
	text, failures := logs(t, c, providers.LogOptions{}, nil)
	if !strings.Contains(text, "a record of more than 256 KiB was left out") || !strings.Contains(text, "a line of the journal was left out") ||
		!strings.Contains(text, "web-1:5:after") || len(text) > 500 || len(failures) > 0 {
		t.Errorf("got %.600s, failures %v", text, failures)
	}
}

func TestAnErrorOfWhoReadsEndsTheLogs(t *testing.T) {
	c, _ := journals(t, func(ctx context.Context, _ int, s *sshtest.Session) {
		for ctx.Err() == nil {
			line(s.Stdout, 1, strings.Repeat("flood", 1000))
		}
	})
	want := errors.New("no more")
	err := c.Logs(t.Context(), nil, providers.LogOptions{Follow: true}, func(providers.LogRecord) error { return want }, func(providers.LogFailure) {})
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func FuzzLogRecord(f *testing.F) {
	for _, s := range []string{
		`{"__REALTIME_TIMESTAMP":"1","MESSAGE":"m","PRIORITY":"3","_PID":"1"}`,
		`{"__REALTIME_TIMESTAMP":"1","MESSAGE":[104,105,255]}`,
		`{"__REALTIME_TIMESTAMP":"1","MESSAGE":["a","b"]}`,
		`{"__REALTIME_TIMESTAMP":"1","MESSAGE":[[104],[105]]}`,
		`{"__REALTIME_TIMESTAMP":"1","MESSAGE":null}`,
		`{"__REALTIME_TIMESTAMP":"-1"}`, `[]`, `{`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := providers.ParseLogRecord(line)
		if err == nil && (r.Time.Before(time.Unix(0, 0)) || r.Priority < 0 || r.Priority > 7) {
			t.Errorf("got %+v", r)
		}
	})
}
