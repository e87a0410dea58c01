// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"
)

// GitHub shows the first 5,000 results of a run and refuses a file with more than 25,000, or larger than 10 MB compressed
// (docs.github.com, "results exceed limit"). Rows are sorted, so the first are the worst.
const (
	sarifResults = 5000
	sarifMessage = 4000
)

const sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool        sarifTool         `json:"tool"`
	Invocations []sarifInvocation `json:"invocations"`
	ColumnKind  string            `json:"columnKind"`
	Results     []sarifResult     `json:"results"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version,omitempty"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID      string        `json:"id"`
	Short   sarifText     `json:"shortDescription"`
	Help    sarifText     `json:"help"`
	Default sarifDefault  `json:"defaultConfiguration"`
	Props   sarifRuleBits `json:"properties"`
}

type sarifRuleBits struct {
	Tags     []string `json:"tags"`
	Severity string   `json:"security-severity,omitempty"` // GitHub sorts by it
}

type sarifDefault struct {
	Level string `json:"level"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifInvocation struct {
	Successful    bool                `json:"executionSuccessful"`
	End           string              `json:"endTimeUtc,omitempty"`
	Notifications []sarifNotification `json:"toolExecutionNotifications"`
}

type sarifNotification struct {
	Level   string    `json:"level"`
	Message sarifText `json:"message"`
}

type sarifResult struct {
	RuleID       string             `json:"ruleId"`
	RuleIndex    int                `json:"ruleIndex"`
	Level        string             `json:"level"`
	Message      sarifText          `json:"message"`
	Locations    []sarifLocation    `json:"locations"`
	Fingerprints map[string]string  `json:"partialFingerprints,omitempty"`
	Suppressions []sarifSuppression `json:"suppressions,omitempty"`
}

type sarifLocation struct {
	Physical sarifPhysical `json:"physicalLocation"`
}

type sarifPhysical struct {
	Artifact sarifArtifact `json:"artifactLocation"`
	Region   sarifRegion   `json:"region"`
}

type sarifArtifact struct {
	URI string `json:"uri"`
}

type sarifRegion struct {
	StartLine int `json:"startLine"`
}

type sarifSuppression struct {
	Kind          string `json:"kind"`
	Status        string `json:"status"`
	Justification string `json:"justification,omitempty"`
}

// writeSARIF writes SARIF 2.1.0: a result for each row that counts or is waived (then suppressed), at its line of the definition or recipe.
// Fingerprints are the rows', so a code host follows a finding from audit to audit.
func writeSARIF(w io.Writer, r *Report, o WriteOptions) error {
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "evenkeel", Version: inertLine(r.Tool, 200), Rules: []sarifRule{}}},
		ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	s := summarize(r)
	notes := []sarifNotification{{"note", sarifText{selfReported}}}
	for i, l := range s.verdict(r) {
		level := "note"
		if i == 0 && s.findings == 0 && !s.clean(r) {
			level = "warning"
		}
		notes = append(notes, sarifNotification{level, sarifText{l}})
	}
	rules := map[string]int{}
	left := 0
	for i := range r.Rows {
		row := &r.Rows[i]
		if !row.Counts && row.Waiver == "" {
			continue
		}
		if len(run.Results) == sarifResults {
			left++
			continue
		}
		id := sarifRuleID(row)
		at, known := rules[id]
		if !known {
			at = len(rules)
			rules[id] = at
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, newSARIFRule(id, row))
		}
		run.Results = append(run.Results, newSARIFResult(r, row, id, at, o.Definition))
	}
	if left > 0 {
		more := fmt.Sprintf("%s left out: code hosts show no more than %s", counted(left, "result"), grouped(sarifResults))
		if o.Link != "" {
			more += "; all are in " + inertLine(o.Link, keyBytes)
		}
		notes = append(notes, sarifNotification{"warning", sarifText{more}})
	}
	for i, n := range r.Notes {
		if i == 100 {
			break
		}
		notes = append(notes, sarifNotification{"note", sarifText{inertLine(n, noteBytes)}})
	}
	run.Invocations = []sarifInvocation{{!nothingCompared(r), r.At.UTC().Format("2006-01-02T15:04:05.000Z"), notes}}
	data, err := json.MarshalIndent(sarifLog{sarifSchema, "2.1.0", []sarifRun{run}}, "", " ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(inertJSON(data), '\n'))
	return err
}

// sarifRuleID is kind, section and severity: what a level can be given to.
func sarifRuleID(row *Row) string {
	return inertLine(string(row.Kind)+"/"+row.Section+"/"+string(row.Severity), 200)
}

func sarifLevel(s Severity) string {
	switch s {
	case Security:
		return "error"
	case Packages, Config:
		return "warning"
	}
	return "note"
}

func newSARIFRule(id string, row *Row) sarifRule {
	rule := sarifRule{ID: id, Default: sarifDefault{sarifLevel(row.Severity)}, Props: sarifRuleBits{Tags: []string{"parity", string(kindOrOther(row.Kind))}}}
	what := inertLine(row.Section, keyBytes)
	switch row.Kind {
	case Skew:
		rule.Short.Text = "Tiers differ in " + what
	case Drift:
		rule.Short.Text = "A machine differs from its image in " + what
	case Stale:
		rule.Short.Text = "A machine is older than it may be (" + what + ")"
	case Inventory:
		rule.Short.Text = "The machines are not those of the plan"
	default:
		rule.Short.Text = "A difference in " + what
	}
	rule.Help.Text = rule.Short.Text + ". " + selfReported
	if row.Severity == Security {
		rule.Props.Tags = append(rule.Props.Tags, "security")
		rule.Props.Severity = "7.0"
	}
	return rule
}

func kindOrOther(k Kind) Kind {
	switch k {
	case Skew, Drift, Stale, Inventory:
		return k
	}
	return "other"
}

func newSARIFResult(r *Report, row *Row, id string, at int, definition string) sarifResult {
	res := sarifResult{RuleID: id, RuleIndex: at, Level: sarifLevel(row.Severity), Message: sarifText{sarifPlain(rowText(r, row))}}
	res.Locations = []sarifLocation{{sarifPhysical{sarifArtifact{sarifURI(row.File, definition)}, sarifRegion{max(1, row.Line)}}}}
	if row.Fingerprint != "" {
		res.Fingerprints = map[string]string{"evenkeel/v1": inertLine(row.Fingerprint, 200)}
	}
	if row.Waiver != "" && !row.Counts {
		res.Suppressions = []sarifSuppression{{"external", "accepted", "waiver " + inertLine(row.Waiver, keyBytes)}}
	}
	return res
}

// sarifPlain keeps text of machines from being read as SARIF's links, [text](target), and placeholders, {0} (sections 3.11.5 and 3.11.6).
func sarifPlain(s string) string {
	if len(s) > sarifMessage {
		at := sarifMessage
		for !utf8.RuneStart(s[at]) {
			at--
		}
		s = s[:at] + "…"
	}
	return strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, "{", "{{", "}", "}}").Replace(s)
}

// sarifURI is a file within the project as a relative URI; what is none of the project's files becomes the definition.
func sarifURI(file, definition string) string {
	for _, f := range []string{file, definition} {
		f = path.Clean(strings.ReplaceAll(f, `\`, "/"))
		if f != "." && f != ".." && !path.IsAbs(f) && !strings.HasPrefix(f, "../") && utf8.ValidString(f) {
			return strings.TrimPrefix((&url.URL{Path: f}).String(), "./")
		}
	}
	return "env.yaml"
}
