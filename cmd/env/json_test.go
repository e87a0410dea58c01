// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/trust"
	"github.com/evenkeel/evenkeel/parity"
)

// Scripts read what docs/json.md says: whatever field is printed is named there, in the part about its verb or one that this part points to.
func TestEveryFieldThatIsPrintedIsDescribed(t *testing.T) {
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]string{}
	for _, part := range strings.Split(string(text), "\n## ")[1:] {
		title, body, _ := strings.Cut(part, "\n")
		parts[title] = body
	}
	other := map[string]string{}
	for line := range strings.Lines(parts["The others"]) {
		if f := strings.SplitN(line, "|", 3); len(f) == 3 {
			other[strings.Trim(f[1], " ")] = f[2]
		}
	}
	_, settings, _ := strings.Cut(parts["status"], "status --settings")
	up := "up, start, resume, rebuild, refresh, snapshot restore"
	for _, c := range []struct {
		value any
		in    []string
	}{
		{statusReport{}, []string{parts["status"]}},
		{settingsReport{}, []string{parts["status"]}},
		{planned{}, []string{parts["plan"], settings}},
		{accessReport{}, []string{parts["access"]}},
		{refreshed{}, []string{parts[up], parts["plan"], parts["status"], parts["sync"]}},
		{synced{}, []string{parts["sync"]}},
		{downed{}, []string{parts["stop, suspend, down"]}},
		{snapshotsLine{}, []string{parts["snapshot save, list, delete"]}},
		{parity.Report{}, []string{parts["audit"]}},
		{verified{}, []string{parts["audit verify"], parts["audit"]}},
		{auditList{}, []string{parts["history"]}},
		{changeList{}, []string{parts["history"]}},
		{validation{}, []string{other["`validate`"]}},
		{trusting{}, []string{other["`trust`"]}},
		{trust.Project{}, []string{other["`trust`"]}},
		{foundProvider{}, []string{other["`providers`"]}},
		{finding{}, []string{other["`doctor`"]}},
		{collected{}, []string{other["`gc`"], parts["stop, suspend, down"]}},
		{images.Image{}, []string{other["`image build`"]}},
		{images.Stored{}, []string{other["`image list`, `image show`"], other["`image build`"]}},
		{pruned{}, []string{other["`image prune`"], other["`image list`, `image show`"], other["`image build`"]}},
		{version{}, []string{other["`version`"]}},
	} {
		where := strings.Join(c.in, "\n")
		for _, name := range jsonNames(reflect.TypeOf(c.value), nil) {
			if !strings.Contains(where, `"`+name+`"`) && !strings.Contains(where, "`"+name+"`") && !strings.Contains(where, "."+name+"`") {
				t.Errorf("%T prints %s, of which docs/json.md says nothing", c.value, name)
			}
		}
	}
}

// jsonNames are the fields that a value of that type prints, and those of what it holds.
func jsonNames(of reflect.Type, in []reflect.Type) (names []string) {
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return jsonNames(of.Elem(), in)
	case reflect.Struct:
	default:
		return nil
	}
	if slices.Contains(in, of) || of == reflect.TypeFor[time.Time]() {
		return nil
	}
	in = append(slices.Clone(in), of)
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() && !f.Anonymous {
			continue
		}
		if name != "" {
			names = append(names, name)
		}
		names = append(names, jsonNames(f.Type, in)...)
	}
	return names
}
