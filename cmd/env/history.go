// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/store"
)

func (a *App) historyVerb() verb {
	keep := store.DefaultKeep()
	return verb{
		name: "history", args: "[SECTION/KEY]", about: "list the audits that were kept, or when a fact changed",
		more: "SECTION/KEY is a fact as reports name it, packages/nginx:amd64: it tells when audits saw it change, on which machines, and from what. Without one it lists audits; " +
			"--audit prints the report of one again. It contacts no machine. " +
			fmt.Sprintf("Each audit keeps itself, and removes those that are older than %d days and not among the project's last %d.", int(keep.For.Hours()/24), keep.Last),
		flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "tier", Usage: "tell of `TIER` only, and of others that are named so"},
			&cli.StringFlag{Name: "since", Usage: "tell what is not older than `DATE`: 2026-11-01, or 30d"},
			&cli.StringFlag{Name: "audit", Usage: "print the report of the audit `NUMBER`"},
			&cli.StringFlag{Name: "format", Usage: "print it as `FORMAT`: " + strings.Join(formatNames(), ", ")},
		},
		lacks: []string{"tier", "as", "identity"},
		run:   runHistory,
	}
}

// historyOptions are the command line of history, checked.
type historyOptions struct {
	key   string
	tiers []string // nil: all
	since time.Time
	audit int64 // 0: none
}

func (o historyOptions) has(tier string) bool {
	return o.tiers == nil || slices.Contains(o.tiers, tier)
}

// auditList is what `history --json` prints.
type auditList struct {
	Project string        `json:"project"`
	Audits  []store.Audit `json:"audits"` // newest first
}

// changeList is what `history KEY --json` prints.
type changeList struct {
	Project string         `json:"project"`
	Key     string         `json:"key"`
	Changes []store.Change `json:"changes"` // oldest first
}

func runHistory(ctx context.Context, c *call) error {
	if err := c.maxArgs(1); err != nil {
		return err
	}
	o, err := c.historyOptions(time.Now())
	if err != nil {
		return err
	}
	def, err := c.definition()
	if err != nil {
		return err
	}
	s, err := c.kept(ctx)
	if err != nil {
		return err
	}
	if s != nil {
		defer func() { _ = s.Close() }() // it was read only
	}
	switch {
	case o.audit != 0:
		return c.pastReport(ctx, s, def, o.audit)
	case o.key != "":
		return c.factHistory(ctx, s, def, o)
	}
	return c.auditList(ctx, s, def, o)
}

func (c *call) historyOptions(now time.Time) (historyOptions, error) {
	o := historyOptions{tiers: words(c.flag.StringSlice("tier"))}
	if len(c.args) == 1 {
		o.key = c.args[0]
	}
	one, format := c.flag.IsSet("audit"), c.flag.String("format")
	switch {
	case len(c.args) == 1 && o.key == "":
		return o, usagef("history takes SECTION/KEY, got an empty word")
	case one && (o.key != "" || o.tiers != nil || c.flag.IsSet("since")):
		return o, usagef("--audit prints one report: it excludes SECTION/KEY, --tier and --since")
	case c.flag.IsSet("format") && !one:
		return o, usagef("--format belongs to --audit")
	case c.flag.IsSet("format") && !slices.Contains(formatNames(), format):
		return o, usagef("--format: got %q; allowed are %s", format, strings.Join(formatNames(), ", "))
	case c.json() && c.flag.IsSet("format") && format != "json":
		return o, usagef("--json and --format %s exclude each other", format)
	}
	if one {
		var err error
		if o.audit, err = strconv.ParseInt(c.flag.String("audit"), 10, 64); err != nil || o.audit <= 0 {
			return o, usagef("--audit: got %q; allowed is a number as `evenkeel history` lists them", c.flag.String("audit"))
		}
	}
	if c.flag.IsSet("since") {
		at, err := dateOrSpan(c.flag.String("since"), now, -1)
		if err != nil {
			return o, usagef("--since: %v", err)
		}
		o.since = at
	}
	return o, nil
}

// kept opens the store of audits, nil where none was ever kept: who only looks makes none.
func (a *App) kept(ctx context.Context) (*store.Store, error) {
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(state, "parity", store.File)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return a.audits(ctx)
}

func (c *call) auditList(ctx context.Context, s *store.Store, def *envs.Definition, o historyOptions) error {
	list := auditList{Project: def.ID, Audits: []store.Audit{}}
	if s != nil {
		all, err := s.Audits(ctx, def.ID, o.since)
		if err != nil {
			return err
		}
		for _, a := range all {
			if slices.ContainsFunc(a.Tiers, o.has) || len(a.Tiers) == 0 && o.tiers == nil {
				list.Audits = append(list.Audits, a)
			}
		}
	}
	switch {
	case c.json():
		return c.printJSON(list)
	case len(list.Audits) == 0 && o.tiers == nil && o.since.IsZero():
		return c.printf("%s: no audit was kept yet; `evenkeel audit` makes one\n", def.Name)
	case len(list.Audits) == 0:
		return c.printf("%s: no such audit was kept\n", def.Name)
	}
	t := newTable("AUDIT", "WHEN", "AGE", "TIERS", "COMMIT", "VERDICT")
	for _, a := range list.Audits {
		t.add(fmt.Sprint(a.ID), minute(a.At), age(a.At), strings.Join(a.Tiers, " "), commitText(a.Commit), a.Verdict)
	}
	return t.print(c.Stdout)
}

// commitText is a commit as people tell it from others: its first digits, and whether there was more than it.
func commitText(commit string) string {
	id, rest, dirty := strings.Cut(commit, "-")
	if dirty {
		rest = "-" + rest
	}
	return id[:min(len(id), 12)] + rest
}

// minute is a time in a table, UTC as in reports.
func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04Z") }

func (c *call) pastReport(ctx context.Context, s *store.Store, def *envs.Definition, id int64) error {
	err := fmt.Errorf("cannot find audit %d: %w", id, store.ErrNoAudit)
	var a store.Audit
	if s != nil {
		a, err = s.Audit(ctx, id)
	}
	if err == nil && a.Project != def.ID {
		err = fmt.Errorf("cannot find audit %d: %w of this project", id, store.ErrNoAudit)
	}
	if errors.Is(err, store.ErrNoAudit) {
		e := usagef("%v", err)
		e.hint = "`evenkeel history` lists those that are kept"
		return e
	}
	if err != nil {
		return err
	}
	report, err := s.Report(ctx, id)
	if err != nil {
		return err
	}
	format := "text"
	switch {
	case c.json():
		format = "json"
	case c.flag.IsSet("format"):
		format = c.flag.String("format")
	}
	return c.printReport(c.Stdout, report, format, parity.WriteOptions{Definition: filepath.Base(def.File)})
}
