// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Bounds of the HTML report: a browser shows so much without effort.
const (
	htmlRows      = 4000
	htmlDiffs     = 4 << 20 // bytes of all differences together, with what a line costs beyond its text
	htmlLineBytes = 40
	htmlNotes     = 200
)

// htmlColumns is how many columns a table may have before it is split.
const htmlColumns = 10

//go:embed templates/report.html templates/report.css templates/report.js
var htmlFiles embed.FS

type htmlPage struct {
	Style    template.CSS
	Script   template.JS
	Policy   string
	Title    string
	Standing string
	Tone     string // good, warn, bad: the verdict's colour, never its only sign
	Sign     string
	Where    string
	Checked  string
	Source   string
	Figures  []htmlFigure
	Facts    []htmlFact // what was compared, when, by what
	Columns  []htmlTier
	Tables   []htmlTable // findings
	Quiet    []htmlTable // the rest
	Findings int
	LeftOut  string
	Tiers    []string
	Kinds    []string
	Severs   []string
	Legend   []htmlCell
	Notes    []string
	Waivers  []htmlWaiver
	Unread   []htmlFact
}

type htmlFigure struct{ Number, Name, Tone, Link string }
type htmlFact struct{ Name, Value string }
type htmlWaiver struct{ ID, Owner, Until, State string }

type htmlTier struct {
	Name     string
	Variants []htmlFact
}

type htmlTable struct {
	ID, Name string
	Count    string
	Groups   []htmlGroup // of heads: a tier and how many variants it has
	Heads    []htmlHead
	Split    bool
	Span     int
	Runs     []htmlRun
}

// htmlRun is rows in a sequence for which the same is to be done: that is said once over them, and under a row that is alone.
type htmlRun struct {
	Count  string // "": one row
	Advice htmlRow
	Rows   []htmlRow
}

type htmlHead struct{ Name, Machines string }

type htmlGroup struct {
	Name string
	Span int
}

type htmlRow struct {
	Severity, Section, Key, Kind string
	Tiers                        string // separated by line ends, which no inert name has
	Reference, Missing           string
	Cells                        []htmlCell
	Why, Waiver                  string
	Fix                          []htmlSpan
	Fingerprint, Place           string
	Diff                         []htmlLine
	DiffCut                      string
}

type htmlCell struct{ State, Glyph, Words, Value string }
type htmlSpan struct {
	Code bool
	Text string
}
type htmlLine struct{ Class, Text string }

// writeHTML writes one file that needs nothing else: no address is in it that a browser would load, and its policy forbids any, and any
// style or script but its own two.
func writeHTML(w io.Writer, r *Report, o WriteOptions) error {
	t, err := template.ParseFS(htmlFiles, "templates/report.html")
	if err != nil {
		return err
	}
	style, err := htmlFiles.ReadFile("templates/report.css")
	if err != nil {
		return err
	}
	script, err := htmlFiles.ReadFile("templates/report.js")
	if err != nil {
		return err
	}
	p := newHTMLPage(r, o)
	p.Style, p.Script = template.CSS(style), template.JS(script)
	p.Policy = "default-src 'none'; style-src " + sourceHash(style) + "; script-src " + sourceHash(script) + "; base-uri 'none'; form-action 'none'"
	return t.Execute(w, p)
}

func sourceHash(data []byte) string {
	sum := sha256.Sum256(data)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func newHTMLPage(r *Report, o WriteOptions) *htmlPage {
	s := summarize(r)
	v := s.verdict(r)
	p := &htmlPage{Title: "Audit", Standing: v[0], Where: v[1], Checked: v[2], Source: selfReported, Findings: s.findings}
	if name := projectName(r); name != "" {
		p.Title = "Audit of " + inertLine(name, 120)
	}
	switch {
	case s.clean(r):
		p.Tone, p.Sign = "good", "✓"
	case s.findings == 0:
		p.Tone, p.Sign = "warn", "?"
	default:
		p.Tone, p.Sign = "bad", "≠"
	}
	p.figures(r, s)
	p.facts(r)
	for _, t := range tierOrder(r) {
		p.Columns = append(p.Columns, newHTMLTier(r, t))
	}
	for _, c := range legendCells() {
		p.Legend = append(p.Legend, htmlCell{string(c.State), glyph(c, false), glyphWords(c), ""})
	}
	h := &htmlBuilder{r: r, rows: htmlRows, diffs: htmlDiffs}
	p.Tables = h.tables(blocks(r, isFinding), "f")
	p.Quiet = h.tables(blocks(r, func(row *Row) bool { return !row.Counts }), "q")
	if h.left > 0 {
		p.LeftOut = counted(h.left, "row") + " left out, the least severe; the JSON report has all"
		if o.Link != "" {
			p.LeftOut += ": " + inertLine(o.Link, keyBytes)
		}
	}
	p.choices(r)
	for i, n := range r.Notes {
		if i == htmlNotes {
			p.Notes = append(p.Notes, counted(len(r.Notes)-i, "more note"))
			break
		}
		p.Notes = append(p.Notes, inertLine(n, noteBytes))
	}
	for _, w := range r.Waivers {
		p.Waivers = append(p.Waivers, htmlWaiver{inertLine(w.ID, 120), inertLine(w.Owner, 120), w.Until.UTC().Format("2006-01-02"), inertLine(w.State, 40)})
	}
	for i := range r.Columns {
		if c := &r.Columns[i]; c.Unreachable {
			p.Unread = append(p.Unread, htmlFact{inertLine(c.Tier, 80) + " " + inertLine(Fold(c.Machines), noteBytes), inertLine(c.Why, noteBytes)})
		}
	}
	return p
}

func (p *htmlPage) figures(r *Report, s summary) {
	add := func(n int, name, tone string) {
		p.Figures = append(p.Figures, htmlFigure{Number: grouped(n), Name: name, Tone: tone})
	}
	for _, v := range severityOrder() {
		n := 0
		for _, t := range s.severities {
			if t.name == string(v) {
				n = t.n
			}
		}
		tone := ""
		if n > 0 {
			tone = string(v)
		}
		add(n, string(v), tone)
	}
	add(r.Checked.Machines, "machines", "")
	add(r.Checked.Facts, "facts compared", "")
	warn := func(n int) string {
		if n > 0 {
			return "warn"
		}
		return ""
	}
	add(r.Checked.Unreachable, "unreachable", warn(r.Checked.Unreachable))
	if slices.ContainsFunc(r.Columns, func(c Column) bool { return c.Unreachable }) {
		p.Figures[len(p.Figures)-1].Link = "#unread"
	}
	add(r.Checked.Unknown, "unknown", warn(r.Checked.Unknown))
	add(max(s.waived, r.Checked.Waived), "waived", "")
}

func (p *htmlPage) facts(r *Report) {
	add := func(name, value string) {
		if value != "" {
			p.Facts = append(p.Facts, htmlFact{name, inertLine(value, noteBytes)})
		}
	}
	add("Made", r.At.UTC().Format("2006-01-02 15:04:05 UTC"))
	add("Baseline", r.Baseline)
	add("Definition", r.Commit)
	add("Tool", r.Tool)
	add("Collector", strings.Join(r.Collectors[:min(len(r.Collectors), 20)], ", "))
}

func newHTMLTier(r *Report, tier string) htmlTier {
	t := htmlTier{Name: inertLine(tier, 80)}
	for i := range r.Columns {
		c := &r.Columns[i]
		if c.Tier != tier || c.Unreachable {
			continue
		}
		name := strings.TrimSpace(inertLine(c.Kind, 80)+" "+inertLine(c.Variant, 20)) + " ×" + grouped(columnCount(c))
		t.Variants = append(t.Variants, htmlFact{name, inertLine(Fold(c.Machines), noteBytes)})
	}
	return t
}

// choices are what the filters offer: what there is.
func (p *htmlPage) choices(r *Report) {
	for _, t := range tierOrder(r) {
		p.Tiers = append(p.Tiers, inertLine(t, 80))
	}
	has := func(get func(*Row) string, v string) bool {
		return slices.ContainsFunc(r.Rows, func(row Row) bool { return get(&row) == v })
	}
	for _, s := range severityOrder() {
		if has(func(row *Row) string { return string(row.Severity) }, string(s)) {
			p.Severs = append(p.Severs, string(s))
		}
	}
	for _, k := range kindOrder() {
		if has(func(row *Row) string { return string(row.Kind) }, string(k)) {
			p.Kinds = append(p.Kinds, string(k))
		}
	}
}

// htmlBuilder makes tables while its bounds last.
type htmlBuilder struct {
	r           *Report
	rows, diffs int // still free
	left        int // rows that found no room
}

func (h *htmlBuilder) tables(all []*block, prefix string) []htmlTable {
	var out []htmlTable
	for _, b := range all {
		for _, p := range b.parts(h.r, htmlColumns) {
			n := min(len(p.rows), h.rows)
			h.left += len(p.rows) - n
			h.rows -= n
			if n > 0 {
				out = append(out, h.table(p, p.rows[:n], prefix+strconv.Itoa(len(out))))
			}
		}
	}
	return out
}

func (h *htmlBuilder) table(b *block, rows []*Row, id string) htmlTable {
	t := htmlTable{ID: id, Name: b.title(h.r, "×"), Count: counted(len(b.rows), "row"), Split: b.split, Span: 1 + len(b.sets)}
	for n, set := range b.sets {
		if b.split {
			t.Heads = append(t.Heads, htmlHead{b.head(h.r, n, "×"), foldedIn(h.r, set)})
			continue
		}
		c := &h.r.Columns[set[0]]
		name := inertLine(c.Tier, 80)
		if n := len(t.Groups); n > 0 && t.Groups[n-1].Name == name {
			t.Groups[n-1].Span++
		} else {
			t.Groups = append(t.Groups, htmlGroup{name, 1})
		}
		head := strings.TrimSpace(inertLine(c.Variant, 20) + " ×" + grouped(columnCount(c)))
		if c.Unreachable {
			head += " not read"
		}
		t.Heads = append(t.Heads, htmlHead{head, foldedIn(h.r, set)})
	}
	for i := 0; i < len(rows); {
		n := 1
		for i+n < len(rows) && sameAdvice(rows[i], rows[i+n]) {
			n++
		}
		run := htmlRun{}
		for _, row := range rows[i : i+n] {
			run.Rows = append(run.Rows, h.row(b, row))
		}
		if n > 1 {
			run.Count, run.Advice = grouped(n), run.Rows[0]
		}
		t.Runs = append(t.Runs, run)
		i += n
	}
	return t
}

func (h *htmlBuilder) row(b *block, row *Row) htmlRow {
	out := htmlRow{
		Severity: inertLine(string(row.Severity), 20), Section: inertLine(row.Section, keyBytes), Key: inertLine(row.Key, keyBytes),
		Kind: inertLine(string(row.Kind), 20), Why: inertLine(row.Why, noteBytes), Fix: htmlSpans(inertLine(row.Fix, noteBytes)),
		Waiver: inertLine(row.Waiver, keyBytes), Fingerprint: inertLine(row.Fingerprint, 200),
	}
	if ref := inertLine(shortDigests(shouldBe(row)), valueBytes); row.Missing > 0 {
		out.Missing = ref
	} else {
		out.Reference = ref
	}
	var tiers []string
	for _, t := range rowTiers(h.r, row) {
		tiers = append(tiers, inertLine(t, 80))
	}
	out.Tiers = strings.Join(tiers, "\n")
	if row.File != "" {
		out.Place = inertLine(row.File, keyBytes)
		if row.Line > 0 {
			out.Place += ":" + strconv.Itoa(row.Line)
		}
	}
	for n := range b.sets {
		out.Cells = append(out.Cells, newHTMLCell(row, b.cell(row, n)))
	}
	h.diff(row, &out)
	return out
}

// htmlSpans sets what stands between backticks as code.
func htmlSpans(s string) []htmlSpan {
	parts := strings.Split(s, "`")
	if len(parts)%2 == 0 {
		return []htmlSpan{{false, s}}
	}
	var all []htmlSpan
	for i, part := range parts {
		if part != "" {
			all = append(all, htmlSpan{i%2 == 1, part})
		}
	}
	return all
}

func newHTMLCell(row *Row, c Cell) htmlCell {
	return htmlCell{State: inertLine(string(c.State), 20), Glyph: glyph(c, false), Words: inertLine(glyphWords(c), 20), Value: cellText(row, c)}
}

// diff shows what a row differs in, and behind it what those do that say the same change in other words.
func (h *htmlBuilder) diff(row *Row, out *htmlRow) {
	h.diffOf(row.Diff, "", out)
	for i := range row.Also {
		also := &row.Also[i]
		h.diffOf(also.Diff, inertLine(also.Section+" "+also.Key, keyBytes), out)
	}
}

// diffOf adds a difference, under a heading where it has one.
func (h *htmlBuilder) diffOf(diff, heading string, out *htmlRow) {
	text := strings.TrimRight(diff, "\n")
	if text == "" {
		return
	}
	text = inertBlock(text, diffBytes)
	cost := len(heading) + len(text) + htmlLineBytes*(2+strings.Count(text, "\n"))
	if cost > h.diffs {
		out.DiffCut = "The difference is left out: the report is large enough; the JSON report has it."
		return
	}
	h.diffs -= cost
	if heading != "" {
		out.Diff = append(out.Diff, htmlLine{"at", heading})
	}
	for l := range strings.Lines(text) {
		out.Diff = append(out.Diff, htmlLine{diffClass(l), strings.TrimRight(l, "\n")})
	}
}
