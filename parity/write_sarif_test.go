// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"cmp"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/evenkeel/evenkeel/parity"
)

// sarifSchema is testdata/sarif.json, the part of SARIF 2.1.0 that we write, with its constraints and what GitHub asks for beyond it; or the
// committee's own, where it is at hand.
var sarifSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	return c.Compile(cmp.Or(os.Getenv("EVENKEEL_SARIF_SCHEMA"), "testdata/sarif.json"))
})

func checkSARIF(t *testing.T, out string) {
	t.Helper()
	schema, err := sarifSchema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
	if err != nil {
		t.Fatalf("sarif: %v", err)
	}
	if err := schema.Validate(doc); err != nil {
		t.Errorf("sarif: %v", err)
	}
}

type sarifFile struct {
	Runs []struct {
		Results []struct {
			RuleID    string
			RuleIndex int
			Level     string
			Message   struct{ Text string }
			Locations []struct {
				PhysicalLocation struct {
					ArtifactLocation struct{ URI string }
					Region           struct{ StartLine int }
				}
			}
			PartialFingerprints map[string]string
			Suppressions        []struct{ Kind, Justification string }
		}
		Tool struct {
			Driver struct{ Rules []struct{ ID string } }
		}
	}
}

func TestSARIFPointsIntoTheProjectWithStableFingerprints(t *testing.T) {
	r := smallReport()
	hostile := []string{"/etc/passwd", "../../x", "..", `..\..\x`, "https://evil.example/x", "images/a b#c?d.yaml", ""}
	for i, file := range hostile {
		row := r.Rows[0]
		row.File, row.Line, row.Fingerprint = file, -i, "f"+file
		r.Rows = append(r.Rows, row)
	}
	out := written(t, r, "sarif", parity.WriteOptions{Definition: "deploy/env.yaml"})
	checkSARIF(t, out)
	var log sarifFile
	if err := json.Unmarshal([]byte(out), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	var got []string
	suppressed := 0
	for _, res := range run.Results {
		loc := res.Locations[0].PhysicalLocation
		got = append(got, loc.ArtifactLocation.URI)
		if loc.Region.StartLine < 1 {
			t.Errorf("line %d", loc.Region.StartLine)
		}
		if run.Tool.Driver.Rules[res.RuleIndex].ID != res.RuleID {
			t.Errorf("rule %d is not %s", res.RuleIndex, res.RuleID)
		}
		if len(res.Suppressions) > 0 {
			suppressed++
		}
	}
	want := "images/web.yaml deploy/env.yaml deploy/env.yaml env.yaml deploy/env.yaml deploy/env.yaml deploy/env.yaml " +
		"deploy/env.yaml deploy/env.yaml deploy/env.yaml deploy/env.yaml https%3A/evil.example/x images/a%20b%23c%3Fd.yaml deploy/env.yaml"
	if strings.Join(got, " ") != want {
		t.Errorf("locations:\ngot  %s\nwant %s", strings.Join(got, " "), want)
	}
	if suppressed != 1 {
		t.Errorf("%d results are suppressed, want the waived one", suppressed)
	}
	if f := run.Results[0].PartialFingerprints["evenkeel/v1"]; f != r.Rows[0].Fingerprint {
		t.Errorf("got fingerprint %q", f)
	}
}
