// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/session"
)

// of is a session of two machines, of which one has secrets.
func of(secrets map[string]string) *session.Session {
	values := map[string]envs.Value{}
	for name, text := range secrets {
		values[name] = envs.NewValue([]byte(text))
	}
	return &session.Session{Core: &providers.Core{
		Plan:    &envs.Plan{Env: "shop.ci.run-abc", Machines: []envs.Machine{{Name: "db-1"}, {Name: "web-1"}}},
		Secrets: envs.Values{"db-1": values},
	}}
}

func TestResultsOfAFailedBringUpSayWhichStageOfWhichMachine(t *testing.T) {
	s := of(map[string]string{"PASSWORD": "correct-horse-battery"})
	var r session.Recorder
	r.Start()
	tell := r.Tell(nil)
	for _, stage := range []string{"image", "create", "boot"} {
		for _, m := range []string{"db-1", "web-1"} {
			tell(providers.Event{Subject: m, Stage: stage})
		}
	}
	tell(providers.Event{Subject: "db-1", Stage: "settle"})
	r.Stop()
	tell(providers.Event{Subject: "db-1", Stage: "remove"})
	why := errors.Join(
		&providers.StageError{Machine: "web-1", Stage: "boot", Elapsed: time.Second, Err: errors.New("no SSH answer: correct-horse-battery"), Console: "panic\x1b[31m ]]> <& \ufffe\uffff", Hint: "look"},
		errors.New("cannot undo it"),
	)
	var b strings.Builder
	if err := s.WriteJUnit(&b, &r, why); err != nil {
		t.Fatal(err)
	}
	type result struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	var all struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
		Suites   []struct {
			Name  string `xml:"name,attr"`
			Cases []struct {
				Name    string  `xml:"name,attr"`
				Failure *result `xml:"failure"`
				Error   *result `xml:"error"`
				Skipped *result `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(b.String()), &all); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	var got []string
	for _, suite := range all.Suites {
		for _, c := range suite.Cases {
			state := "passed"
			switch {
			case c.Failure != nil:
				state = "failed: " + c.Failure.Message
				if !strings.Contains(c.Failure.Text, "panic") || strings.Contains(c.Failure.Text, "\x1b") || strings.Contains(c.Failure.Text, "horse") {
					t.Errorf("the failure says %q", c.Failure.Text)
				}
			case c.Error != nil:
				state = "error: " + c.Error.Message
			case c.Skipped != nil:
				state = "skipped"
			}
			got = append(got, strings.TrimPrefix(suite.Name, "shop.ci.run-abc")+" "+c.Name+" "+state)
		}
	}
	want := []string{
		" db-1 image passed", " db-1 create passed", " db-1 boot passed", " db-1 contact skipped", " db-1 settle skipped", " db-1 code skipped", " db-1 health skipped",
		" web-1 image passed", " web-1 create passed", " web-1 boot failed: no SSH answer: [secret PASSWORD]", " web-1 contact skipped", " web-1 settle skipped", " web-1 code skipped", " web-1 health skipped",
		" bring-up error: cannot undo it",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if all.Tests != len(want) || all.Failures != 1 || all.Errors != 1 || all.Skipped != 8 {
		t.Errorf("got %d tests, %d failures, %d errors, %d skipped", all.Tests, all.Failures, all.Errors, all.Skipped)
	}
}

func TestACopysNameFitsItsEnvironmentsID(t *testing.T) {
	for env, want := range map[string]int{"shop.ci": len("run-") + 6, strings.Repeat("a", 27) + ".ci": 9 - 2, strings.Repeat("a", 30) + ".ci": 6, strings.Repeat("a", 31) + ".ci": 0} {
		a, err := session.FreshName(env)
		b, _ := session.FreshName(env)
		if (err != nil) != (want == 0) || len(a) != want || want > 0 && (a == b || len(env)+1+len(a) > providers.MaxEnv) {
			t.Errorf("%s: got %q and %q, %v; want two names of %d characters", env, a, b, err, want)
		}
	}
}
