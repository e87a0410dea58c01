// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/store"
)

// historian is a project with a home of its own.
type historian struct {
	t         *testing.T
	dir, home string
	id        string
}

func newHistorian(t *testing.T) *historian {
	h := &historian{t: t, dir: t.TempDir(), home: t.TempDir()}
	if _, stderr, status := h.run("init"); status != 0 {
		t.Fatal(stderr)
	}
	def, _, err := envs.Load(filepath.Join(h.dir, "env.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	h.id = def.ID
	return h
}

func (h *historian) run(args ...string) (stdout, stderr string, status int) {
	var out, errs bytes.Buffer
	app := &App{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Args: args, Env: []string{"HOME=" + h.home}, Dir: h.dir}
	status = app.Run(context.Background())
	return out.String(), errs.String(), status
}

// keep keeps an audit of web machines: package nginx of each, "" where it has none.
func (h *historian) keep(project, tier string, at time.Time, versions ...string) *parity.Report {
	h.t.Helper()
	ctx := h.t.Context()
	s, err := store.Open(ctx, filepath.Join(h.home, ".local/state/evenkeel/parity"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	r, err := s.Begin(ctx, project, at)
	if err != nil {
		h.t.Fatal(err)
	}
	defer r.Discard()
	c, err := parity.NewComparison(parity.Policy{At: at, Project: project, Commit: "0123456789abcdef0123-dirty"})
	if err != nil {
		h.t.Fatal(err)
	}
	for i, version := range versions {
		p := parity.Section{Name: "packages", Lane: parity.Stable}
		if version != "" {
			p.Items = []parity.Item{{Key: "nginx:amd64", Value: version}}
		}
		if version == "odd" {
			p.Items = append(p.Items, parity.Item{Key: "z $(id)", Value: "1"}, parity.Item{Key: "z`id`", Value: "1"}, parity.Item{Key: "z~", Value: "1"})
		}
		text, err := json.Marshal(p.Items)
		if err != nil {
			h.t.Fatal(err)
		}
		sum := sha256.Sum256(text)
		p.Digest = hex.EncodeToString(sum[:])
		snapshot := &parity.Snapshot{Format: parity.SnapshotFormat, Taken: at, Sections: []parity.Section{p},
			Subject: parity.Subject{Project: project, Env: "shop." + tier, Tier: tier, Name: fmt.Sprintf("web-%d", i+1), Kind: "web"}}
		if version == "down" {
			snapshot.Sections, snapshot.Unreachable = nil, "no answer\x1b[31m"
		}
		if err := c.Add(snapshot); err != nil {
			h.t.Fatal(err)
		}
		if err := r.Add(ctx, snapshot); err != nil {
			h.t.Fatal(err)
		}
	}
	report, err := c.Report()
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := r.Finish(ctx, report); err != nil {
		h.t.Fatal(err)
	}
	return report
}

var firstAudit = time.Date(2026, 11, 1, 4, 0, 0, 0, time.UTC)

func filledHistorian(t *testing.T) *historian {
	h := newHistorian(t)
	day := func(n int) time.Time { return firstAudit.AddDate(0, 0, n) }
	h.keep(h.id, "ci", day(0), "1.0", "1.0", "1.0")
	h.keep("other", "ci", day(0), "9")
	h.keep(h.id, "production", day(1), "1.0")
	h.keep(h.id, "ci", day(2), "1.2", "1.2", "1.0")
	h.keep(h.id, "ci", day(3), "1.2", "", "down")
	return h
}

func TestHistoryOfAFactIsALineAChange(t *testing.T) {
	t.Parallel()
	h := filledHistorian(t)
	want := `packages/nginx:amd64, as audits saw it: each change came between the two times
SEEN               BEFORE THAT        TIER        MACHINES   VALUE
2026-11-01 04:00Z  -                  ci          web-[1-3]  1.0
2026-11-02 04:00Z  -                  production  web-1      1.0
2026-11-03 04:00Z  2026-11-01 04:00Z  ci          web-[1,2]  1.0 -> 1.2
2026-11-04 04:00Z  2026-11-03 04:00Z  ci          web-2      1.2 -> absent
2026-11-04 04:00Z  2026-11-03 04:00Z  ci          web-3      1.0 -> unreachable (no answer\x1b[31m)
`
	if got, stderr, status := h.run("history", "packages/nginx:amd64"); got != want || stderr != "" || status != 0 {
		t.Errorf("status %d, stderr %q, got\n%s\nwant\n%s", status, stderr, got, want)
	}
	for _, tt := range []struct{ args, want, not string }{
		{"--since 2026-11-03 --tier ci", "1.0 -> 1.2", "production"},
		{"--tier production", "2026-11-02", "1.2"},
		{"--since 2026-11-20", "packages/nginx:amd64: no audit saw it change since 2026-11-20 00:00Z", "SEEN"},
		{"--tier nowhere", "packages/nginx:amd64: no audit saw it change\n", "SEEN"},
	} {
		got, stderr, status := h.run(append([]string{"history", "packages/nginx:amd64"}, strings.Fields(tt.args)...)...)
		if !strings.Contains(got, tt.want) || strings.Contains(got, tt.not) || stderr != "" || status != 0 {
			t.Errorf("%s: status %d, stderr %q, got\n%s\nwant %q in it and not %q", tt.args, status, stderr, got, tt.want, tt.not)
		}
	}
	var list changeList
	got, _, _ := h.run("history", "packages/nginx:amd64", "--json", "--since", "2026-11-04")
	if err := json.Unmarshal([]byte(got), &list); err != nil || list.Project != h.id || len(list.Changes) != 2 || list.Changes[0].State != store.Absent || list.Changes[0].Was != "1.2" {
		t.Errorf("%v: got %s", err, got)
	}
	if got, _, _ := h.run("history", "packages/nginx:amd64", "--json", "--since", "2026-11-20"); !strings.Contains(got, `"changes": []`) {
		t.Errorf("got %s, want an empty list", got)
	}
}

func TestHistoryOfWhatIsNoFactNamesThoseThatMayBeMeant(t *testing.T) {
	t.Parallel()
	h := filledHistorian(t)
	h.keep(h.id, "ci", firstAudit.AddDate(0, 0, 4), "1.2")
	for word, want := range map[string]string{
		"nginx":                 "no audit of evenkeel-project that is kept has the fact nginx\n  hint: did you mean packages/nginx:amd64?",
		"packages/nginx:amd46":  "did you mean packages/nginx:amd64?",
		"PACKAGES":              "did you mean packages/nginx:amd64?",
		"something/quite/other": "a fact is named SECTION/KEY; there are packages",
	} {
		want = strings.Replace(want, "evenkeel-project", projectName(t, h), 1)
		if stdout, stderr, status := h.run("history", word); status != 1 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, stdout %q, stderr %q, want %q", word, status, stdout, stderr, want)
		}
	}
}

func projectName(t *testing.T, h *historian) string {
	t.Helper()
	def, _, err := envs.Load(filepath.Join(h.dir, "env.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return def.Name
}

func TestHistoryListsAuditsOfThisProject(t *testing.T) {
	t.Parallel()
	h := filledHistorian(t)
	got, stderr, status := h.run("history")
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if status != 0 || stderr != "" || len(lines) != 5 || !strings.HasPrefix(lines[0], "AUDIT  WHEN") || !strings.HasPrefix(lines[1], "5      2026-11-04 04:00Z") ||
		!strings.Contains(lines[1], "0123456789ab-dirty") || !strings.HasPrefix(lines[4], "1 ") {
		t.Errorf("status %d, stderr %q, got\n%s\nwant 4 audits, the newest first", status, stderr, got)
	}
	var list auditList
	got, _, _ = h.run("history", "--json", "--tier", "production")
	if err := json.Unmarshal([]byte(got), &list); err != nil || len(list.Audits) != 1 || list.Audits[0].ID != 3 || list.Project != h.id {
		t.Errorf("%v: got %s, want audit 3", err, got)
	}
	if got, _, status := h.run("history", "--since", "2099-01-01"); status != 0 || !strings.Contains(got, "no such audit was kept") {
		t.Errorf("status %d, got %s", status, got)
	}
}

func TestHistoryPrintsAReportAgain(t *testing.T) {
	t.Parallel()
	h := newHistorian(t)
	report := h.keep(h.id, "ci", firstAudit, "1.0", "1.0", "1.2")
	for _, f := range parity.Formats() {
		var want bytes.Buffer
		if err := parity.Write(&want, report, f.Name, parity.WriteOptions{ASCII: true, Definition: "env.yaml"}); err != nil {
			t.Fatal(err)
		}
		if got, stderr, status := h.run("history", "--audit", "1", "--format", f.Name); got != want.String() || stderr != "" || status != 0 {
			t.Errorf("%s: status %d, stderr %q, got\n%s\nwant\n%s", f.Name, status, stderr, got, want.String())
		}
	}
	h.keep("other", "ci", firstAudit, "1.0")
	for id, want := range map[string]string{"9": "cannot find audit 9: no such audit is kept\n  hint: `evenkeel history` lists", "2": "cannot find audit 2: no such audit is kept of this project"} {
		if stdout, stderr, status := h.run("history", "--audit", id); status != 1 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("audit %s: status %d, %q, %q, want %q", id, status, stdout, stderr, want)
		}
	}
}

func TestHistoryOfNothingMakesNoStore(t *testing.T) {
	t.Parallel()
	h := newHistorian(t)
	for _, tt := range []struct {
		args   string
		status int
		want   string
	}{
		{"", 0, "no audit was kept yet; `evenkeel audit` makes one"}, {"--json", 0, `"audits": []`}, {"a/b", 1, "no audit was kept yet"}, {"--audit 1", 1, "no such audit is kept"},
	} {
		stdout, stderr, status := h.run(append([]string{"history"}, strings.Fields(tt.args)...)...)
		if status != tt.status || !strings.Contains(stdout+stderr, tt.want) {
			t.Errorf("history %s: status %d, %q, %q, want %d and %q", tt.args, status, stdout, stderr, tt.status, tt.want)
		}
	}
	if _, err := os.Stat(filepath.Join(h.home, ".local/state/evenkeel/parity")); err == nil {
		t.Error("looking made a store")
	}
}

func TestHistoryRefusesWhatMeansNothing(t *testing.T) {
	t.Parallel()
	h := newHistorian(t)
	for line, want := range map[string]string{
		"a/b c":                          `history takes 1 argument, got "c" besides`,
		"a/b --audit 1":                  "--audit prints one report: it excludes SECTION/KEY, --tier and --since",
		"--audit 1 --since 30d":          "it excludes SECTION/KEY, --tier and --since",
		"--format html":                  "--format belongs to --audit",
		"--audit 1 --format png":         `--format: got "png"; allowed are text, json,`,
		"--audit 1 --format html --json": "--json and --format html exclude each other",
		"--audit x":                      "--audit: got \"x\"; allowed is a number", "--audit 0": "--audit: got",
		"--since someday": `--since: got "someday"; allowed is a day such as`,
		"--as two":        "there is no option --as here",
	} {
		if stdout, stderr, status := h.run(append([]string{"history"}, strings.Fields(line)...)...); status != 1 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("history %s: status %d, %q, %q, want %q", line, status, stdout, stderr, want)
		}
	}
}

func TestFactsAreCompletedFromTheLastAudit(t *testing.T) {
	t.Parallel()
	h := newHistorian(t)
	if got, stderr, status := h.run(completeWord, "history", "pack"); got != "" || stderr != "" || status != 0 {
		t.Errorf("without audits: got %q, %q, %d", got, stderr, status)
	}
	h.keep(h.id, "ci", firstAudit, "odd")
	// The other packages' names would be commands in a shell's line.
	if got, stderr, status := h.run(completeWord, "history", "pack"); got != "packages/nginx:amd64\n" || stderr != "" || status != 0 {
		t.Errorf("got %q, %q, %d", got, stderr, status)
	}
}
