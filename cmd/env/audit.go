// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/parity"
)

func (a *App) auditVerb() verb {
	return verb{
		name: "audit", about: "read every machine of every tier and say where they differ",
		more: "Tiers are compared with the baseline, machines with the image they were made from and with what was laid on them, ages with their limits. It changes nothing on any machine. " +
			"The exit status is 0 where all is the same, 2 where something counts, and 3 where not all could be read and what was read is the same. A tier that cannot be listed " +
			"from here counts for that where it was named, or has `audit: true`. Audits are kept: `evenkeel history`.",
		flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "tier", Usage: "read `TIER`, and others that are named so; else all of the definition"},
			&cli.StringFlag{Name: "baseline", Usage: "compare with `TIER` (else parity.baseline, else the first)"},
			&cli.StringFlag{Name: "against", Usage: "compare with the machines of one tier in `FILE`, as `facts -o FILE` wrote it"},
			&cli.StringSliceFlag{Name: "from", Usage: "read no machine but the snapshots in `FILE`, or in the files of a folder; may be given several times"},
			&cli.StringFlag{Name: "since", Usage: "compare with what the first audit since `DATE` (2026-11-01, or 30d) found"},
			&cli.StringSliceFlag{Name: "format", Usage: "write as `FORMAT`: " + strings.Join(formatNames(), ", ") + "; several only with --out, where all are written else"},
			&cli.StringFlag{Name: "out", Usage: "write the reports into folder `DIR`"},
			&cli.StringSliceFlag{Name: "fail-on", Usage: "end with status 2 only for `KIND` (skew, drift, stale, inventory) or SEVERITY and worse (security, packages, config, info)"},
			&cli.StringSliceFlag{Name: "section", Usage: "read and compare `NAME` only (packages, etc, sshd, ...), and others that are named so"},
			boolFlag("snapshots", "write what was read to snapshots.jsonl in --out, too"),
			&cli.StringFlag{Name: "sign", Usage: "sign the audit with the private key in `FILE` (ed25519, PEM); needs --out"},
			&cli.StringFlag{Name: "accept", Usage: "add waivers to `FILE` for all that counts, each pinned to its value"},
			&cli.StringFlag{Name: "owner", Usage: "`WHO` owns those waivers"},
			&cli.StringFlag{Name: "reason", Usage: "`WHY` they are accepted"},
			&cli.StringFlag{Name: "approved-by", Usage: "`WHO` approved them"},
			&cli.StringFlag{Name: "ref", Usage: "their ticket is `REF`"},
			&cli.StringFlag{Name: "until", Usage: "their last day is `DATE`: 2027-03-31, or 90d"},
			boolFlag("offline", "do not ask the archives for security updates that the images lack; --from does not either"),
		},
		lacks: []string{"tier", "as"},
		run:   runAudit,
	}
}

func formatNames() []string {
	var names []string
	for _, f := range parity.Formats() {
		names = append(names, f.Name)
	}
	return names
}

// auditGC is how much of what an audit holds may be garbage, in percent: of 10,000 machines it holds half of the 300 MB that it may take. Collecting more often than by default costs
// a twentieth of its processor time.
const auditGC = 50

func runAudit(ctx context.Context, c *call) error {
	if err := c.noArgs(); err != nil {
		return err
	}
	o, err := c.auditOptions(time.Now())
	if err != nil {
		return err
	}
	if c.getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(auditGC))
	}
	s, err := c.auditSubject(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	if o.accept != nil && s.def != nil {
		if wrong := s.def.CheckWaiverUntil(o.accept.Until, o.at); wrong != "" { // the file would not load
			err := usagef("--until: %s", wrong)
			err.hint = envs.WaiverLifeHint
			return err
		}
	}
	e, err := c.newEvidence(o)
	if err != nil {
		return err
	}
	defer e.close()
	d, tell := c.show()
	defer d.stop()
	s.tell = tell
	report, err := c.audited(ctx, s, o, e)
	d.stop()
	if err != nil {
		return err
	}
	if err := c.writeReport(ctx, report, o, s, e); err != nil {
		return err
	}
	if o.accept != nil {
		if s.def != nil {
			o.accept.Tiers, o.accept.Kinds = sorted(s.def.Tiers), sorted(s.def.Machines)
		}
		return c.accept(report, *o.accept)
	}
	return standing(report, o.failOn)
}

// standing is a report as an exit status.
func standing(r *parity.Report, failOn []string) error {
	switch {
	case r.Differs(failOn):
		return exitStatus(exitDiffers)
	case !r.Complete():
		return exitStatus(exitIncomplete)
	}
	return nil
}

// accept adds waivers for all that counts to a file.
func (c *call) accept(r *parity.Report, a parity.Acceptance) error {
	file := c.path(c.flag.String("accept"))
	added, err := parity.Accept(r, a)
	if err != nil {
		return err
	}
	if !r.Differs(nil) {
		c.tellf("nothing counts, so there is nothing to accept: %s stays as it is", c.shown(file))
		return standing(r, nil)
	}
	before, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot add waivers: %w", err)
	}
	after, err := parity.AddWaivers(before, added)
	if err != nil {
		return fmt.Errorf("%w (%s)", err, c.shown(file))
	}
	if err := writeReplacing(file, after, 0o644); err != nil {
		return fmt.Errorf("cannot add waivers: %w", err)
	}
	c.tellf("wrote %s: %s accepted until %s; it is in force where parity.waivers names it", c.shown(file), counted(r.Findings(), "finding"), a.Until.UTC().Format(time.DateOnly))
	if !r.Complete() {
		return exitStatus(exitIncomplete)
	}
	return nil
}

// tellf says on stderr what came of the call, beside its result.
func (c *call) tellf(format string, args ...any) {
	if !c.quiet() {
		fmt.Fprintln(c.Stderr, "evenkeel: "+oneLine(fmt.Sprintf(format, args...)))
	}
}
