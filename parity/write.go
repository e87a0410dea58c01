// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"fmt"
	"io"
	"strings"
)

// selfReported is said by every report: nothing in it was seen from outside.
const selfReported = "Facts are what the machines report of themselves; a machine that lies about itself is not found out by this report."

// WriteOptions are what a report's reader needs; the zero value serves a file.
type WriteOptions struct {
	Width int  // text: columns of the terminal; 0: 100
	Color bool // text: ANSI colours
	ASCII bool // text: glyphs for terminals that show no UTF-8
	// Rows is how many rows the text shows at most, the worst; 0: all. What is left out is counted.
	Rows int
	// Bytes is how large Markdown may get: SummaryBytes (what 0 means) or CommentBytes.
	Bytes int
	// Link is where the whole report lies, named where something had to be left out.
	Link string
	// Definition is the file that SARIF results without a place of their own point to; "": env.yaml.
	Definition string
}

// Format is a form a report can be written in.
type Format struct {
	Name  string // of --format
	File  string // its name in a folder of reports
	write func(io.Writer, *Report, WriteOptions) error
}

// Formats are all forms, text first.
func Formats() []Format {
	return []Format{
		{"text", "audit.txt", writeText},
		{"json", "audit.json", writeJSON},
		{"html", "audit.html", writeHTML},
		{"md", "audit.md", writeMarkdown},
		{"junit", "audit.junit.xml", writeJUnit},
		{"sarif", "audit.sarif", writeSARIF},
		{"prometheus", "evenkeel.prom", writePrometheus},
	}
}

// Write writes r in the named form. Everything in r that comes from machines is inert in what is written: no control character, no
// markup, no change of the direction of text; and bounded, with what was left out said. Equal reports give equal bytes.
func Write(w io.Writer, r *Report, format string, o WriteOptions) error {
	var names []string
	for _, f := range Formats() {
		if f.Name == format {
			if err := f.write(w, r, o); err != nil {
				return fmt.Errorf("cannot write the report as %s: %w", format, err)
			}
			return nil
		}
		names = append(names, f.Name)
	}
	return fmt.Errorf("cannot write the report: got format %q; allowed are %s", format, strings.Join(names, ", "))
}
