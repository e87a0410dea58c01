// SPDX-License-Identifier: Apache-2.0

package strictyaml_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

// walk asks a document for one value of every type.
type walked struct {
	Text  string
	Line  string
	Lines []string
	Int   int
	Bool  bool
	Size  int64
	Span  time.Duration
	Word  string
	Map   map[string]string
	JSON  string
}

func walk(doc *strictyaml.Doc) walked {
	f := doc.Root().Fields(strictyaml.Keys{
		Now:   []string{"text", "line", "lines", "int", "bool", "size", "span", "word", "map", "json", "need"},
		Later: []string{"secrets"},
	})
	w := walked{
		Text: f.Get("text").Str(), Line: f.Get("line").Line(), Lines: f.Get("lines").Lines(), Int: f.Get("int").Int(1, 512),
		Bool: f.Get("bool").Bool(), Size: f.Get("size").Size(1<<20, 1<<40), Span: f.Get("span").Duration(time.Second, 30*24*time.Hour),
		Word: f.Get("word").OneOf("tcp", "udp"), Map: f.Get("map").StrMap(), JSON: string(f.Get("json").JSON()),
	}
	f.Need("need").Line()
	return w
}

func TestEveryProblemIsToldWithItsPosition(t *testing.T) {
	files, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases found: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			doc := strictyaml.Parse("f.yaml", a.Files[0].Data)
			walk(doc)
			var got bytes.Buffer
			if err := problem.Print(&got, doc.Problems(), false); err != nil {
				t.Fatal(err)
			}
			if *update {
				a.Files = append(a.Files[:1], txtar.File{Name: "want", Data: got.Bytes()})
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(a.Files) != 2 {
				t.Fatalf("%s has no part want; run go test -update", file)
			}
			if want := string(a.Files[1].Data); got.String() != want {
				t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
			}
		})
	}
}

func TestValuesAreReadAsWritten(t *testing.T) {
	doc := strictyaml.Parse("f.yaml", []byte(`
text: "1.10"
line: &l hello
lines: [*l, 2024-01-01, "yes"]
int: 512
bool: true
size: 512MiB
span: 1d2h
word: udp
map: {A: "", B: "on"}
json: {n: 1, f: 1.5, t: text, b: false, z: null, l: [1, {}]}
need: x
`))
	got := walk(doc)
	if list := doc.Problems(); len(list) != 0 {
		t.Fatalf("problems in a good file:\n%v", list)
	}
	want := walked{
		Text: "1.10", Line: "hello", Lines: []string{"hello", "2024-01-01", "yes"}, Int: 512, Bool: true, Size: 512 << 20,
		Span: 26 * time.Hour, Word: "udp", Map: map[string]string{"A": "", "B": "on"},
		JSON: `{"b":false,"f":1.5,"l":[1,{}],"n":1,"t":"text","z":null}`,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestUnusableBytesAreRefusedBeforeParsing(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":         {nil, "f.yaml: the file is empty"},
		"only comments": {[]byte("# nothing\n"), "f.yaml: the file is empty"},
		"NUL":           {[]byte("a: \x00"), "f.yaml: the file is binary: byte 4 is NUL"},
		"escape":        {[]byte("a: b\nc: \x1b[31m"), "f.yaml:2:4: the character U+001B is not allowed in YAML"},
		"no UTF-8":      {[]byte("a: b\nä: \xff"), "f.yaml:2:4: byte 0xff is no UTF-8"},
		"UTF-16":        {[]byte("\xff\xfea\x00"), "f.yaml: the file is UTF-16; allowed is UTF-8"},
		"too large":     {bytes.Repeat([]byte("#"), strictyaml.MaxBytes+1), "f.yaml: the file is larger than 1MiB, the most that is read"},
	} {
		t.Run(name, func(t *testing.T) {
			doc := strictyaml.Parse("f.yaml", c.data)
			if doc.Root() != nil {
				t.Error("the document has a root")
			}
			if got := doc.Problems().Error(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestExplodingAliasesAreRefusedQuickly(t *testing.T) {
	var b strings.Builder
	b.WriteString("k0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 30 {
		fmt.Fprintf(&b, "k%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), i)
	}
	start := time.Now()
	doc := strictyaml.Parse("f.yaml", []byte(b.String()))
	if doc.Root() != nil {
		t.Error("the document has a root")
	}
	if got, want := doc.Problems().Error(), "comes to more than 50000 values"; !strings.Contains(got, want) {
		t.Errorf("got %s; want it to say %q", got, want)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	doc := strictyaml.Parse("f.yaml", []byte("{need: x, "+strings.Repeat("zzz: 1, ", 5000)+"}"))
	walk(doc)
	list := doc.Problems()
	if got, want := len(list), strictyaml.MaxProblems+1; got != want {
		t.Fatalf("got %d problems, want %d", got, want)
	}
	if got, want := list[len(list)-1].Message, "and 4900 more problems"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, p := range list {
		if len(p.Source) > 2000 {
			t.Fatalf("a problem carries %d bytes of source", len(p.Source))
		}
	}
}

func TestANoteStopsNothing(t *testing.T) {
	doc := strictyaml.Parse("f.yaml", []byte("a: 1\nb: x\n"))
	doc.Root().Map("a", "b").Get("b").Notef("by the way").Hint = "nothing to do"
	list := doc.Problems()
	if got, want := list.Error(), "f.yaml:2:4: note: b: by the way"; got != want || list.Err() != nil {
		t.Errorf("got %s, %v; want %s", got, list.Err(), want)
	}
}

// Each of these is a megabyte made to cost more than its length.
func TestNoFileOfTheAllowedSizeTakesLong(t *testing.T) {
	for name, unit := range map[string]string{
		"flow": "[", "block": "- ", "keys": "? ", "maps": "{a: ", "anchors": "&a ", "quotes": "'", "tags": "! ", "lists": "[[]],", "wide": "a: b\n",
		"nested": "- - - - - - - - - -\n", "comments": "#\n", "aliases": "- *a\n", "text": "x ", "folded": "x\n\n", "directives": "%a\n", "documents": "---\n",
	} {
		text := strings.Repeat(unit, strictyaml.MaxBytes/len(unit))
		if name == "lists" {
			text = "[" + text[1:]
		}
		start := time.Now()
		doc := strictyaml.Parse("f.yaml", []byte(text))
		walk(doc)
		if took := time.Since(start); took > time.Minute {
			t.Errorf("%s: it took %v", name, took)
		}
		if doc.Problems().Err() == nil {
			t.Errorf("%s: no problem was found", name)
		}
	}
}

func TestDeepNestingIsRefused(t *testing.T) {
	for _, text := range []string{strings.Repeat("[", 9000) + strings.Repeat("]", 9000), strings.Repeat("[", 100_000)} {
		doc := strictyaml.Parse("f.yaml", []byte(text))
		if doc.Root() != nil || doc.Problems().Err() == nil {
			t.Errorf("%d levels were accepted", len(text)/2)
		}
	}
}

func TestReadFileRefusesWhatIsNoRegularFile(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, pipe} {
		if _, err := strictyaml.ReadFile(path); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("%s: got %v", path, err)
		}
	}
	if _, err := strictyaml.ReadFile(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent file: got %v, want fs.ErrNotExist", err)
	}
}

func TestSizesAndDurationsSurviveARoundTrip(t *testing.T) {
	for _, text := range []string{"1B", "1KiB", "1536MiB", "2GiB", "1TiB"} {
		size, err := strictyaml.ParseSize(text)
		if got := strictyaml.FormatSize(size); err != nil || got != text {
			t.Errorf("%s: got %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"1s", "1m30s", "2h", "30d", "1d1h1m1s"} {
		span, err := strictyaml.ParseDuration(text)
		if got := strictyaml.FormatDuration(span); err != nil || got != text {
			t.Errorf("%s: got %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1", "1M", "MiB", "-1MiB", "1.5GiB", "1 5MiB"} {
		if size, err := strictyaml.ParseSize(text); err == nil {
			t.Errorf("size %q was read as %d", text, size)
		}
	}
	for _, text := range []string{"", "1", "s", "1s1m", "-1s", "1.5h", "1w"} {
		if span, err := strictyaml.ParseDuration(text); err == nil {
			t.Errorf("span %q was read as %v", text, span)
		}
	}
	for _, number := range []string{"999999999999999999", strings.Repeat("9", 100)} {
		if size, err := strictyaml.ParseSize(number + "TiB"); size != math.MaxInt64 || err != nil {
			t.Errorf("the size %sTiB became %d, %v", number, size, err)
		}
		if span, err := strictyaml.ParseDuration("1d" + number + "s"); span != math.MaxInt64 || err != nil {
			t.Errorf("the span 1d%ss became %v, %v", number, span, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "a: 1\n", "a: &a [*a]", "text: yes\nint: 0644\nsize: 1GB\n", "? [a]\n: b", "<<: *x", "---\n---\n", "json: {a: [1, .inf, ~]}", "a: !!binary x", "line: |\n  x\n  y"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc := strictyaml.Parse("f.yaml", data)
		walk(doc)
		list := doc.Problems()
		if doc.Root() == nil && list.Err() == nil {
			t.Fatal("no root and no problem")
		}
		var out bytes.Buffer
		if err := problem.Print(&out, list, false); err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			if p.Message == "" || p.Line < 0 || p.Column < 0 {
				t.Fatalf("malformed problem %+v", p)
			}
		}
	})
}
