// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/session"
)

// tailLines is how much of a console and of a journal a failed test shows.
const tailLines = 40

// explain is a failure in full: each one that was joined, what to do about it, and what the machine's console said last.
func explain(err error) string {
	var b strings.Builder
	var walk func(error)
	walk = func(e error) {
		if joined, ok := e.(interface{ Unwrap() []error }); ok {
			for _, one := range joined.Unwrap() {
				walk(one)
			}
			return
		}
		fmt.Fprintf(&b, "%s\n", strings.TrimSpace(providers.Printable(e.Error())))
		hint := ""
		if s, ok := errors.AsType[*providers.StageError](e); ok {
			hint = s.Hint
			if text := strings.TrimSpace(providers.Printable(s.Console)); text != "" {
				fmt.Fprintf(&b, "  the last lines of %s's console:\n%s", s.Machine, indented(text))
			}
		}
		if p, ok := errors.AsType[*providers.Error](e); ok && hint == "" {
			hint = p.Hint
		}
		if hint != "" {
			fmt.Fprintf(&b, "  hint: %s\n", strings.TrimSpace(providers.Printable(hint)))
		}
	}
	walk(err)
	return strings.TrimSpace(b.String())
}

// indented are the last lines of a text.
func indented(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return "  | " + strings.Join(lines, "\n  | ") + "\n"
}

// lastWords shows what each machine said last where the test failed, and writes the artifacts.
func (p *place) lastWords(ctx context.Context, t testing.TB, s *session.Session, failed bool) {
	t.Helper()
	if p.artifacts != "" {
		if err := p.keepArtifacts(ctx, s); err != nil {
			t.Errorf("envtest: cannot keep artifacts: %s", explain(err))
		}
	}
	if !failed {
		return
	}
	machines, err := s.Provider.ListMachines(ctx, s.Plan.Env)
	if err != nil {
		t.Logf("envtest: what the machines said last cannot be read: %s", explain(err))
		return
	}
	console, consoles := providers.As[providers.Consoler](s.Provider)
	for _, m := range machines {
		if consoles {
			if text, err := console.Console(ctx, m.ID, 16<<10); err == nil && len(text) > 0 {
				t.Logf("envtest: the last lines of %s's console:\n%s", m.Name, indented(providers.Printable(string(s.Hide(text)))))
			}
		}
		switch text, err := p.journal(ctx, s, m.Role(), tailLines); {
		case err != nil:
			t.Logf("envtest: the journal of %s: %s", m.Name, explain(err))
		case text != "":
			t.Logf("envtest: the last lines of %s's journal:\n%s", m.Name, indented(text))
		}
	}
}

// journal is the end of one machine's journal.
func (p *place) journal(ctx context.Context, s *session.Session, name string, records int) (string, error) {
	var b strings.Builder
	var lost error
	err := s.Logs(ctx, []string{name}, providers.LogOptions{Lines: records}, func(r providers.LogRecord) error {
		for line := range strings.SplitSeq(strings.TrimRight(string(s.Hide([]byte(r.Message))), "\n"), "\n") {
			fmt.Fprintf(&b, "%s %s: %s\n", r.Time.Local().Format("15:04:05"), providers.Printable(r.Name), strings.ReplaceAll(providers.Printable(line), "\n", " "))
		}
		return nil
	}, func(f providers.LogFailure) { lost = f.Err })
	return b.String(), errors.Join(err, lost)
}

func (p *place) keepArtifacts(ctx context.Context, s *session.Session) error {
	dir := p.user.Path(p.artifacts)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var events, junit bytes.Buffer
	return errors.Join(
		s.WriteEvents(&events, &p.recorder), keepFile(dir, "events.jsonl", events.Bytes()),
		s.WriteJUnit(&junit, &p.recorder, p.why), keepFile(dir, "junit.xml", junit.Bytes()),
		s.WriteArtifacts(ctx, dir),
	)
}
