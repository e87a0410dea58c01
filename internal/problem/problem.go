// SPDX-License-Identifier: Apache-2.0

// Package problem is what is wrong with a file a person wrote: where, what was got, what is allowed.
//
// It is for input that a person can correct. It is not for failures of the world (those are errors).
// The one rule: problems are gathered and shown all at once, never the first only.
package problem

import (
	"fmt"
	"strings"
)

// Severity says whether a problem stops the work.
type Severity string

const (
	Error Severity = "error" // the file cannot be used
	Note  Severity = "note"  // worth saying; the work goes on
)

// Problem is one thing wrong. Line and Column count from 1; 0 means the whole file.
type Problem struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"`
	Source   string   `json:"source,omitempty"` // the source line, without its newline
	Path     string   `json:"path,omitempty"`   // where in the document: machines.web.cpus
	Message  string   `json:"message"`          // what was got and what is allowed
	Hint     string   `json:"hint,omitempty"`   // what the user can do
}

// String is one line: file:line:column: path: message. Control characters in it are written as escapes.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	if p.Severity == Note {
		b.WriteString("note: ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	return escape(b.String())
}

// List is the problems of one piece of work, in the order of their positions. A List with no Error in it is no failure.
type List []Problem

// Err is l as an error where it holds at least one Error, else nil.
func (l List) Err() error {
	for _, p := range l {
		if p.Severity != Note {
			return l
		}
	}
	return nil
}

// Error makes List an error: one line for each problem.
func (l List) Error() string {
	lines := make([]string, len(l))
	for i, p := range l {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
