// SPDX-License-Identifier: Apache-2.0

package session

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/providers"
)

// stages are those of a bring-up, in order.
func stages() []string {
	return []string{providers.StageImage, providers.StageCreate, providers.StageBoot, providers.StageContact, providers.StageSettle, providers.StageCode, providers.StageHealth}
}

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Time    string       `xml:"time,attr"`
	Failure *junitResult `xml:"failure,omitempty"`
	Error   *junitResult `xml:"error,omitempty"`
	Skipped *junitResult `xml:"skipped,omitempty"`
}

type junitResult struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",cdata"`
}

// WriteJUnit writes the bring-up that r kept and that came to why (nil: it did) as JUnit XML: a suite for each machine of the plan, in it a case for each stage.
// A stage that a machine did not reach is skipped; a failure that is no machine's is an error of a suite of its own. Secrets are taken out.
func (s *Session) WriteJUnit(w io.Writer, r *Recorder, why error) error {
	mask := providers.NewMask(s.Secrets)
	text := func(t string) string { return providers.Printable(mask.Text(t)) }
	all := junitSuites{Name: "evenkeel " + s.Plan.Env, Time: seconds(r.span())}
	failed, others := failures(why)
	for _, m := range s.Plan.Machines {
		suite := junitSuite{Name: s.Plan.Env + " " + m.Name, Timestamp: r.began.UTC().Format("2006-01-02T15:04:05")}
		suite.Cases = machineCases(s.Plan.Env+"."+m.Name, r.spans(m.Name), failed[m.Name], why == nil, text)
		all.add(suite)
	}
	if len(others) > 0 {
		c := junitCase{Class: s.Plan.Env, Name: "bring-up", Time: seconds(r.span()), Error: &junitResult{Message: text(others[0].Error())}}
		for _, e := range others {
			c.Error.Text += text(e.Error()) + "\n"
		}
		all.add(junitSuite{Name: s.Plan.Env, Timestamp: r.began.UTC().Format("2006-01-02T15:04:05"), Cases: []junitCase{c}})
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("cannot write the bring-up's results: %w", err)
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return fmt.Errorf("cannot write the bring-up's results: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// machineCases are those of one machine: the stages it was in, of which the last may have failed, and those it was not.
func machineCases(class string, spans []span, failed *providers.StageError, ready bool, text func(string) string) []junitCase {
	var cases []junitCase
	for _, stage := range stages() {
		c := junitCase{Class: class, Name: stage, Time: "0"}
		i := slices.IndexFunc(spans, func(s span) bool { return s.stage == stage })
		if i >= 0 {
			c.Time = seconds(spans[i].took)
		}
		switch {
		case failed != nil && failed.Stage == stage:
			c.Failure = &junitResult{Message: text(failed.Err.Error()), Text: text(failed.Error() + "\n" + failed.Hint + "\n" + failed.Console)}
		case i < 0 && ready: // it has no such stage
			continue
		case i < 0:
			c.Skipped = &junitResult{Message: "not reached"}
		case failed == nil && !ready && i == len(spans)-1:
			c.Skipped = &junitResult{Message: "not finished"}
		}
		cases = append(cases, c)
	}
	return cases
}

func (all *junitSuites) add(s junitSuite) {
	total := time.Duration(0)
	for _, c := range s.Cases {
		s.Tests++
		if d, err := time.ParseDuration(c.Time + "s"); err == nil {
			total += d
		}
		switch {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
	}
	s.Time = seconds(total)
	all.Tests, all.Failures, all.Errors, all.Skipped = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors, all.Skipped+s.Skipped
	all.Suites = append(all.Suites, s)
}

// failures sorts what was joined into why: by machine, and what is no machine's.
func failures(why error) (map[string]*providers.StageError, []error) {
	byMachine := map[string]*providers.StageError{}
	var others []error
	var walk func(error)
	walk = func(e error) {
		if joined, ok := e.(interface{ Unwrap() []error }); ok {
			for _, one := range joined.Unwrap() {
				walk(one)
			}
			return
		}
		if s, ok := errors.AsType[*providers.StageError](e); ok {
			if byMachine[s.Machine] == nil {
				byMachine[s.Machine] = s
			}
			return
		}
		others = append(others, e)
	}
	if why != nil {
		walk(why)
	}
	return byMachine, others
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", max(d, 0).Seconds()) }
