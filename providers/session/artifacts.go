// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
// for a terminal, 0600. A machine that cannot be read has a journal that says why. What fails hides nothing else. Links in dir lead nowhere else: what was called so before
// is replaced.
func (s *Session) WriteArtifacts(ctx context.Context, dir string) error {
	machines, err := s.Provider.ListMachines(ctx, s.Plan.Env)
	if err != nil {
		return err
	}
	folder, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("cannot open the folder for artifacts: %w", err)
	}
	defer folder.Close()
	mask := providers.NewMask(s.Secrets)
	var errs []error
	console, consoles := providers.As[providers.Consoler](s.Provider)
	for _, m := range machines {
		if !consoles {
			break
		}
		text, err := console.Console(ctx, m.ID, maxConsole)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		f, err := artifact(folder, m.Name, "console.txt")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		_, err = f.WriteString(providers.Printable(string(mask.Of(text))))
		errs = append(errs, err, f.Close())
	}
	if len(machines) > 0 {
		errs = append(errs, s.writeJournals(ctx, folder, mask))
	}
	return errors.Join(errs...)
}

// artifact makes a machine's file anew. The machine's name may be a label that somebody else wrote: it names a folder in this one or nothing.
func artifact(folder *os.Root, machine, name string) (*os.File, error) {
	failed := func(err error) (*os.File, error) {
		return nil, fmt.Errorf("cannot write %s of machine %s: %w", name, oneLine(machine), err)
	}
	if machine != filepath.Base(machine) || !filepath.IsLocal(machine) {
		return failed(errors.New("that is no name of one"))
	}
	if err := folder.Mkdir(machine, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return failed(err)
	}
	path := filepath.Join(machine, name)
	if err := folder.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed(err)
	}
	f, err := folder.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return failed(err)
	}
	return f, nil
}

// journal is one machine's file while it is written; nil where it cannot be.
type journal struct {
	file *os.File
	out  *bufio.Writer
	room int
}

func (s *Session) writeJournals(ctx context.Context, folder *os.Root, mask providers.Mask) error {
	var errs []error
	open := map[string]*journal{}
	at := func(machine string) *journal {
		j, met := open[machine]
		if !met {
			f, err := artifact(folder, machine, "journal.txt")
			if err != nil {
				errs = append(errs, err)
			} else {
				j = &journal{f, bufio.NewWriter(f), maxJournal}
			}
			open[machine] = j
		}
		return j
	}
	for _, m := range s.Plan.Machines { // an empty journal is a file too
		at(m.Name)
	}
	write := func(machine, text string) error {
		j := at(machine)
		if j == nil || j.room <= 0 {
			return nil
		}
		text = mask.Text(text)
		if j.room -= len(text); j.room <= 0 {
			text = "... the rest is left out\n"
		}
		_, err := io.WriteString(j.out, text)
		return err
	}
	err := s.Logs(ctx, nil, providers.LogOptions{Lines: -1}, func(r providers.LogRecord) error {
		from := r.Name
		if r.PID != "" {
			from += "[" + r.PID + "]"
		}
		var b strings.Builder
		for line := range strings.SplitSeq(strings.TrimRight(mask.Text(r.Message), "\n"), "\n") {
			fmt.Fprintf(&b, "%s %s: %s\n", r.Time.UTC().Format("2006-01-02T15:04:05.000Z"), oneLine(from), oneLine(line))
		}
		return write(r.Machine, b.String())
	}, func(f providers.LogFailure) {
		errs = append(errs, write(f.Machine, "this journal could not be read: "+oneLine(f.Err.Error())+"\n"))
	})
	errs = append(errs, err)
	for _, j := range open {
		if j != nil {
			errs = append(errs, j.out.Flush(), j.file.Close())
		}
	}
	return errors.Join(errs...)
}

func oneLine(text string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(providers.Printable(text))
}
