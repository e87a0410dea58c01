// SPDX-License-Identifier: Apache-2.0

package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/internal/problem"
)

// What a file may be at most. Hand-written files stay far below.
const (
	MaxBytes    = 1 << 20
	MaxNodes    = 50_000 // after aliases are expanded
	MaxDepth    = 64
	MaxProblems = 100 // what is found beyond is only counted
)

const maxSource = 2000 // bytes of a source line kept with a problem

// Doc is one parsed file and the problems found in it so far. It is for one goroutine.
type Doc struct {
	file     string
	lines    []string
	root     *Node
	problems []*problem.Problem
	more     int // problems beyond MaxProblems
	empty    bool
}

// ReadFile parses the file at path. The error is that of the file system; what is wrong inside the file is in the Doc. A file of more
// than MaxBytes is not read to its end, and what is no regular file not at all.
func ReadFile(path string) (*Doc, error) {
	// A named pipe must not block the opening.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, errors.Unwrap(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("cannot read %s: it is no regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return Parse(path, data), nil
}

// Parse parses data; file is its name in problems. It never returns nil: where data cannot be parsed the Doc holds the reason, and its
// Root is nil.
func Parse(file string, data []byte) *Doc {
	d := &Doc{file: file}
	if len(data) <= MaxBytes {
		d.lines = splitLines(strings.ToValidUTF8(strings.TrimPrefix(string(data), "\ufeff"), "\ufffd"))
	}
	if !d.readable(data) {
		return d
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var top yaml.Node
	err := decoder.Decode(&top)
	switch {
	case errors.Is(err, io.EOF) || err == nil && isEmpty(&top):
		d.empty = true
		d.errorAt(0, 0, "", "the file is empty")
		return d
	case err != nil:
		d.syntax(err)
		return d
	}
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil {
		d.errorAt(second.Line, second.Column, "", "a second document begins here; one file holds one document").Hint =
			"remove the line ---, or put what follows into a file of its own"
		return d
	} else if !errors.Is(err, io.EOF) {
		d.syntax(err)
		return d
	}
	c := checker{doc: d, sizes: map[*yaml.Node]int{}, open: map[*yaml.Node]bool{}}
	if c.check(top.Content[0], "", 1); !c.unusable {
		d.root = &Node{doc: d, yaml: top.Content[0]}
	}
	return d
}

// Root is the document's one value, nil where the file could not be parsed.
func (d *Doc) Root() *Node { return d.root }

// Empty reports that there is nothing in the file but comments, which is a problem of its own to those for whom it is one.
func (d *Doc) Empty() bool { return d.empty }

// File is the name given to Parse.
func (d *Doc) File() string { return d.file }

// Problems is all that was found so far, by position.
func (d *Doc) Problems() problem.List {
	list := make(problem.List, 0, len(d.problems)+1)
	for _, p := range d.problems {
		list = append(list, *p)
	}
	list.Sort()
	if d.more > 0 {
		list = append(list, problem.Problem{Severity: problem.Error, File: d.file, Message: fmt.Sprintf("and %d more problems", d.more)})
	}
	return list
}

func (d *Doc) errorAt(line, column int, path, message string) *problem.Problem {
	at := d.place(line, column, path)
	at.Message = message
	p := &at
	if len(d.problems) >= MaxProblems {
		d.more++
		return p
	}
	d.problems = append(d.problems, p)
	return p
}

func (d *Doc) place(line, column int, path string) problem.Problem {
	return problem.Problem{
		Severity: problem.Error, File: d.file, Line: line, Column: column,
		Source: d.source(line, column), Path: path,
	}
}

// source is a line of the file, cut where it is absurdly long, empty where the column lies beyond the cut.
func (d *Doc) source(line, column int) string {
	if line < 1 || line > len(d.lines) {
		return ""
	}
	text := d.lines[line-1]
	if len(text) <= maxSource {
		return text
	}
	text = strings.ToValidUTF8(text[:maxSource], "")
	if column > utf8.RuneCountInString(text) {
		return ""
	}
	return text
}

// readable refuses what is no text before the parser sees it.
func (d *Doc) readable(data []byte) bool {
	if len(data) > MaxBytes {
		d.errorAt(0, 0, "", "the file is larger than 1MiB, the most that is read")
		return false
	}
	for _, mark := range []string{"\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(data, []byte(mark)) {
			d.errorAt(0, 0, "", "the file is UTF-16; allowed is UTF-8").Hint = "save it as UTF-8"
			return false
		}
	}
	if at := bytes.IndexByte(data, 0); at >= 0 {
		d.errorAt(0, 0, "", fmt.Sprintf("the file is binary: byte %d is NUL", at+1))
		return false
	}
	line, column := 1, 1
	for at := 0; at < len(data); {
		r, size := utf8.DecodeRune(data[at:])
		switch {
		case r == utf8.RuneError && size == 1:
			d.errorAt(line, column, "", fmt.Sprintf("byte 0x%02x is no UTF-8", data[at])).Hint = "save the file as UTF-8; if it is no text, it is the wrong file"
			return false
		case !allowed(r) && (r != '\ufeff' || at > 0):
			d.errorAt(line, column, "", fmt.Sprintf("the character U+%04X is not allowed in YAML", r)).Hint = "remove it; inside double quotes it can be written as an escape"
			return false
		case r == '\n':
			line, column = line+1, 1
		default:
			column++
		}
		at += size
	}
	return true
}

// allowed is YAML's c-printable (YAML 1.2.2, section 5.1).
func allowed(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r < 0x7f || r == 0x85 || r >= 0xa0 && r < 0xfffe && r != '\ufeff' || r >= 0x10000
}

var (
	syntaxError = lazyregexp.New(`(?s)^yaml: (?:line (\d+): )?(.*)$`)
	// The parser (not the scanner below it) counts lines from 0 in its messages; these are its own.
	fromParser    = lazyregexp.New(`^(did not find expected (',' or|'-' indicator|<|key|node content)|found (duplicate|incompatible|undefined))`)
	unknownAnchor = lazyregexp.New(`^unknown anchor '(.*)' referenced`)
)

// syntax records what the parser says, at the line it names and the first character there.
func (d *Doc) syntax(err error) {
	line, message := 0, err.Error()
	if m := syntaxError.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = m[2]
	}
	if line == 0 || fromParser.MatchString(message) {
		line++
	}
	column := 0
	if m := unknownAnchor.FindStringSubmatch(message); m != nil {
		line, column = d.find("*" + m[1])
	}
	line = min(line, len(d.lines))
	text := ""
	if line > 0 {
		text = d.lines[line-1]
	}
	indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
	if column == 0 && line > 0 {
		column = 1 + len(indent)
	}
	p := d.errorAt(line, column, "", "this is no YAML: "+message)
	switch {
	case strings.Contains(indent, "\t") || strings.Contains(message, "tab character"):
		p.Hint = "indent with spaces; YAML allows no tabs there"
	case strings.Contains(message, "mapping values are not allowed"):
		p.Hint = `quote a text that holds ": ", and check the indentation of this line`
	case strings.Contains(message, "cannot start any token"):
		p.Hint = "quote a text that begins with @, %, ` or a tab"
	case strings.Contains(message, "unknown anchor"), strings.Contains(message, "alphabetic or numeric"):
		p.Hint = "quote a text that begins with * or &"
	case strings.Contains(message, "expected key"), strings.Contains(message, "could not find expected ':'"):
		p.Hint = "check the indentation of this line and of those below it"
	}
}

// find is where text first stands, 0, 0 where it does not.
func (d *Doc) find(text string) (line, column int) {
	for i, l := range d.lines {
		if at := strings.Index(l, text); at >= 0 {
			return i + 1, 1 + utf8.RuneCountInString(l[:at])
		}
	}
	return 0, 0
}

func isEmpty(top *yaml.Node) bool {
	if len(top.Content) == 0 {
		return true
	}
	n := top.Content[0]
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style == 0
}

// splitLines breaks where YAML breaks, so that line numbers are those of the parser.
func splitLines(text string) []string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(text)
	return strings.Split(text, "\n")
}
