// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/evenkeel/evenkeel/providers"
)

// What is kept of one machine at most.
const (
	maxConsole = 1 << 20
	maxJournal = 64 << 20
)

// WriteArtifacts writes, below dir, what each machine that is there has said: NAME/console.txt and NAME/journal.txt, without the secrets that s knows, safe
// for a terminal, 0600. A machine that cannot be read has a journal that says why. What fails hides nothing else.
func (s *Session) WriteArtifacts(ctx context.Context, dir string) error {
	machines, err := s.Provider.ListMachines(ctx, s.Plan.Env)
	if err != nil {
		return err
	}
	h := newHidden(s.Secrets)
	var errs []error
	console, consoles := providers.As[providers.Consoler](s.Provider)
	for _, m := range machines {
		if err := os.MkdirAll(filepath.Join(dir, m.Name), 0o700); err != nil {
			return fmt.Errorf("cannot make the folder of machine %s: %w", m.Name, err)
		}
		if !consoles {
			continue
		}
		text, err := console.Console(ctx, m.ID, maxConsole)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, m.Name, "console.txt"), []byte(providers.Printable(string(h.in(text)))), 0o600)
		}
		errs = append(errs, err)
	}
	if len(machines) > 0 {
		errs = append(errs, s.writeJournals(ctx, dir, h))
	}
	return errors.Join(errs...)
}

// journal is one machine's file while it is written.
type journal struct {
	file *os.File
	out  *bufio.Writer
	room int
}

func (s *Session) writeJournals(ctx context.Context, dir string, h hidden) (err error) {
	open := map[string]*journal{}
	defer func() {
		for _, j := range open {
			err = errors.Join(err, j.out.Flush(), j.file.Close())
		}
	}()
	at := func(machine string) (*journal, error) {
		if j := open[machine]; j != nil {
			return j, nil
		}
		folder := filepath.Join(dir, machine)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, fmt.Errorf("cannot make the folder of machine %s: %w", machine, err)
		}
		f, err := os.OpenFile(filepath.Join(folder, "journal.txt"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, fmt.Errorf("cannot write the journal of machine %s: %w", machine, err)
		}
		open[machine] = &journal{f, bufio.NewWriter(f), maxJournal}
		return open[machine], nil
	}
	for _, m := range s.Plan.Machines { // an empty journal is a file too
		if _, err := at(m.Name); err != nil {
			return err
		}
	}
	write := func(machine, text string) error {
		j, err := at(machine)
		if err != nil || j.room <= 0 {
			return err
		}
		text = string(h.in([]byte(text)))
		if j.room -= len(text); j.room <= 0 {
			text = "... the rest is left out\n"
		}
		_, err = io.WriteString(j.out, text)
		return err
	}
	var lost error
	err = s.Logs(ctx, nil, providers.LogOptions{Lines: -1}, func(r providers.LogRecord) error {
		from := r.Name
		if r.PID != "" {
			from += "[" + r.PID + "]"
		}
		var b strings.Builder
		for line := range strings.SplitSeq(strings.TrimRight(string(h.in([]byte(r.Message))), "\n"), "\n") {
			fmt.Fprintf(&b, "%s %s: %s\n", r.Time.UTC().Format("2006-01-02T15:04:05.000Z"), oneLine(from), oneLine(line))
		}
		return write(r.Machine, b.String())
	}, func(f providers.LogFailure) {
		lost = errors.Join(lost, write(f.Machine, "this journal could not be read: "+oneLine(f.Err.Error())+"\n"))
	})
	return errors.Join(err, lost)
}

func oneLine(text string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(providers.Printable(text))
}

// Hide is text without the secrets that s knows.
func (s *Session) Hide(text []byte) []byte { return newHidden(s.Secrets).in(text) }
