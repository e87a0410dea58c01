// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// json PATH WANT compares one value of the last command's standard output, which must be one JSON value: json machines.0.name db-1. `json PATH >NAME`
// puts it into a variable; len is a list's length.
func jsonField(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: json PATH WANT, or json PATH >VARIABLE")
	}
	var v any
	d := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	d.UseNumber()
	if err := d.Decode(&v); err != nil || d.More() {
		ts.Fatalf("stdout is not one JSON value: %v", err)
	}
	for _, key := range strings.Split(args[0], ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[key]
		case []any:
			i, err := strconv.Atoi(key)
			if key == "len" {
				v = len(at)
				continue
			}
			if err != nil || i >= len(at) {
				ts.Fatalf("%s: there are %d", args[0], len(at))
			}
			v = at[i]
		default:
			ts.Fatalf("%s: nothing there", args[0])
		}
	}
	got := fmt.Sprint(v)
	if name, ok := strings.CutPrefix(args[1], ">"); ok {
		ts.Setenv(name, got)
		return
	}
	if got != args[1] {
		ts.Fatalf("%s: got %s, want %s", args[0], got, args[1])
	}
}
