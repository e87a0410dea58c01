// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/width"

	"github.com/evenkeel/evenkeel/parity"
)

// columns is how wide a terminal shows a line.
func columns(line string) int {
	n := 0
	for _, r := range line {
		switch k := width.LookupRune(r).Kind(); {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case k == width.EastAsianWide || k == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}

func TestTextFitsTheTerminal(t *testing.T) {
	reports := map[string]*parity.Report{"small": smallReport(), "clean": cleanReport(), "empty": emptyReport(), "800": threeSystemsReport(t, 800)}
	for name, text := range hostile() {
		reports[name] = everywhere(text)
	}
	for name, r := range reports {
		for _, w := range []int{40, 60, 80, 100, 132, 200} {
			for line := range strings.Lines(written(t, r, "text", parity.WriteOptions{Width: w})) {
				line = strings.TrimRight(line, "\n")
				if n := columns(line); n > w {
					t.Errorf("%s at %d: a line has %d columns: %s", name, w, n, line)
				}
				if strings.HasSuffix(line, " ") {
					t.Errorf("%s at %d: a line ends in a blank: %q", name, w, line)
				}
			}
		}
	}
}

func TestTheVerdictIsThreeLines(t *testing.T) {
	for name, r := range map[string]*parity.Report{"small": smallReport(), "clean": cleanReport(), "empty": emptyReport(), "800": threeSystemsReport(t, 800)} {
		lines := strings.SplitN(written(t, r, "text", parity.WriteOptions{Width: 120}), "\n", 5)
		if lines[3] != "" || !strings.HasPrefix(lines[2], "Checked: ") {
			t.Errorf("%s: got %q", name, lines[:4])
		}
	}
}

// Nothing to say is one screen: how much was looked at, in every form (mails of 5,000 lines to say "fine" are read by nobody).
func TestACleanReportSaysHowMuchWasChecked(t *testing.T) {
	for _, f := range parity.Formats() {
		out := written(t, cleanReport(), f.Name, parity.WriteOptions{})
		if !strings.Contains(out, "18,600 fact") && !strings.Contains(out, "18600") {
			t.Errorf("%s does not say how many facts were compared:\n%s", f.Name, out)
		}
	}
	if out := written(t, cleanReport(), "text", parity.WriteOptions{}); strings.Count(out, "\n") > 8 {
		t.Errorf("got %d lines:\n%s", strings.Count(out, "\n"), out)
	}
}

// Unreachable is never "unchanged", and unknown is never "same": each has a sign of its own and is counted.
func TestWhatWasNotReadIsNotShownAsTheSame(t *testing.T) {
	r := smallReport()
	r.Rows = r.Rows[8:] // the section that could not be read
	out := written(t, r, "text", parity.WriteOptions{})
	for _, want := range []string{"INCOMPLETE", "1 machine unreachable", "? staging A", "! staging ×1 (db-2)", "Not read", "no answer on 10.0.0.9:22"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
}

func TestEveryFindingSaysWhatToDo(t *testing.T) {
	r := smallReport()
	for i := range r.Rows {
		r.Rows[i].Fix = fmt.Sprintf("fix-%d", i)
	}
	for _, f := range []string{"text", "json", "html", "md", "junit", "sarif"} {
		out := written(t, r, f, parity.WriteOptions{Width: 60})
		for i, row := range r.Rows {
			if row.Counts && !strings.Contains(strings.ReplaceAll(out, "\\-", "-"), row.Fix) {
				t.Errorf("%s: row %d does not say what to do", f, i)
			}
		}
	}
}

func TestEqualReportsAreEqualBytes(t *testing.T) {
	one, other := threeSystemsReport(t, 200), threeSystemsReport(t, 200)
	for _, f := range parity.Formats() {
		first := written(t, one, f.Name, parity.WriteOptions{})
		if second := written(t, other, f.Name, parity.WriteOptions{}); first != second {
			t.Errorf("%s differs from one writing to the next", f.Name)
		}
	}
}

// Whoever has a large fleet sees which rows the text leaves out, and where they are.
func TestTextLeavesOutTheLeastSevereAndSaysSo(t *testing.T) {
	out := written(t, smallReport(), "text", parity.WriteOptions{Rows: 2, Link: "audit.html"})
	if !strings.Contains(out, "PermitRootLogin") || strings.Contains(out, "strace") || !strings.Contains(out, "4 more rows, all in audit.html") {
		t.Errorf("got\n%s", out)
	}
}

// What is said of one kind of machines and of another is said once.
func TestKindsOfWhichTheSameIsToBeSaidShareALine(t *testing.T) {
	r := smallReport()
	cells := make([]parity.Cell, len(r.Columns))
	cells[0], cells[1], cells[2] = parity.Cell{State: parity.Unknown, Value: "no rights"}, parity.Cell{State: parity.Unknown, Value: "no rights"}, parity.Cell{State: parity.Same}
	other := make([]parity.Cell, len(r.Columns))
	other[3], other[4] = parity.Cell{State: parity.Unknown, Value: "no rights"}, parity.Cell{State: parity.Unknown, Value: "no rights"}
	r.Rows = []parity.Row{
		{Kind: parity.Skew, Severity: parity.Info, Section: "sudoers", Key: "*", Machines: "web", Cells: cells},
		{Kind: parity.Skew, Severity: parity.Info, Section: "sudoers", Key: "*", Machines: "db", Cells: other},
		{Kind: parity.Skew, Severity: parity.Info, Section: "sudoers", Key: "*", Machines: "cache", Cells: cells, Waiver: "w1"},
	}
	out := written(t, r, "text", parity.WriteOptions{Width: 200})
	for _, want := range []string{"\n  db,web sudoers *: ? no rights on ", "\n  cache sudoers *: ? no rights on "} {
		if strings.Count(out, want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, out)
		}
	}
}
