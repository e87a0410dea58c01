// SPDX-License-Identifier: Apache-2.0

package problem_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/internal/problem"
)

var update = flag.Bool("update", false, "write the golden files anew")

func at(line, column int, source, path, message, hint string) problem.Problem {
	return problem.Problem{
		Severity: problem.Error, File: "env.yaml", Line: line, Column: column, Source: source, Path: path, Message: message, Hint: hint,
	}
}

// every kind of line that a printer must not spoil
func list() problem.List {
	note := at(9, 3, "  ci: {provider: foo}", "tiers.ci.provider", "got the provider \"foo\"", "did you mean fake?")
	note.Severity = problem.Note
	return problem.List{
		{Severity: problem.Error, File: "env.yaml", Message: "the file is empty"},
		{Severity: problem.Error, Message: "no file at all"},
		at(1, 11, "    cpus: 0", "machines.web.cpus", "got 0; allowed is a whole number from 1 to 512", ""),
		at(2, 4, "\t\ta: \tb", "", "tabs before and between", ""),
		at(3, 6, "日本語: x", "", "wide characters", ""),
		at(4, 4, "e\u0301a: b", "", "a combining mark", ""),
		at(5, 5, "a: \x1b[2Jb", "evil\x1b[0m", "control \x07 characters\nand lines", "in \x1b hints"),
		at(6, 6, "a: \u202eb", "", "text that turns round", ""),
		at(7, 150, strings.Repeat("abcdefghi ", 30), "", "a long line", ""),
		at(8, 2, strings.Repeat("x", 300), "", "a long line, near its begin", ""),
		at(8, 99, "short", "", "a column behind the end", ""),
		at(8, 3, "", "", "an empty line", ""),
		note,
	}
}

func TestPrintPointsAtTheColumn(t *testing.T) {
	var got bytes.Buffer
	if err := problem.Print(&got, list(), false); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/print.golden"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
	}
	if strings.ContainsAny(got.String(), "\x1b\x07\u202e") {
		t.Error("a control character came through")
	}
}

func TestColorAddsNothingButItsOwnSequences(t *testing.T) {
	var plain, color bytes.Buffer
	if err := errors.Join(problem.Print(&plain, list(), false), problem.Print(&color, list(), true)); err != nil {
		t.Fatal(err)
	}
	stripped := strings.NewReplacer("\x1b[1m", "", "\x1b[1;31m", "", "\x1b[1;36m", "", "\x1b[0m", "").Replace(color.String())
	if stripped != plain.String() {
		t.Errorf("without its colors got:\n%s\nwant:\n%s", stripped, plain.String())
	}
	if color.Len() == plain.Len() {
		t.Error("there is no color")
	}
}

func TestAProblemIsOneHarmlessLine(t *testing.T) {
	p := at(5, 5, "", "a\x1b[0m", "control \x07 characters\nand lines", "")
	if got, want := p.String(), `env.yaml:5:5: a\x1b[0m: control \x07 characters\x0aand lines`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNotesAreNoFailure(t *testing.T) {
	note := problem.Problem{Severity: problem.Note, Message: "by the way"}
	if err := (problem.List{note}).Err(); err != nil {
		t.Errorf("a note alone is the error %v", err)
	}
	if err := (problem.List{note, at(1, 1, "", "", "bad", "")}).Err(); err == nil {
		t.Error("an error beside a note is no error")
	}
}

func TestSortIsByFileAndPosition(t *testing.T) {
	l := problem.List{at(10, 1, "", "", "d", ""), at(9, 2, "", "", "c", ""), at(9, 1, "", "", "a", ""), at(9, 1, "", "", "b", ""), {File: "a.yaml", Message: "first"}}
	l.Sort()
	var got []string
	for _, p := range l {
		got = append(got, p.Message)
	}
	if g, want := strings.Join(got, " "), "first a b c d"; g != want {
		t.Errorf("got %s, want %s", g, want)
	}
}

func TestNearestFindsSlipsAndNothingElse(t *testing.T) {
	known := []string{"memory", "machines", "image", "allow", "cpus", "laptop"}
	for word, want := range map[string]string{
		"memroy": "memory", "machine": "machines", "img": "", "alow": "allow", "CPUS": "cpus", "cpu": "cpus", "lptop": "laptop", "zebra": "", "": "",
		strings.Repeat("x", 100_000): "",
	} {
		if got := problem.Nearest(word, known); got != want {
			t.Errorf("%.20q: got %q, want %q", word, got, want)
		}
	}
}

func TestJSONLeavesOutWhatIsNotKnown(t *testing.T) {
	got, err := json.Marshal(problem.Problem{Severity: problem.Note, Message: "m"})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"severity":"note","message":"m"}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzPrint(f *testing.F) {
	f.Add("a: b", 3, "message")
	f.Add("\t日本\x1b[31m"+strings.Repeat("y", 200), 180, "\x1b")
	f.Fuzz(func(t *testing.T, source string, column int, message string) {
		var out bytes.Buffer
		if err := problem.Print(&out, problem.List{at(1, column, source, source, message, message)}, false); err != nil {
			t.Fatal(err)
		}
		for _, r := range out.String() {
			if r < ' ' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 {
				t.Fatalf("the control character %U came through", r)
			}
		}
		for line := range strings.Lines(out.String()) {
			if strings.HasSuffix(strings.TrimSpace(line), "^") && len(line) > 10_000 {
				t.Fatalf("a caret line of %d bytes", len(line))
			}
		}
	})
}
