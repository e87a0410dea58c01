// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/test/conformance"
)

var updateReports = flag.Bool("update-reports", false, "write the golden reports anew")

func written(t testing.TB, r *parity.Report, format string, o parity.WriteOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := parity.Write(&b, r, format, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// golden compares with a file under testdata/write.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "write", name)
	if *updateReports {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func names(stem string, from, to int) []string {
	var all []string
	for i := from; i <= to; i++ {
		all = append(all, fmt.Sprintf("%s-%d", stem, i))
	}
	return all
}

// smallReport has one of everything: each kind, each state, a waiver, a note, a machine that was not read.
func smallReport() *parity.Report {
	cell := func(s parity.State, v string) parity.Cell { return parity.Cell{State: s, Value: v} }
	ones, twos := strings.Repeat("11", 32), strings.Repeat("22", 32)
	order := func(o int, v string) parity.Cell { return parity.Cell{State: parity.Different, Value: v, Order: o} }
	return &parity.Report{
		Format: 1, At: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Project: "a1b2c3", Name: "shop", Commit: "4f2a91c-dirty", Baseline: "production", Tool: "evenkeel 0.4.0",
		Collectors: []string{strings.Repeat("c0", 32)},
		Columns: []parity.Column{
			{Tier: "production", Kind: "web", Variant: "A", Machines: names("web", 1, 12), Count: 12, AgeDays: 20.5},
			{Tier: "production", Kind: "web", Variant: "B", Machines: []string{"web-13"}, Count: 1, AgeDays: 41},
			{Tier: "staging", Kind: "web", Variant: "A", Machines: names("web", 1, 3), Count: 3, AgeDays: 3},
			{Tier: "production", Kind: "db", Variant: "A", Machines: names("db", 1, 2), Count: 2, AgeDays: 12},
			{Tier: "staging", Kind: "db", Variant: "A", Machines: []string{"db-1"}, Count: 1, AgeDays: 12},
			{Tier: "staging", Kind: "db", Machines: []string{"db-2"}, Count: 1, Unreachable: true, Why: "no answer on 10.0.0.9:22 within 10 s"},
		},
		Rows: []parity.Row{
			{Kind: parity.Skew, Severity: parity.Security, Section: "sshd", Key: "PermitRootLogin", Machines: "web", Reference: "no",
				Cells: []parity.Cell{cell(parity.Same, "no"), cell(parity.Same, "no"), cell(parity.Different, "prohibit-password"), {}, {}, {}},
				Diff:  "--- production A\n+++ staging A\n@@ sshd_config @@\n-PermitRootLogin no\n+PermitRootLogin prohibit-password\n", Why: "so on staging web-[1-3] since 2026-11-19T08:12:00Z",
				Fix: "rebuild web-[1-3] in staging (`evenkeel rebuild`)", Fingerprint: "aaaa000000000000aaaa000000000001", Counts: true, File: "images/web.yaml", Line: 14,
				Also: []parity.Row{{Kind: parity.Skew, Severity: parity.Security, Section: "etc", Key: "/etc/ssh/sshd_config", Machines: "web", Cells: make([]parity.Cell, 6), Diff: "@@ -1 +1 @@\n-a\n+b\n"}}},
			{Kind: parity.Drift, Severity: parity.Packages, Section: "packages", Key: "openssl:amd64", Machines: "web", Tier: "production", Reference: "3.0.15-1~deb12u1",
				Cells: []parity.Cell{cell(parity.Same, "3.0.15-1~deb12u1"), order(-1, "3.0.14-1~deb12u2"), {}, {}, {}, {}},
				Fix:   "rebuild web-13 in production (`evenkeel rebuild`), or keep the change by saying it in the recipe", Fingerprint: "aaaa000000000000aaaa000000000002", Counts: true},
			{Kind: parity.Skew, Severity: parity.Packages, Section: "packages", Key: "strace:amd64", Machines: "web",
				Cells: []parity.Cell{cell(parity.Same, ""), cell(parity.Same, ""), cell(parity.Different, "6.1-0.1"), {}, {}, {}},
				Fix:   "rebuild web-[1-3] in staging (`evenkeel rebuild`)", Fingerprint: "aaaa000000000000aaaa000000000003", Counts: true},
			{Kind: parity.Skew, Severity: parity.Config, Section: "sysctl", Key: "vm.swappiness", Machines: "db", Reference: "10",
				Cells: []parity.Cell{{}, {}, {}, cell(parity.Same, "10"), cell(parity.Different, "60"), cell(parity.Unreachable, "")},
				Fix:   "rebuild db-1 in staging (`evenkeel rebuild`)", Fingerprint: "aaaa000000000000aaaa000000000004", Counts: true, File: "env.yaml", Line: 31},
			{Kind: parity.Stale, Severity: parity.Info, Section: "age", Key: "instance", Machines: "web", Tier: "production", Reference: "at most 30 days",
				Cells: []parity.Cell{cell(parity.Same, ""), cell(parity.Different, "1 of 1: web-13, oldest 41 days (libvirt)"), {}, {}, {}, {}},
				Fix:   "`evenkeel rebuild --stale --tier production`", Fingerprint: "aaaa000000000000aaaa000000000005", Counts: true},
			{Kind: parity.Inventory, Severity: parity.Info, Section: "machines", Key: "missing", Machines: "db", Tier: "staging", Reference: "db-3", Missing: 1,
				Cells: make([]parity.Cell, 6), Fix: "`evenkeel up --tier staging` makes them", Fingerprint: "aaaa000000000000aaaa000000000006", Counts: true},
			{Kind: parity.Skew, Severity: parity.Config, Section: "etc", Key: "/etc/motd", Machines: "web", Reference: "0644 root:root sha256:" + ones,
				Cells: []parity.Cell{cell(parity.Same, "0644 root:root sha256:"+ones), cell(parity.Same, "0644 root:root sha256:"+ones), cell(parity.Waived, "0644 root:root sha256:"+twos), {}, {}, {}},
				Fix:   "rebuild web-[1-3] in staging (`evenkeel rebuild`)", Fingerprint: "aaaa000000000000aaaa000000000007", Waiver: "motd-of-staging"},
			{Kind: parity.Skew, Severity: parity.Config, Section: "packages", Key: "qemu-guest-agent:amd64", Machines: "db",
				Cells: []parity.Cell{{}, {}, {}, cell(parity.Same, ""), cell(parity.Expected, "7.2"), cell(parity.Unreachable, "")},
				Why:   "the definition says so for staging", Fix: "nothing to do", Fingerprint: "aaaa000000000000aaaa000000000008"},
			{Kind: parity.Skew, Severity: parity.Info, Section: "firewall", Key: "*", Machines: "db",
				Cells: []parity.Cell{{}, {}, {}, cell(parity.Same, ""), cell(parity.Unknown, ""), cell(parity.Unreachable, "")},
				Why:   "staging A: sudo asks for a password", Fix: "nothing to do", Fingerprint: "aaaa000000000000aaaa000000000009"},
		},
		Checked: parity.Checked{Tiers: 2, Machines: 20, Unreachable: 1, Facts: 24810, Unknown: 1, Waived: 1},
		Waivers: []parity.WaiverUse{
			{ID: "motd-of-staging", Owner: "ada@shop.example", Until: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), State: "used"},
			{ID: "old-kernel", Owner: "ada@shop.example", Until: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), State: "expired"},
		},
		Notes: []string{"the waiver motd-of-staging ends on 2026-12-01: what it covers is a finding then (ada@shop.example)"},
	}
}

// cleanReport has nothing to say but how much was compared.
func cleanReport() *parity.Report {
	r := smallReport()
	r.Columns = []parity.Column{r.Columns[0], r.Columns[2]}
	r.Rows, r.Waivers, r.Notes = nil, nil, nil
	r.Checked = parity.Checked{Tiers: 2, Machines: 15, Facts: 18600}
	return r
}

// emptyReport is of an audit that read nothing.
func emptyReport() *parity.Report {
	return &parity.Report{Format: 1, At: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Tool: "evenkeel 0.4.0", Checked: parity.Checked{Tiers: 1}}
}

func TestReportsInEveryFormat(t *testing.T) {
	for _, f := range parity.Formats() {
		for _, c := range []struct {
			name string
			r    *parity.Report
		}{{"small", smallReport()}, {"clean", cleanReport()}, {"empty", emptyReport()}} {
			golden(t, c.name+"-"+f.File, written(t, c.r, f.Name, parity.WriteOptions{}))
		}
	}
	golden(t, "small-narrow.txt", written(t, smallReport(), "text", parity.WriteOptions{Width: 60, ASCII: true}))
	golden(t, "small-wide.txt", written(t, smallReport(), "text", parity.WriteOptions{Width: 160}))
	golden(t, "small-color.txt", written(t, smallReport(), "text", parity.WriteOptions{Color: true}))
}

// Prometheus' own tool reads the metrics, and has nothing to say against their names.
func TestPrometheusToolAcceptsTheMetrics(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	conformance.Require(t, "promtool", err)
	for _, r := range []*parity.Report{smallReport(), cleanReport(), emptyReport(), everywhere("\"} 1\n\\ evil{")} {
		check := exec.Command(tool, "check", "metrics")
		check.Stdin = strings.NewReader(written(t, r, "prometheus", parity.WriteOptions{}))
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("promtool: %v\n%s", err, out)
		}
	}
}
