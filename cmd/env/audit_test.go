// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/evenkeel/evenkeel/parity"
)

func TestAuditsCommandLineIsCheckedBeforeAnythingIsRead(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"audit web-1", `audit takes no argument, got "web-1" besides`},
		{"audit --as two", "there is no option --as here"},
		{"audit --format pdf", `--format: got "pdf"; allowed are text, json, html, md, junit, sarif, prometheus`},
		{"audit --format html,json", "--format: got html, json for one output; several need --out DIR"},
		{"audit --format html --json", "--json and --format html exclude each other"},
		{"audit --fail-on worse", `--fail-on: got "worse"; allowed are skew, drift, stale, inventory, security, packages, config, info`},
		{"audit --since 2026-13-01", `--since: got "2026-13-01"; allowed is a day such as 2026-11-01, or a span such as 30d`},
		{"audit --since 0d", `--since: got "0d"`},
		{"audit --since 1d --against x", "it excludes --from, --against and --baseline"},
		{"audit --since 1d --accept w --owner me --reason r --until 1d", "it excludes --accept"},
		{"audit --baseline a --against x", "--against and --baseline exclude each other"},
		{"audit --snapshots", "--snapshots means nothing without --out"},
		{"audit --sign key", "--sign signs audit.json: say where it is written with --out"},
		{"audit --sign nowhere --out o", "cannot use the signing key"},
		{"audit --owner me", "--owner means nothing without --accept"},
		{"audit --accept w --owner me --until 1d", "--reason is missing"},
		{"audit --accept w --owner me --reason r --until never", `--until: got "never"`},
		{"audit --section nothing", `--section: got "nothing"; there are `},
		{"audit", "cannot find env.yaml in "},
		{"audit verify", "audit verify needs a folder of reports, or a signed envelope"},
		{"audit verify out", "audit verify needs --key FILE"},
		{"audit verify out --tier ci", "there is no option --tier here"},
		{"audit verify a b --key k", "audit verify takes 1 argument"},
		{"compare a", "compare takes two things"},
		{"compare a b c", `compare takes 2 arguments, got "c" besides`},
		{"compare a b --format pdf", `--format: got "pdf"`},
		{"compare a b", `there is no tier, machine, image or file of snapshots "a"`},
		{"rebuild --dry-run", "--dry-run means nothing without --stale"},
		{"rebuild --stale", "cannot find env.yaml in "},
	} {
		stdout, stderr, status := run(t, strings.Fields(tt.line)...)
		if status != 1 || stdout != "" || !strings.Contains(stderr, tt.want) {
			t.Errorf("evenkeel %s: got status %d, stdout %q, stderr\n%swant status 1 and %q", tt.line, status, stdout, stderr, tt.want)
		}
	}
	for line, want := range map[string]string{
		"help audit": "usage: evenkeel audit [OPTIONS]", "help audit verify": "usage: evenkeel audit verify [OPTIONS] DIR|FILE", "audit verify --help": "usage: evenkeel audit verify",
		"compare --help": "usage: evenkeel compare [OPTIONS] A B",
	} {
		if stdout, stderr, status := run(t, strings.Fields(line)...); status != 0 || !strings.Contains(stdout, want) {
			t.Errorf("evenkeel %s: got status %d, %q, %q; want %q", line, status, stdout, stderr, want)
		}
	}
}

func TestADayBeginsBackwardsAndEndsForwards(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		text string
		way  int
		want string
	}{
		{"2026-11-01", -1, "2026-11-01T00:00:00Z"}, {"2026-11-30", 1, "2026-11-30T23:59:59Z"}, {"2026-11-01T08:00:00Z", -1, "2026-11-01T08:00:00Z"},
		{"30d", -1, "2026-10-22T12:00:00Z"}, {"90d", 1, "2027-02-19T12:00:00Z"}, {"36h", -1, "2026-11-20T00:00:00Z"},
	} {
		if got, err := dateOrSpan(tt.text, now, tt.way); err != nil || got.Format(time.RFC3339) != tt.want {
			t.Errorf("%s, %d: got %v, %v, want %s", tt.text, tt.way, got, err, tt.want)
		}
	}
	for _, text := range []string{"", "-1d", "2026-02-30", "tomorrow", "99999d"} {
		if got, err := dateOrSpan(text, now, 1); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestReportsReplaceReportsAndNothingElse(t *testing.T) {
	r := &parity.Report{Format: 1, At: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Tool: "test"}
	files, err := renderAll(r, formatNames(), parity.WriteOptions{Width: 40})
	if err != nil || len(files) != len(parity.Formats()) {
		t.Fatalf("%d files, %v", len(files), err)
	}
	dir := t.TempDir()
	for range 2 { // over their own
		if err := saveReports(dir, files, nil); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, make := range map[string]func(path string) error{
		"somebody's file": func(path string) error { return os.WriteFile(path, []byte("notes of an audit"), 0o600) },
		"a folder":        func(path string) error { return os.Mkdir(path, 0o700) },
		"a link":          func(path string) error { return os.Symlink(at("audit.txt"), path) },
	} {
		path := at("audit.html")
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(at("audit.txt")); err != nil {
			t.Fatal(err)
		}
		if err := saveReports(dir, files, nil); err == nil {
			t.Errorf("%s was replaced", name)
		}
		if _, err := os.Lstat(at("audit.txt")); err == nil {
			t.Errorf("%s: another report was written before", name)
		}
	}
	left, err := filepath.Glob(at(".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %q, %v", left, err)
	}
}

func TestEveryFormBearsTheMarkOfAReport(t *testing.T) {
	for _, width := range []int{40, 72, 200} {
		files, err := renderAll(&parity.Report{Format: 1, At: time.Now()}, formatNames(), parity.WriteOptions{Width: width})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			path := filepath.Join(t.TempDir(), f.name)
			if err := os.WriteFile(path, f.data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := mayWrite(path); err != nil {
				t.Errorf("%s at %d columns: %v\n%s", f.name, width, err, bytes.TrimSpace(f.data))
			}
		}
	}
}

func TestAMarkIsFoundWhereverItStands(t *testing.T) {
	for _, mark := range marks() {
		for _, before := range []int{0, 1<<16 - 20, 1<<16 - 1, 1 << 16, 200_000} {
			text := strings.Repeat("x", before) + strings.ReplaceAll(mark, " ", " \n\t ") + strings.Repeat("y", 100_000)
			for _, r := range []io.Reader{strings.NewReader(text), iotest.HalfReader(strings.NewReader(text))} {
				if ours, err := bearsMark(r); err != nil || !ours {
					t.Errorf("%q behind %d bytes: got %v, %v", mark, before, ours, err)
				}
			}
		}
	}
	if ours, err := bearsMark(strings.NewReader(strings.Repeat("notes of an audit ", 10_000))); err != nil || ours {
		t.Errorf("somebody's notes: got %v, %v", ours, err)
	}
}

func TestHalfWrittenReportsOfKilledAuditsGo(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for name, age := range map[string]time.Duration{
		".snapshots.jsonl.123": 25 * time.Hour, ".audit.html.9": 48 * time.Hour, ".audit.html.8": time.Hour, ".other": 48 * time.Hour, "audit.html": 48 * time.Hour,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	sweepReports(dir, now)
	var left []string
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if got := strings.Join(left, " "); err != nil || got != ".audit.html.8 .other audit.html" {
		t.Errorf("left are %q, %v", got, err)
	}
}
