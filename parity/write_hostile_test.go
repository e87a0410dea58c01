// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/parity"
)

// hostile are texts that a machine could say of itself to reach whoever reads a report.
func hostile() map[string]string {
	return map[string]string{
		"nothing":               "",
		"terminal escapes":      "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b31m\u009b2K\r\b\x7f",
		"script":                `</script><script>document.title="hacked"</script><img src=x onerror=alert(1)>`,
		"end of style":          `</style><style>*{display:none}</style><!-- --><![CDATA[ ]]>`,
		"end of CDATA":          "a]]>b]]]]><![CDATA[>",
		"attributes":            `" onmouseover="alert(1)" x='` + "' autofocus onfocus=alert(1) `",
		"template":              "{{.Style}} {{define \"table\"}} ${1} {0} %s %!d",
		"direction":             "user\u202e\u2066 // isolate\u2069\u2066 \u200f\u061c",
		"invisible":             "a\u200bb\u2060c\ufeffd\u3164e\u00ade\u034f\ufe0f\U000e0041",
		"line ends":             "one\ntwo\rthree\u2028four\u2029five\u0085six\vseven\fEight",
		"no UTF-8":              "\xff\xfe\xc3\x28\xed\xa0\x80",
		"marks":                 "z" + strings.Repeat("\u0300", 400),
		"mention":               "@everyone #1 GH-1 octo/repo#2 https://evil.example www.evil.example mailto:a@evil.example",
		"link":                  "[click](https://evil.example) ![x](https://evil.example/i.png) <https://evil.example> [1]: https://evil.example",
		"table":                 "a | b \\| c \\\\| d |\n|---|---|\n| `x` | ``y``| $z$ <details><summary>",
		"heading":               "# h\n## h\n- [x] done\n1. one\n1) one\n> q\n```\ncode\n---\n===",
		"prometheus":            "\\\"} 1\nevenkeel_audit_in_parity 1\n# TYPE x",
		"json":                  `","counts":false,"x":"`,
		"path":                  "../../../etc/passwd",
		"javascript":            "javascript:alert(1)//\n",
		"formula":               "=HYPERLINK(\"https://evil.example\")",
		"wide":                  strings.Repeat("漢", 50),
		"backticks":             "`` ` ``` env rebuild `",
		"private use and noise": "\ue000\ufffe\U0010ffff\ufdd0",
	}
}

// everywhere sets every text of a small report to s, and keeps what the formats need to be told apart.
func everywhere(s string) *parity.Report {
	r := smallReport()
	fill(reflect.ValueOf(r).Elem(), s)
	return r
}

func fill(v reflect.Value, s string) {
	switch v.Kind() {
	case reflect.String:
		switch v.Type().Name() {
		case "Kind", "Severity", "State": // ours, not machines'
			return
		}
		v.SetString(s)
	case reflect.Struct:
		if v.Type().PkgPath() == "time" {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), s)
		}
	case reflect.Slice:
		for i := range v.Len() {
			fill(v.Index(i), s)
		}
	}
}

func TestHostileTextIsInertInEveryFormat(t *testing.T) {
	for name, text := range hostile() {
		t.Run(name, func(t *testing.T) { checkInert(t, everywhere(text), everywhere("x")) })
	}
}

// checkInert writes r in every format and looks for anything in it that is not plain text. like is a report of the same shape without malice.
func checkInert(t *testing.T, r, like *parity.Report) {
	t.Helper()
	for _, f := range parity.Formats() {
		out := written(t, r, f.Name, parity.WriteOptions{})
		if !utf8.ValidString(out) {
			t.Errorf("%s: no valid UTF-8", f.Name)
		}
		for i, c := range out {
			if c != '\n' && c != '\t' && !strconv.IsPrint(c) || unseen(c) {
				t.Errorf("%s: %U got through: %q", f.Name, c, out[max(0, i-40):min(len(out), i+20)])
				break
			}
		}
		if !strings.Contains(out, "report of themselves") {
			t.Errorf("%s does not say that facts are self-reported", f.Name)
		}
		switch f.Name {
		case "text":
			checkText(t, r)
		case "html":
			checkHTML(t, out, written(t, like, "html", parity.WriteOptions{}))
		case "json":
			checkJSON(t, out, r)
		case "md":
			checkMarkdown(t, out)
		case "junit":
			checkJUnit(t, out)
		case "sarif":
			checkSARIF(t, out)
		case "prometheus":
			checkPrometheus(t, out)
		}
	}
}

func unseen(c rune) bool {
	return slices.Contains([]rune{0x115f, 0x1160, 0x3164, 0xffa0, 0x2800, 0x034f}, c) || c >= 0xfe00 && c <= 0xfe0f
}

// checkText: in colour only our own sequences are there.
func checkText(t *testing.T, r *parity.Report) {
	t.Helper()
	out := written(t, r, "text", parity.WriteOptions{Color: true})
	ours := regexp.MustCompile(`\x1b\[(0|1|2|32|33|1;31)m`)
	if rest := ours.ReplaceAllString(out, ""); strings.ContainsAny(rest, "\x1b\x07\r\b") {
		t.Errorf("text: a foreign escape got through: %q", rest)
	}
	plain := written(t, r, "text", parity.WriteOptions{ASCII: true, Width: 80})
	if i := strings.IndexFunc(plain, func(r rune) bool { return r > 0x7e }); i >= 0 {
		t.Errorf("text: ASCII was asked for, got %q", plain[i:min(len(plain), i+20)])
	}
}

var (
	htmlQuoted = regexp.MustCompile(`"[^"]*"`)
	htmlTag    = regexp.MustCompile(`<(/?[a-zA-Z!][a-zA-Z0-9]*)([^<>]*)>`)
	htmlAttr   = regexp.MustCompile(`([a-zA-Z-]+)=`)
)

// checkHTML: no element and no attribute is there that a harmless report does not have.
func checkHTML(t *testing.T, out, like string) {
	t.Helper()
	known := map[string]bool{}
	body := func(s string) string { return s[strings.Index(s, "<body>"):strings.LastIndex(s, "<script>")] }
	for _, m := range htmlTag.FindAllStringSubmatch(body(like), -1) {
		known[m[1]] = true
		for _, a := range htmlAttr.FindAllStringSubmatch(htmlQuoted.ReplaceAllString(m[2], ""), -1) {
			known[" "+a[1]] = true
		}
	}
	for _, m := range htmlTag.FindAllStringSubmatch(body(out), -1) {
		if !known[m[1]] {
			t.Errorf("html: an element got through: %s", m[0])
		}
		bare := htmlQuoted.ReplaceAllString(m[2], "")
		for _, a := range htmlAttr.FindAllStringSubmatch(bare, -1) {
			if !known[" "+a[1]] {
				t.Errorf("html: an attribute got through: %s", m[0])
			}
		}
	}
	if n := strings.Count(out, "<script>"); n != 1 {
		t.Errorf("html: %d scripts", n)
	}
	if strings.Count(out, "<") != strings.Count(out[:strings.Index(out, "<body>")], "<")+strings.Count(body(out), "<")+strings.Count(out[strings.LastIndex(out, "<script>"):], "<") {
		t.Error("html: parts do not add up")
	}
	if strings.Count(body(out), "<") != len(htmlTag.FindAllString(body(out), -1)) {
		t.Error("html: a < is no element of ours")
	}
}

// checkJSON: the report comes back as it was, but for bytes that are no UTF-8.
func checkJSON(t *testing.T, out string, r *parity.Report) {
	t.Helper()
	var got parity.Report
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("json: %v", err)
	}
	var want parity.Report
	plain, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(plain, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("json (-want +got):\n%s", diff)
	}
}

var (
	mdCodes    = regexp.MustCompile("`[^`]*`|<code>[^<]*</code>|&#[0-9]+;|\\\\.")
	mdMentions = regexp.MustCompile(`(^|[^a-zA-Z0-9>])[@#][a-zA-Z0-9]|://|www\.|GH-[0-9]|\]\(|!\[|\$[a-z]`)
	mdEntity   = regexp.MustCompile(`&#(35|64);[a-zA-Z0-9]|&#58;(/|&#47;)|www&#46;[a-z]`)
	mdHTML     = regexp.MustCompile(`<(/?[a-z]+)>`)
)

func checkMarkdown(t *testing.T, out string) {
	t.Helper()
	bars := 0
	for line := range strings.Lines(out) {
		switch {
		case strings.HasPrefix(line, "|"):
			n := strings.Count(line, "|")
			if bars == 0 {
				bars = n
			}
			if n != bars {
				t.Errorf("md: a row has %d bars, its table %d: %.300q", n, bars, line)
			}
		case strings.TrimSpace(line) != "" && !slices.ContainsFunc([]string{"## ", "### ", "**", "Where", "Tiers", "No tier", "Checked", "> ", "- ", "<details><summary>", "</details>", "<sub>"}, func(p string) bool { return strings.HasPrefix(line, p) }):
			t.Errorf("md: a line got through: %.300q", line)
		default:
			bars = 0
		}
		if m := mdEntity.FindString(line); m != "" { // GitHub looks for links once entities are characters
			t.Errorf("md: %q makes a link: %.300q", m, line)
		}
		bare := mdCodes.ReplaceAllString(strings.ReplaceAll(line, "<!-- -->", "\x01"), "\x00")
		if m := mdMentions.FindString(bare); m != "" {
			t.Errorf("md: %q got through: %.300q", m, line)
		}
		for _, m := range mdHTML.FindAllStringSubmatch(bare, -1) {
			if !slices.Contains([]string{"br", "details", "/details", "summary", "/summary", "sub", "/sub"}, m[1]) {
				t.Errorf("md: %s got through: %.300q", m[0], line)
			}
		}
		if strings.Count(bare, "<") != len(mdHTML.FindAllString(bare, -1)) {
			t.Errorf("md: a < got through: %.300q", line)
		}
	}
}

func checkJUnit(t *testing.T, out string) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(out))
	cases, declared := 0, -1
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("junit: %v", err)
		}
		e, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		if !slices.Contains([]string{"testsuites", "testsuite", "testcase", "properties", "property", "failure", "error", "skipped"}, e.Name.Local) {
			t.Errorf("junit: an element got through: %s", e.Name.Local)
		}
		if e.Name.Local == "testcase" {
			cases++
		}
		if e.Name.Local == "testsuites" {
			for _, a := range e.Attr {
				if a.Name.Local == "tests" {
					declared, _ = strconv.Atoi(a.Value)
				}
			}
		}
	}
	if cases == 0 || cases != declared {
		t.Errorf("junit: %d cases, %d declared", cases, declared)
	}
}

// promLine is a line of the exposition format 0.0.4.
var promLine = regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ [^\n]+|# Facts [^\n]+|[a-z_]+(\{([a-z_]+="([^"\\]|\\["\\n])*",?)+\})? [0-9.]+)\n$`)

func checkPrometheus(t *testing.T, out string) {
	t.Helper()
	seen := map[string]bool{}
	for line := range strings.Lines(out) {
		if !promLine.MatchString(line) {
			t.Errorf("prometheus: no line of the format: %q", line)
		}
		series := line[:strings.LastIndex(line, " ")]
		if !strings.HasPrefix(line, "#") && seen[series] {
			t.Errorf("prometheus: a series stands twice: %s", series)
		}
		seen[series] = true
	}
}

// A machine that says endless things makes no endless report.
func TestHugeReportsStayWithinTheirLimits(t *testing.T) {
	r := smallReport()
	big := strings.Repeat("0123456789", 100_000)
	r.Rows[0].Key, r.Rows[0].Diff, r.Rows[0].Why, r.Rows[0].Cells[2].Value = big, strings.Repeat("+"+big[:200]+"\n", 20_000), big, big
	r.Columns[0].Machines = names("web", 1, 50_000)
	for i := range 8_000 {
		row := r.Rows[i%6]
		if i >= 6 {
			row.Key = fmt.Sprintf("key-%06d", i)
			row.Diff = strings.Repeat("-a\n+b\n", 500)
		}
		r.Rows = append(r.Rows, row)
	}
	for i := range 5000 {
		r.Notes = append(r.Notes, fmt.Sprintf("note %d: %s", i, big[:300]))
	}
	for _, c := range []struct {
		format string
		o      parity.WriteOptions
		limit  int
		says   string
	}{
		{"html", parity.WriteOptions{}, 40 << 20, "rows left out"},
		{"md", parity.WriteOptions{}, parity.SummaryBytes, "Left out"},
		{"md", parity.WriteOptions{Bytes: parity.CommentBytes}, parity.CommentBytes, "Left out"},
		{"sarif", parity.WriteOptions{}, 40 << 20, "results left out"},
		{"junit", parity.WriteOptions{}, 10 << 20, "more rows"},
		{"text", parity.WriteOptions{Rows: 50}, 200 << 10, "more rows"},
		{"prometheus", parity.WriteOptions{}, 20 << 10, "themselves"},
	} {
		out := written(t, r, c.format, c.o)
		if len(out) > c.limit {
			t.Errorf("%s has %d bytes, want at most %d", c.format, len(out), c.limit)
		}
		if !strings.Contains(out, c.says) {
			t.Errorf("%s does not say what it leaves out", c.format)
		}
		if c.format == "sarif" {
			var log struct{ Runs []struct{ Results []any } }
			if err := json.Unmarshal([]byte(out), &log); err != nil || len(log.Runs[0].Results) != 5000 {
				t.Errorf("sarif has %d results, %v", len(log.Runs[0].Results), err)
			}
		}
	}
}

func TestAnUnknownFormatIsNamedWithThoseThatAre(t *testing.T) {
	err := parity.Write(io.Discard, smallReport(), "pdf", parity.WriteOptions{})
	if err == nil || !strings.Contains(err.Error(), `got format "pdf"; allowed are text, json, html, md, junit, sarif, prometheus`) {
		t.Errorf("got %v", err)
	}
}

func TestAReportThatReadNothingIsNeverGood(t *testing.T) {
	r := cleanReport()
	for name, checked := range map[string]parity.Checked{
		"no machine":      {Tiers: 2},
		"none reached":    {Tiers: 2, Machines: 3, Unreachable: 3},
		"no fact":         {Tiers: 2, Machines: 3},
		"one unreachable": {Tiers: 2, Machines: 3, Unreachable: 1, Facts: 100},
		"one unknown":     {Tiers: 2, Machines: 3, Facts: 100, Unknown: 1},
	} {
		r.Checked = checked
		for format, bad := range map[string]string{"text": "THE SAME", "html": `class="verdict good"`, "md": "✅", "prometheus": `in_parity{project="shop"} 1`} {
			if out := written(t, r, format, parity.WriteOptions{}); strings.Contains(out, bad) {
				t.Errorf("%s: %s shows success", name, format)
			}
		}
	}
}

func FuzzReports(f *testing.F) {
	for _, text := range hostile() {
		f.Add(text)
	}
	like := everywhere("x")
	f.Fuzz(func(t *testing.T, text string) { checkInert(t, everywhere(text), like) })
}

// Rows of foreign reports may have fewer or more cells than there are columns, and states nobody knows.
func TestReportsThatDoNotAddUpAreWritten(t *testing.T) {
	r := smallReport()
	r.Rows[0].Cells = nil
	r.Rows[1].Cells = append(r.Rows[1].Cells, r.Rows[1].Cells...)
	r.Rows[2].Cells[0].State = `"><b>`
	r.Rows[3].Severity, r.Rows[3].Kind = "odd", "</td>"
	r.Columns[0].Machines, r.Columns[0].Count = nil, -4
	checkInert(t, r, smallReport())
	var b bytes.Buffer
	for _, f := range parity.Formats() {
		if err := parity.Write(&b, &parity.Report{}, f.Name, parity.WriteOptions{}); err != nil {
			t.Errorf("%s of nothing: %v", f.Name, err)
		}
	}
}
