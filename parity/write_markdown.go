// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"fmt"
	"io"
	"strings"
)

// GitHub's limits. A job summary over 1,024 KiB is thrown away whole; a comment may have 65,536 characters. What is kept back is for
// what the job itself adds.
const (
	SummaryBytes = 1_000_000
	CommentBytes = 65_000
)

// markdownColumns is how many columns a table may have before it is split.
const markdownColumns = 8

type markdownWriter struct {
	b     strings.Builder
	r     *Report
	limit int
	full  bool // something found no room: what is worse must not follow what is less
}

// writeMarkdown writes GitHub's Markdown within o.Bytes. Rows that find no room are counted at the end, the best first to go.
func writeMarkdown(w io.Writer, r *Report, o WriteOptions) error {
	limit := o.Bytes
	if limit <= 0 {
		limit = SummaryBytes
	}
	tail := markdownTail(r, limit/4)
	m := &markdownWriter{r: r, limit: limit - len(tail) - 1000} // for what is said of the rest
	s := summarize(r)
	m.head(s)
	left := 0
	for _, b := range blocks(r, isFinding) {
		left += m.block(b)
	}
	quiet := m.quiet()
	if left+quiet > 0 {
		var parts []string
		if left > 0 {
			parts = append(parts, "**"+counted(left, "finding")+"**")
		}
		if quiet > 0 {
			parts = append(parts, counted(quiet, "row")+" that are no findings")
		}
		where := "the HTML and JSON reports have all"
		if o.Link != "" {
			where = "all are in " + mdText(o.Link, keyBytes)
		}
		fmt.Fprintf(&m.b, "\n> Left out for GitHub's limit of size: %s; %s.\n", strings.Join(parts, " and "), where)
	}
	m.b.WriteString(tail)
	out := m.b.String()
	if len(out) > limit {
		return fmt.Errorf("%s do not fit into %s", counted(len(out), "byte"), counted(limit, "byte"))
	}
	_, err := io.WriteString(w, out)
	return err
}

// markdownTail is what stands below the tables, in about limit bytes.
func markdownTail(r *Report, limit int) string {
	var b strings.Builder
	for i, n := range r.Notes {
		note := "\n> " + mdText(n, 500) + "\n"
		if b.Len()+len(note) > limit {
			fmt.Fprintf(&b, "\n> … %s\n", counted(len(r.Notes)-i, "more note"))
			break
		}
		b.WriteString(note)
	}
	fmt.Fprintf(&b, "\n<sub>%s", selfReported)
	if r.Tool != "" {
		b.WriteString(" " + mdText(r.Tool, 120) + ".")
	}
	b.WriteString("</sub>\n")
	return b.String()
}

func (m *markdownWriter) head(s summary) {
	sign := "❌"
	switch {
	case s.clean(m.r):
		sign = "✅"
	case s.findings == 0:
		sign = "⚠"
	}
	v := s.verdict(m.r)
	title := "Audit"
	if name := projectName(m.r); name != "" {
		title += " of " + mdText(name, 120)
	}
	fmt.Fprintf(&m.b, "## %s %s\n\n**%s**  \n%s  \n%s\n", sign, title, mdText(v[0], 500), mdText(v[1], 500), mdText(v[2], 500))
}

// fits appends text where there is room for it.
func (m *markdownWriter) fits(text string) bool {
	if m.b.Len()+len(text) > m.limit {
		return false
	}
	m.b.WriteString(text)
	return true
}

// block writes one kind of machine's findings and returns how many found no room.
func (m *markdownWriter) block(b *block) int {
	left := 0
	for _, p := range b.parts(m.r, markdownColumns) {
		head := "\n### " + mdText(p.title(m.r, "×"), noteBytes) + " (" + grouped(len(p.rows)) + ")\n\n| | Key |"
		for n := range p.sets {
			head += " " + mdText(p.head(m.r, n, "×"), noteBytes) + " |"
		}
		head += " What to do |\n|---|---|" + strings.Repeat("---|", len(p.sets)) + "---|\n"
		if m.full || !m.fits(head) {
			m.full = true
			left += len(p.rows)
			continue
		}
		for n := range p.rows {
			if !m.fits(m.row(p, n)) {
				m.full = true
				left += len(p.rows) - n
				break
			}
		}
	}
	return left
}

func (m *markdownWriter) row(b *block, at int) string {
	row := b.rows[at]
	line := "| " + mdText(string(row.Severity), 20) + " | "
	if row.Section != string(row.Severity) {
		line += mdText(row.Section, 80) + " "
	}
	line += mdCode(row.Key, keyBytes) + " |"
	for n := range b.sets {
		line += " " + mdCell(row, b.cell(row, n)) + " |"
	}
	if at > 0 && sameAdvice(b.rows[at-1], row) && b.rows[at-1].Why == row.Why {
		return line + " as above |\n"
	}
	line += " " + mdText(string(row.Kind), 20)
	if ref := shortDigests(shouldBe(row)); row.Missing > 0 {
		line += ", missing " + mdCode(ref, 200)
	} else if ref != "" {
		line += ", should be " + mdCode(ref, 200)
	}
	line += ": " + mdText(row.Fix, 500)
	if row.Why != "" {
		line += "<br>" + mdText(row.Why, 500)
	}
	return line + " |\n"
}

// who names columns, of many only the first.
func (m *markdownWriter) who(columns []int) string {
	var names []string
	for n, i := range columns {
		if n == 6 && len(columns) > 7 {
			names = append(names, fmt.Sprintf("and %s", counted(len(columns)-n, "more variant")))
			break
		}
		names = append(names, mdText(columnName(&m.r.Columns[i], "×"), 200))
	}
	return strings.Join(names, ", ")
}

// quiet lists what is no finding and returns how much of it found no room.
func (m *markdownWriter) quiet() int {
	left, open := 0, false
	for i := range m.r.Rows {
		row := &m.r.Rows[i]
		if row.Counts {
			continue
		}
		if !open {
			open = left == 0 && m.fits("\n<details><summary>No findings: waived, expected or not to be judged</summary>\n\n")
		}
		var parts []string
		for _, g := range groupCells(row, allColumns(m.r)) {
			if g.cell.State != Same {
				parts = append(parts, mdCell(row, g.cell)+" "+m.who(g.columns))
			}
		}
		line := "- " + mdText(row.Machines, 80) + " " + mdText(row.Section, 80) + " " + mdCode(row.Key, keyBytes) + ": " + strings.Join(parts, "; ")
		if row.Waiver != "" {
			line += "; waiver " + mdCode(row.Waiver, 80)
		}
		if !open || !m.fits(line+"\n") {
			left++
		}
	}
	if open {
		m.b.WriteString("\n</details>\n")
	}
	return left
}

func mdCell(row *Row, c Cell) string {
	if c.State == "" {
		return ""
	}
	sign := glyph(c, false)
	switch sign { // what Markdown would read as its own
	case "~":
		sign = "\\~"
	case "=":
		if cellText(row, c) == "∅" {
			return "= ∅"
		}
	}
	if c.Value == "" {
		return sign
	}
	return sign + " " + mdCode(shortDigests(c.Value), 200)
}

// mdBreak parts text, so that GitHub sees no address, mention or number in it; it is seen by nobody.
const mdBreak = "<!-- -->"

// mdCode shows text of a machine as code: within it nothing is a link, a mention, an issue's number or markup. Where the text has what even
// code spans and tables read (backticks, bars, backslashes), it goes by entities.
func mdCode(s string, limit int) string {
	s = inertLine(s, limit)
	switch {
	case s == "":
		return ""
	case strings.ContainsAny(s, "`|\\$") || strings.TrimSpace(s) != s:
		return "<code>" + mdEntities(s) + "</code>"
	}
	return "`" + s + "`"
}

// mdEntities writes every sign of ASCII as an entity: what is one is text to Markdown, whatever it stands for.
func mdEntities(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r > 0x7e, r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == ' ':
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "&#%d;", r)
			if strings.ContainsRune("@#:.", r) { // links are looked for once entities are characters, also here
				b.WriteString(mdBreak)
			}
		}
	}
	return b.String()
}

// mdText shows prose that may have text of machines in it; what stands between backticks is code. Signs are escaped, and what GitHub links
// after rendering (mentions, numbers of issues, addresses) is broken by an empty comment.
func mdText(s string, limit int) string {
	parts := strings.Split(inertLine(s, limit), "`")
	if len(parts)%2 == 0 { // one has no partner
		last := len(parts) - 1
		parts = append(parts[:last-1], parts[last-1]+"`"+parts[last])
	}
	var b strings.Builder
	for i, part := range parts {
		if i%2 == 1 {
			b.WriteString(mdCode(part, limit))
		} else {
			mdProse(&b, part)
		}
	}
	return b.String()
}

func mdProse(b *strings.Builder, s string) {
	low := strings.Map(func(r rune) rune { // ASCII alone: places stay what they are
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
	for i, r := range s {
		word := r > 0x7e || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		next := byte(' ')
		if i+1 < len(s) {
			next = s[i+1]
		}
		inside := i > 0 && s[i-1] != ' ' && next != ' ' // a sign that begins or ends no word begins no list
		switch {
		case word:
			for _, trigger := range []string{"@", "#", "gh-"} {
				if strings.HasSuffix(low[:i], trigger) {
					b.WriteString(mdBreak)
					break
				}
			}
			b.WriteRune(r)
		case r == '.' && strings.HasSuffix(low[:i], "www"), r == '/' && strings.HasSuffix(low[:i], ":"):
			b.WriteString(mdBreak)
			b.WriteRune(r)
		case strings.ContainsRune(" ,;'%", r), strings.ContainsRune(".-/", r) && inside, r == ':' && (next == ' ' || next >= '0' && next <= '9' || next == '/'):
			b.WriteRune(r)
		case r == '(', r == ')' && (i == 0 || s[i-1] < '0' || s[i-1] > '9'): // "1)" begins a list
			b.WriteRune(r)
		case strings.ContainsRune("[]*_.-+!=~$^{})", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			fmt.Fprintf(b, "&#%d;", r)
		}
	}
}
