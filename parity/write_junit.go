// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
)

// junitFailures is how many rows one test case spells out.
const junitFailures = 50

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []*junitCase    `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Time    string       `xml:"time,attr"`
	Failure *junitResult `xml:"failure,omitempty"`
	Error   *junitResult `xml:"error,omitempty"`
	Skipped *junitResult `xml:"skipped,omitempty"`

	rows []*Row
}

type junitResult struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",cdata"`
}

// writeJUnit writes a test suite for each pair of tiers, and for each tier and what else it is measured by (image, age limit, plan); a test case
// for each kind of machine and section in it. What is waived or expected is skipped, what could not be read is an error; a tier about
// which nothing is said passes one case that tells how much was compared.
func writeJUnit(w io.Writer, r *Report, _ WriteOptions) error {
	all := junitSuites{Name: "evenkeel audit " + inertLine(projectName(r), keyBytes)}
	for _, tier := range tierOrder(r) {
		always := Skew // a tier without findings passes by name
		if tier == r.Baseline {
			always = Drift
		}
		for _, kind := range kindOrder() {
			if kind != always && !hasRows(r, kind, tier) {
				continue
			}
			all.Suites = append(all.Suites, junitTier(r, kind, tier, kind == always))
		}
	}
	if len(all.Suites) == 0 {
		all.Suites = []junitSuite{junitNothing(r)}
	}
	for _, s := range all.Suites {
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Errors += s.Errors
		all.Skipped += s.Skipped
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func hasRows(r *Report, kind Kind, tier string) bool {
	for i := range r.Rows {
		if r.Rows[i].Kind == kind && inTier(r, &r.Rows[i], tier) {
			return true
		}
	}
	return false
}

func inTier(r *Report, row *Row, tier string) bool { return slices.Contains(rowTiers(r, row), tier) }

// measure is what a kind of finding holds a tier against.
func measure(r *Report, kind Kind) string {
	switch kind {
	case Drift:
		return "image"
	case Stale:
		return "age limit"
	case Inventory:
		return "plan"
	}
	if r.Baseline == "" {
		return "the others"
	}
	return r.Baseline
}

func newJUnitSuite(r *Report, name string) junitSuite {
	return junitSuite{Name: name, Timestamp: r.At.UTC().Format("2006-01-02T15:04:05"), Properties: []junitProperty{
		{"source", selfReported},
		{"checked", summarize(r).checked(r)},
		{"commit", inertLine(r.Commit, keyBytes)},
	}}
}

func junitTier(r *Report, kind Kind, tier string, unread bool) junitSuite {
	s := newJUnitSuite(r, inertLine(tier, keyBytes)+" against "+inertLine(measure(r, kind), keyBytes))
	cases := map[string]*junitCase{}
	add := func(name string) *junitCase {
		c := cases[name]
		if c == nil {
			c = &junitCase{Class: inertLine(tier, keyBytes) + "." + string(kind), Name: name, Time: "0"}
			cases[name] = c
			s.Cases = append(s.Cases, c)
		}
		return c
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Kind == kind && inTier(r, row, tier) {
			c := add(strings.TrimSpace(inertLine(row.Machines, keyBytes) + " " + inertLine(row.Section, keyBytes)))
			c.rows = append(c.rows, row)
		}
	}
	for _, c := range s.Cases {
		c.judge(r)
	}
	for i := range r.Columns {
		if c := &r.Columns[i]; unread && c.Tier == tier && c.Unreachable {
			of := add("read " + inertLine(Fold(c.Machines), keyBytes))
			of.Error = &junitResult{Message: "unreachable: " + inertLine(c.Why, noteBytes), Type: string(Unreachable)}
		}
	}
	if len(s.Cases) == 0 {
		c := add("no difference")
		if nothingCompared(r) {
			c.Error = &junitResult{Message: "nothing was compared", Type: "nothing"}
		}
	}
	s.count()
	return s
}

func junitNothing(r *Report) junitSuite {
	s := newJUnitSuite(r, "no tier has machines")
	s.Cases = []*junitCase{{Class: "evenkeel", Name: "compare", Time: "0", Error: &junitResult{Message: "nothing was compared", Type: "nothing"}}}
	s.count()
	return s
}

func (s *junitSuite) count() {
	s.Tests = len(s.Cases)
	for _, c := range s.Cases {
		switch {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
	}
}

// judge gives a case its result: findings fail, what could not be read is an error, the rest is skipped.
func (c *junitCase) judge(r *Report) {
	var findings, unknown, quiet []*Row
	for _, row := range c.rows {
		switch {
		case row.Counts:
			findings = append(findings, row)
		case row.Waiver == "" && !hasState(row, Expected):
			unknown = append(unknown, row)
		default:
			quiet = append(quiet, row)
		}
	}
	switch {
	case len(findings) > 0:
		c.Failure = &junitResult{counted(len(findings), "finding") + ": " + inertLine(findings[0].Key, keyBytes), string(findings[0].Severity), rowsText(r, findings)}
	case len(unknown) > 0:
		c.Error = &junitResult{counted(len(unknown), "fact") + " unknown", string(Unknown), rowsText(r, unknown)}
	case len(quiet) > 0:
		c.Skipped = &junitResult{Message: counted(len(quiet), "difference") + " waived or expected", Text: rowsText(r, quiet)}
	}
}

func hasState(row *Row, s State) bool {
	return slices.ContainsFunc(row.Cells, func(c Cell) bool { return c.State == s })
}

// rowsText spells rows out in plain lines.
func rowsText(r *Report, rows []*Row) string {
	var b strings.Builder
	for i, row := range rows {
		if i == junitFailures {
			fmt.Fprintf(&b, "… %s\n", counted(len(rows)-i, "more row"))
			break
		}
		b.WriteString(rowText(r, row))
	}
	return b.String()
}

// rowText is a row as a few plain lines: key, who has what, why, what to do.
func rowText(r *Report, row *Row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s (%s)\n", inertLine(row.Section, keyBytes), inertLine(row.Key, keyBytes), inertLine(string(row.Severity), 20))
	if ref := shouldBe(row); ref != "" {
		fmt.Fprintf(&b, "  should be: %s\n", inertLine(shortDigests(ref), valueBytes))
	}
	for _, g := range groupCells(row, allColumns(r)) {
		var names []string
		for _, i := range g.columns {
			names = append(names, columnName(&r.Columns[i], "×"))
		}
		fmt.Fprintf(&b, "  %s: %s %s\n", inertLine(strings.Join(names, ", "), noteBytes), glyphWords(g.cell), cellText(row, g.cell))
	}
	for _, l := range []struct{ name, text string }{{"why", row.Why}, {"waiver", row.Waiver}, {"do", row.Fix}} {
		if l.text != "" {
			fmt.Fprintf(&b, "  %s: %s\n", l.name, inertLine(l.text, noteBytes))
		}
	}
	return b.String()
}
