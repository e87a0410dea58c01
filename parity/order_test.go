// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Rows of drift are made of maps: what stands in another one's Also has an order all the same.
func TestEqualInputMakesAnEqualReportAlsoWhereOneChangeShowsInManyFacts(t *testing.T) {
	before := asMade().with("users", "root", "uid=0").with("groups", "root", "gid=0")
	after := before.with("users", "alice", "uid=1000").with("users", "bob", "uid=1001").with("groups", "alice", "gid=1000").with("groups", "bob", "gid=1001")
	for _, file := range []string{"/etc/passwd", "/etc/group", "/etc/subuid", "/etc/subgid"} {
		after = after.with("etc", file, plainFile(file))
	}
	one, two := imaged("web-1", before), imaged("web-2", after)
	two.Subject.Tier = "staging"
	want := ""
	for range 40 {
		text, err := json.MarshalIndent(compare(t, driftPolicy(), one, two), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = string(text)
		}
		if string(text) != want {
			t.Fatalf("equal input, another report:\n%s", cmp.Diff(want, string(text)))
		}
	}
}
