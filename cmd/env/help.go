// SPDX-License-Identifier: Apache-2.0

package main

import "strings"

// The texts that --help prints; the names are urfave/cli's.
const (
	appHelp = `{{.Name}}: {{.Usage}}

usage: {{.Name}} VERB [ARGUMENTS] [OPTIONS]

{{range .VisibleCommands}}  {{join .Names ", "}}{{"\t"}}{{.Usage}}
{{end}}
Begin with: evenkeel init, then: evenkeel up
More of a verb: evenkeel help VERB
`
	verbHelp = `usage: {{.HelpName}} [OPTIONS]{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}

{{.Usage}}
{{if .Description}}
{{.Description}}
{{end}}
options:
{{range .VisibleFlags}}  {{.}}
{{end}}`
	subHelp = `usage: {{.HelpName}} {{.ArgsUsage}} [ARGUMENTS] [OPTIONS]

{{.Usage}}

{{range .VisibleCommands}}  {{join .Names ", "}}{{"\t"}}{{.Usage}}
{{end}}`
)

// wrapped is text in lines of at most 80 columns.
func wrapped(text string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		switch {
		case column == 0:
		case column+1+len(word) > 80:
			b.WriteString("\n")
			column = 0
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
