// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/evenkeel/evenkeel/parity"
)

// writeReport writes the report where it was asked for, and signs it.
func (c *call) writeReport(ctx context.Context, r *parity.Report, o auditOptions, s *auditSubject, e *evidence) error {
	w := parity.WriteOptions{}
	if s.def != nil {
		w.Definition = filepath.Base(s.def.File)
	}
	if o.out == "" {
		format := "text"
		if c.json() {
			format = "json"
		}
		if len(o.formats) == 1 {
			format = o.formats[0]
		}
		return c.printReport(c.Stdout, r, format, w)
	}
	files, err := renderAll(r, o.formats, w)
	if err != nil {
		return err
	}
	if o.key != nil {
		signed, err := parity.Sign(ctx, o.key, r, e.digests, s.waiversText())
		if err != nil {
			return err
		}
		files = append(files, reportFile{envelopeName, signed})
	}
	if err := saveReports(o.out, files, e.snapshots); err != nil {
		return err
	}
	if c.json() {
		return c.printReport(c.Stdout, r, "json", w)
	}
	w.Link = c.shown(filepath.Join(o.out, files[0].name))
	for _, f := range files {
		if strings.HasSuffix(f.name, ".html") {
			w.Link = c.shown(filepath.Join(o.out, f.name))
		}
	}
	return c.printReport(c.Stdout, r, "text", w)
}

// printReport writes a report to a stream, fitted to it where it is a terminal.
func (c *call) printReport(to io.Writer, r *parity.Report, format string, w parity.WriteOptions) error {
	if f, ok := terminal(to); ok && format == "text" {
		w.Rows = terminalRows
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			w.Width = width
		}
	}
	w.Color, w.ASCII = c.color(to), c.asciiOnly()
	return parity.Write(to, r, format, w)
}

// terminalRows is how many rows a person reads at one go; --out has all of them.
const terminalRows = 200

// asciiOnly: the locale is not one of UTF-8.
func (a *App) asciiOnly() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := a.getenv(name); v != "" {
			v = strings.ToLower(v)
			return !strings.Contains(v, "utf-8") && !strings.Contains(v, "utf8")
		}
	}
	return true
}

// The names of what --out holds beside the reports.
const (
	reportName    = parity.ReportSubject
	envelopeName  = "audit.intoto.json"
	snapshotsName = "snapshots.jsonl"
)

// reportFile is one file of --out.
type reportFile struct {
	name string
	data []byte
}

// renderAll writes a report in several forms.
func renderAll(r *parity.Report, formats []string, w parity.WriteOptions) ([]reportFile, error) {
	var files []reportFile
	for _, f := range parity.Formats() {
		if !slices.Contains(formats, f.Name) {
			continue
		}
		var b bytes.Buffer
		if err := parity.Write(&b, r, f.Name, w); err != nil {
			return nil, err
		}
		files = append(files, reportFile{f.File, b.Bytes()})
	}
	return files, nil
}

// saveReports replaces the files of a folder, each in one step, and none before all may be written.
func saveReports(dir string, files []reportFile, snapshots *os.File) error {
	for _, f := range files {
		if err := mayWrite(filepath.Join(dir, f.name)); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := writeReplacing(filepath.Join(dir, f.name), f.data, 0o644); err != nil {
			return fmt.Errorf("cannot write the report: %w", err)
		}
	}
	if snapshots == nil {
		return nil
	}
	if err := errors.Join(snapshots.Sync(), os.Rename(snapshots.Name(), filepath.Join(dir, snapshotsName))); err != nil {
		return fmt.Errorf("cannot write snapshots: %w", err)
	}
	return nil
}

// marks are in every file that we write into --out, whatever its form.
func marks() []string {
	return []string{"Facts are what the machines report of themselves", `{"format":`, `"payloadType"`}
}

// maxForeign bounds what is read of a file to see whose it is; a report says it within that.
const maxForeign = 64 << 20

// mayWrite refuses to replace what is not ours: a folder, a link, a file that does not look like one of ours.
func mayWrite(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot write the report: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("cannot write the report: %s is there and no regular file", path)
	case info.Size() == 0:
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	defer func() { _ = f.Close() }()
	ours, err := bearsMark(io.LimitReader(f, maxForeign))
	if err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	if !ours {
		e := usagef("cannot write the report: %s is there and is no report of ours", path)
		e.hint = "choose another folder, or remove it"
		return e
	}
	return nil
}

// bearsMark reports whether one of marks is in a text, by the piece: a report of 10,000 machines has 50 MB.
func bearsMark(r io.Reader) (bool, error) {
	const longest = 64 // of marks
	piece, text := make([]byte, 64<<10), []byte(nil)
	for {
		n, err := r.Read(piece)
		for _, b := range piece[:n] {
			if b == '\n' || b == '\t' || b == '\r' {
				b = ' '
			}
			if b != ' ' || !bytes.HasSuffix(text, []byte{' '}) { // lines are wrapped in some forms
				text = append(text, b)
			}
		}
		if slices.ContainsFunc(marks(), func(mark string) bool { return bytes.Contains(text, []byte(mark)) }) {
			return true, nil
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		text = append(text[:0], text[max(0, len(text)-longest):]...)
	}
}

// writeReplacing replaces a file in one step, or leaves it as it was.
func writeReplacing(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone by now where it was renamed
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// sweepReports removes what audits that were killed left half-written in a folder of reports.
func sweepReports(dir string, now time.Time) {
	names := []string{snapshotsName, envelopeName}
	for _, f := range parity.Formats() {
		names = append(names, f.File)
	}
	for _, name := range names {
		left, err := filepath.Glob(filepath.Join(dir, "."+name+".*"))
		if err != nil {
			return // the folder's name is a pattern: then they stay
		}
		for _, path := range left {
			// One that still runs writes to its own.
			if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && now.Sub(info.ModTime()) > 24*time.Hour {
				_ = os.Remove(path) // the next audit meets it again
			}
		}
	}
}
