// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/parity"
)

func (a *App) auditVerifyVerb() verb {
	return verb{
		name: "audit verify", args: "DIR|FILE", about: "say whether a signed audit is what was signed, and by whom",
		more: "DIR is what `audit --out` wrote: its " + envelopeName + " is verified, and its audit.json and snapshots.jsonl, where they are there, are compared with what was signed. " +
			"FILE is such an envelope alone, beside which the same files are looked for. A signature says who made the audit and that nothing was changed since, not that the machines told the truth.",
		flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "key", Usage: "trust the public key in `FILE` (ed25519, PEM); one of several is enough"},
			&cli.StringSliceFlag{Name: "from", Usage: "compare the snapshots in `FILE` too"},
		},
		lacks: definitionFlags(),
		run:   runAuditVerify,
	}
}

// verified is what `audit verify` prints with --json. docs/json.md describes it.
type verified struct {
	Envelope  string         `json:"envelope"`
	Audit     parity.Audited `json:"audit"`
	Report    bool           `json:"report"`         // audit.json is there, and what was signed
	Snapshots int            `json:"snapshots"`      // that are here, and what was signed
	NotHere   int            `json:"not_here"`       // that were signed and are not here
	Wrong     []string       `json:"wrong"`          // what is other than signed, or was not signed
	Keys      []string       `json:"keys,omitempty"` // those that were trusted, by their ids
}

func runAuditVerify(ctx context.Context, c *call) error {
	if err := c.maxArgs(1); err != nil {
		return err
	}
	files := words(c.flag.StringSlice("key"))
	switch {
	case len(c.args) == 0:
		return usagef("audit verify needs a folder of reports, or a signed envelope")
	case len(files) == 0:
		return usagef("audit verify needs --key FILE: whose signature is trusted")
	}
	var trusted []ed25519.PublicKey
	v := verified{Wrong: []string{}}
	for _, file := range files {
		key, err := parity.ReadTrustedKey(c.path(file))
		if err != nil {
			return err
		}
		id, err := parity.KeyID(key)
		if err != nil {
			return err
		}
		trusted, v.Keys = append(trusted, key), append(v.Keys, id)
	}
	file := c.path(c.args[0])
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		file = filepath.Join(file, envelopeName)
	}
	envelope, err := readUpTo(file, maxForeign)
	if err != nil {
		return fmt.Errorf("cannot verify the audit: %w", err)
	}
	st, err := parity.Verify(ctx, envelope, trusted...)
	if err != nil {
		return err
	}
	v.Envelope, v.Audit = file, st.Predicate
	report, err := readUpTo(filepath.Join(filepath.Dir(file), reportName), maxReport)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot verify the audit: %w", err)
	}
	snapshots, err := c.digested(filepath.Join(filepath.Dir(file), snapshotsName))
	if err != nil {
		return err
	}
	if v.NotHere, err = st.Covers(report, snapshots); err != nil {
		for _, e := range flatten(err) {
			v.Wrong = append(v.Wrong, oneLine(e.Error()))
		}
	}
	v.Report, v.Snapshots = report != nil, len(snapshots)
	return c.printVerified(v)
}

// digested are the snapshots at hand: those beside the envelope, and those that were named.
func (c *call) digested(beside string) ([]parity.Digested, error) {
	files := c.flag.StringSlice("from")
	if _, err := os.Stat(beside); err == nil {
		files = append([]string{beside}, files...)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot verify the audit: %w", err)
	}
	var all []parity.Digested
	err := c.readFiles(files, func(_ string, s *parity.Snapshot) error {
		text, err := parity.MarshalSnapshot(s)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		all = append(all, parity.SnapshotSubject(s.Subject, hex.EncodeToString(sum[:])))
		return nil
	})
	return all, err
}

// maxReport bounds the report that is read to be verified; that of 10,000 machines has 50 MB.
const maxReport = 1 << 30

func readUpTo(file string, limit int64) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s is no regular file of at most %s", file, size(limit))
	}
	return os.ReadFile(file)
}

func (c *call) printVerified(v verified) error {
	if c.json() {
		if err := c.printJSON(v); err != nil {
			return err
		}
	} else if err := c.tellVerified(v); err != nil {
		return err
	}
	if len(v.Wrong) > 0 {
		return exitStatus(exitDiffers)
	}
	return nil
}

func (c *call) tellVerified(v verified) error {
	a := v.Audit
	lines := []string{
		fmt.Sprintf("signed: the audit of %s, %s", a.At.UTC().Format(time.RFC3339), a.Verdict),
		fmt.Sprintf("checked then: %d machines in %d tiers, %d facts; %s", a.Checked.Machines, a.Checked.Tiers, a.Checked.Facts, a.Tool),
	}
	if a.Commit != "" {
		lines = append(lines, "definition: commit "+a.Commit)
	}
	switch {
	case len(v.Wrong) > 0:
		lines = append(lines, "NOT WHAT WAS SIGNED:")
		for _, w := range v.Wrong {
			lines = append(lines, "  "+w)
		}
	case v.Report:
		lines = append(lines, fmt.Sprintf("audit.json and %s are what was signed", counted(v.Snapshots, "snapshot")))
	default:
		lines = append(lines, fmt.Sprintf("audit.json is not here; %s here are what was signed", counted(v.Snapshots, "snapshot")))
	}
	if v.NotHere > 0 {
		lines = append(lines, fmt.Sprintf("%s were signed and are not here", counted(v.NotHere, "snapshot")))
	}
	lines = append(lines, a.Source)
	for _, l := range lines {
		if err := c.printf("%s\n", oneLine(l)); err != nil {
			return err
		}
	}
	return nil
}
