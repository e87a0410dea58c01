// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/evenkeel/evenkeel/parity"
)

// twoSnapshots are snapshots with everything that one can hold.
func twoSnapshots() []*parity.Snapshot {
	section := func(name string, items ...parity.Item) parity.Section {
		return parity.Section{Name: name, Lane: parity.Stable, Digest: parity.DigestSection(items), Items: items}
	}
	full := &parity.Snapshot{
		Format: 1, Collector: strings.Repeat("ab", 32), Taken: time.Date(2026, 11, 3, 8, 0, 0, 5000, time.UTC), Skew: -0.25, KeyID: "0011223344556677",
		Subject: parity.Subject{Project: "p", Env: "shop.laptop", Tier: "laptop", Name: "web-1", Kind: "web", ImageKey: "k", ImageDigest: "d", Created: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), HostKernel: true},
		Sections: []parity.Section{
			section("etc", parity.Item{Key: "/etc/a<b>&", Value: "0644 root:root sha256:00", Body: "x\u2028\n\x1b", Since: "2026-01-01T00:00:00Z"}, parity.Item{Key: "/etc/b", Unknown: "no right", Lane: parity.Volatile}),
			section("packages"),
			{Name: "sshd", Lane: parity.Stable, Unknown: "only root may", Digest: parity.DigestSection(nil)},
		},
	}
	return []*parity.Snapshot{full, {Format: 1, Taken: full.Taken, Subject: parity.Subject{Tier: "laptop", Name: "web-2"}, Unreachable: "refused"}}
}

func jsonLines(t testing.TB, list []*parity.Snapshot) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, s := range list {
		line, err := parity.MarshalSnapshot(s)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	return b.Bytes()
}

func readAll(data []byte) (list []*parity.Snapshot, err error) {
	err = parity.ReadSnapshots(bytes.NewReader(data), "f.json", func(s *parity.Snapshot) error {
		list = append(list, s)
		return nil
	})
	return list, err
}

func TestSnapshotsComeBackAsWritten(t *testing.T) {
	want := twoSnapshots()
	data := jsonLines(t, want)
	got, err := readAll(data)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if again := jsonLines(t, got); !bytes.Equal(again, data) {
		t.Errorf("written again:\n%s\nwant\n%s", again, data)
	}
	if bytes.Count(data, []byte("\n")) != 2 || bytes.Contains(data, []byte(`\u003c`)) || bytes.Contains(data, []byte(": ")) {
		t.Errorf("not canonical: %s", data)
	}
}

func TestASnapshotMayBeIndented(t *testing.T) {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.SplitN(jsonLines(t, twoSnapshots()), []byte("\n"), 2)[0], "", "  "); err != nil {
		t.Fatal(err)
	}
	got, err := readAll(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(twoSnapshots()[:1], got); d != "" {
		t.Error(d)
	}
}

func TestSectionsOfEqualDigestsShareTheirItems(t *testing.T) {
	one := func(name, section, body string) *parity.Snapshot {
		s := twoSnapshots()[0]
		items := []parity.Item{{Key: "/etc/a", Value: "0644", Body: body + strings.Repeat("x", 16<<10)}}
		s.Subject.Name, s.Sections = name, []parity.Section{{Name: section, Lane: parity.Stable, Digest: parity.DigestSection(items), Items: items}}
		return s
	}
	var list []*parity.Snapshot
	for i := range 4200 { // what each has of its own must not take the room of what they share
		list = append(list, one(fmt.Sprint("web-", i), "etc_own", fmt.Sprint(i)))
	}
	list = append(list, one("web-8", "etc", "a"), one("web-9", "etc", "a"))
	got, err := readAll(jsonLines(t, list))
	if err != nil {
		t.Fatal(err)
	}
	if &got[4200].Sections[0].Items[0] != &got[4201].Sections[0].Items[0] {
		t.Error("items are twice in memory")
	}
}

// Each change makes a file that is refused, with where and why.
func TestSnapshotsThatAreWrongAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *parity.Snapshot)
		want   string
	}{
		"format":             {func(s *parity.Snapshot) { s.Format = 2 }, "f.json:2: snapshot 2: format: got 2; this program reads 1"},
		"no name":            {func(s *parity.Snapshot) { s.Subject.Name = "" }, "subject.name: it is missing"},
		"no time":            {func(s *parity.Snapshot) { s.Taken = time.Time{} }, "taken: it is missing"},
		"collector":          {func(s *parity.Snapshot) { s.Collector = "AB" }, "collector: got"},
		"clock":              {func(s *parity.Snapshot) { s.Skew = 1e300 }, "skew_seconds"},
		"read, unreachable":  {func(s *parity.Snapshot) { s.Unreachable = "x" }, "has no sections"},
		"digest":             {func(s *parity.Snapshot) { s.Sections[0].Items[0].Value = "other" }, `sections[0] ("etc"): digest: got`},
		"order of sections":  {func(s *parity.Snapshot) { s.Sections[0].Name = "z" }, `sections[1] ("packages"): sections must be sorted`},
		"section twice":      {func(s *parity.Snapshot) { s.Sections[1] = s.Sections[0] }, "sorted by name, each once"},
		"lane":               {func(s *parity.Snapshot) { s.Sections[0].Lane = "fast" }, `lane: got "fast"; allowed are`},
		"lane of an item":    {func(s *parity.Snapshot) { s.Sections[0].Items[1].Lane = "fast" }, `items[1] ("/etc/b").lane`},
		"order of items":     {func(s *parity.Snapshot) { s.Sections[0].Items[0].Key = "/z" }, `items[1] ("/etc/b"): items must be sorted`},
		"item without key":   {func(s *parity.Snapshot) { s.Sections[0].Items[0].Key = "" }, "items[0].key: it is missing"},
		"unknown with items": {func(s *parity.Snapshot) { s.Sections[0].Unknown = "x" }, "a section that is unknown has none"},
	} {
		s := twoSnapshots()[0]
		c.change(s)
		got, err := readAll(jsonLines(t, []*parity.Snapshot{twoSnapshots()[0], s}))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "cannot read f.json:2: snapshot 2: ") || len(got) != 1 {
			t.Errorf("%s: got %d snapshots, %v; want %q", name, len(got), err, c.want)
		}
	}
	good := string(jsonLines(t, twoSnapshots()[:1]))
	for name, c := range map[string]struct{ text, want string }{
		"empty":         {"", "it holds no snapshot"},
		"blank":         {" \n\n", "it holds no snapshot"},
		"list":          {"[" + good + "]", "array"},
		"other JSON":    {`{"a":1}`, "it has no format: it is no snapshot"},
		"broken off":    {good[:len(good)/2], "it ends in the middle"},
		"no JSON":       {good + "\nx", "f.json:3: snapshot 2: invalid character"},
		"unknown field": {strings.Replace(good, `"key_id"`, `"colour":1,"key_id"`, 1), `unknown field "colour"`},
		"wrong type":    {strings.Replace(good, `"tier":"laptop"`, `"tier":7`, 1), "subject.tier: got number"},
	} {
		if _, err := readAll([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v; want %q", name, err, c.want)
		}
	}
	endless := &repeated{text: `{"format":1,"collector":"`}
	err := parity.ReadSnapshots(endless, "f.json", func(*parity.Snapshot) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "longer than 64 MiB") {
		t.Errorf("endless: %v", err)
	}
}

// repeated is text, and then the letter a for ever.
type repeated struct{ text string }

func (r *repeated) Read(p []byte) (int, error) {
	if r.text != "" {
		n := copy(p, r.text)
		r.text = r.text[n:]
		return n, nil
	}
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func snapshotSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(parity.SnapshotSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("snapshot.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("snapshot.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSnapshotsAreAsTheirSchemaSays(t *testing.T) {
	schema := snapshotSchema(t)
	valid := func(line []byte) error {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(doc)
	}
	for line := range bytes.Lines(jsonLines(t, twoSnapshots())) {
		if err := valid(line); err != nil {
			t.Error(err)
		}
	}
	for name, change := range map[string]func(s *parity.Snapshot){
		"format":             func(s *parity.Snapshot) { s.Format = 2 },
		"no name":            func(s *parity.Snapshot) { s.Subject.Name = "" },
		"collector":          func(s *parity.Snapshot) { s.Collector = "AB" },
		"no collector":       func(s *parity.Snapshot) { s.Collector = "" },
		"read, unreachable":  func(s *parity.Snapshot) { s.Unreachable = "x" },
		"digest":             func(s *parity.Snapshot) { s.Sections[0].Digest = "x" },
		"lane":               func(s *parity.Snapshot) { s.Sections[0].Lane = "fast" },
		"item without key":   func(s *parity.Snapshot) { s.Sections[0].Items[0].Key = "" },
		"unknown with items": func(s *parity.Snapshot) { s.Sections[0].Unknown = "x" },
	} {
		s := twoSnapshots()[0]
		change(s)
		if valid(jsonLines(t, []*parity.Snapshot{s})) == nil {
			t.Errorf("%s: the schema takes it, ReadSnapshots does not", name)
		}
	}
}

// Every field of the types is one of the schema, and the other way round.
func TestSchemaAndTypesHaveTheSameFields(t *testing.T) {
	type node struct {
		Properties map[string]node
		Defs       map[string]node `json:"$defs"`
	}
	var schema node
	if err := json.Unmarshal(parity.SnapshotSchema(), &schema); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		of   reflect.Type
		node node
	}{
		{reflect.TypeFor[parity.Snapshot](), schema}, {reflect.TypeFor[parity.Subject](), schema.Properties["subject"]},
		{reflect.TypeFor[parity.Section](), schema.Defs["section"]}, {reflect.TypeFor[parity.Item](), schema.Defs["item"]},
	} {
		var got []string
		for i := range c.of.NumField() {
			name, _, _ := strings.Cut(c.of.Field(i).Tag.Get("json"), ",")
			got = append(got, name)
		}
		slices.Sort(got)
		if d := cmp.Diff(slices.Sorted(maps.Keys(c.node.Properties)), got); d != "" {
			t.Errorf("%s: %s", c.of, d)
		}
	}
}

// FuzzMarshalSnapshot holds our writer to encoding/json, byte for byte.
func FuzzMarshalSnapshot(f *testing.F) {
	f.Add("/etc/a", "x", "line\n\t\"quoted\" \\ <b> \u2028\x7f\x00\x1f\b\f \u00e4\xff\xed\xa0\x80", "unknown")
	f.Fuzz(func(t *testing.T, key, value, body, unknown string) {
		items := []parity.Item{{Key: key, Value: value, Body: body}, {Key: value, Since: key, Unknown: unknown, Lane: parity.Lane(body)}}
		s := &parity.Snapshot{Format: 1, Subject: parity.Subject{Name: key, Tier: `,"sections":null`}, Unreachable: unknown, Sections: []parity.Section{
			{Name: value, Lane: parity.Stable, Items: items}, {Name: "z", Unknown: unknown}, {Name: key, Items: []parity.Item{}},
		}}
		for range 2 {
			var want bytes.Buffer
			enc := json.NewEncoder(&want)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(s); err != nil {
				t.Fatal(err)
			}
			got, err := parity.MarshalSnapshot(s)
			if err != nil || string(got)+"\n" != want.String() {
				t.Fatalf("%v: got\n%s\nwant\n%s", err, got, want.String())
			}
			s.Sections = nil
		}
		want, err := json.Marshal(items[:1])
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(want), `\u00`) && parity.DigestSection(items[:1]) != sum(string(want)) {
			t.Errorf("the digest of %s is not that of its JSON", want)
		}
	})
}

func FuzzReadSnapshots(f *testing.F) {
	f.Add(jsonLines(f, twoSnapshots()))
	f.Add([]byte(`{"format":1}{"format":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readAll(data)
		// Laid out in another way it is read by other code, which must come to the same.
		var indented bytes.Buffer
		if json.Indent(&indented, data, "", " ") == nil {
			other, otherErr := readAll(indented.Bytes())
			if d := cmp.Diff(got, other); d != "" || (err == nil) != (otherErr == nil) {
				t.Errorf("%v, %v: %s", err, otherErr, d)
			}
		}
		if err != nil {
			if strings.ContainsAny(err.Error(), "\x1b\x00") {
				t.Errorf("the error holds what a terminal acts on: %q", err)
			}
			return
		}
		again, err := readAll(jsonLines(t, got))
		if err != nil {
			t.Fatal(fmt.Errorf("what was read is refused: %w", err))
		}
		if d := cmp.Diff(got, again); d != "" {
			t.Error(d)
		}
	})
}
