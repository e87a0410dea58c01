// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// maxSnapshot is the longest snapshot that is read, in bytes. A Debian server's full facts take 0.7 MB.
const maxSnapshot = 64 << 20

// Of one file's different sections so many bytes of JSON are remembered, so that equal ones share their items. Short ones are not worth it.
const (
	maxSharedText = 64 << 20
	minSharedText = 512
)

// ReadSnapshots reads a file of snapshots: one, or any number one after the other (JSON lines), and gives each to take. It is strict: unknown fields, another format, wrong order,
// keys twice and digests that are not those of the items are refused, with name, line and the place in the document. Memory is bounded by one snapshot and about 150 MiB; sections with
// equal digests share their items, so take does not change them. It returns take's error. A file without a snapshot is refused.
func ReadSnapshots(r io.Reader, name string, take func(*Snapshot) error) error {
	known := sharedItems{byText: map[[sha256.Size]byte]checkedItems{}, byDigest: map[string]knownText{}, room: maxSharedText}
	in := bufio.NewReaderSize(r, 256<<10)
	var long []byte
	n := 0
	for {
		line, err := readLine(in, &long)
		if err == nil && len(line) > 1 {
			if s := known.decodeLine(line); s != nil {
				n++
				if err := take(s); err != nil {
					return err
				}
				continue
			}
		}
		if errors.Is(err, io.EOF) && len(line) == 0 {
			if n == 0 {
				return fmt.Errorf("cannot read %s: it holds no snapshot", name)
			}
			return nil
		}
		// It is laid out in another way, or wrong: no line is a snapshot from here on.
		return known.readRest(io.MultiReader(bytes.NewReader(line), &failing{err}, in), name, n, take)
	}
}

// failing ends with an error that is no end of input, else passes on.
type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) {
	if f.err == nil || errors.Is(f.err, bufio.ErrBufferFull) {
		return 0, io.EOF
	}
	return 0, f.err
}

// readLine is a line with its end, until the next call; bufio.ErrBufferFull with the beginning of one that is too long. buf is room for long ones.
func readLine(in *bufio.Reader, buf *[]byte) ([]byte, error) {
	*buf = (*buf)[:0]
	for {
		part, err := in.ReadSlice('\n')
		if err == nil && len(*buf) == 0 {
			return part, nil
		}
		*buf = append(*buf, part...)
		if !errors.Is(err, bufio.ErrBufferFull) || len(*buf) > maxSnapshot {
			return *buf, err
		}
	}
}

// readRest reads values one after the other, wherever their lines end. done are the snapshots before it, one a line.
func (k *sharedItems) readRest(r io.Reader, name string, done int, take func(*Snapshot) error) error {
	in := &countedReader{r: r, lines: done}
	dec := json.NewDecoder(in)
	for n := done; ; n++ {
		in.read = 0
		var raw json.RawMessage
		err := dec.Decode(&raw)
		line := in.line(dec, raw)
		if errors.Is(err, io.EOF) {
			if n == 0 {
				return fmt.Errorf("cannot read %s: it holds no snapshot", name)
			}
			return nil
		}
		var s *Snapshot
		if err == nil {
			s, err = k.decode(raw)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("it ends in the middle")
		}
		if err != nil {
			return fmt.Errorf("cannot read %s:%d: snapshot %d: %w", name, line, n+1, err)
		}
		if err := take(s); err != nil {
			return err
		}
	}
}

// countedReader fails where one snapshot is too long, and counts lines.
type countedReader struct {
	r     io.Reader
	read  int // since the last snapshot
	lines int
}

func (c *countedReader) Read(p []byte) (int, error) {
	if c.read > maxSnapshot {
		return 0, fmt.Errorf("it is longer than %d MiB", maxSnapshot>>20)
	}
	n, err := c.r.Read(p)
	c.read += n
	c.lines += bytes.Count(p[:n], []byte("\n"))
	return n, err
}

// line is where the value that dec has just read begins.
func (c *countedReader) line(dec *json.Decoder, value []byte) int {
	ahead, _ := io.ReadAll(dec.Buffered()) // it is in memory
	if value == nil {                      // it could not be read
		ahead = bytes.TrimLeft(ahead, " \t\r\n")
	}
	return 1 + c.lines - bytes.Count(ahead, []byte("\n")) - bytes.Count(value, []byte("\n"))
}

// sharedItems are the items of sections that were read before.
type sharedItems struct {
	byText   map[[sha256.Size]byte]checkedItems // by the SHA-256 of their JSON
	byDigest map[string]knownText               // where the JSON is canonical
	room     int                                // bytes of JSON that may still be remembered
}

// knownText is the JSON of items, and those.
type knownText struct {
	text  []byte
	items []Item
}

type checkedItems struct {
	items  []Item
	digest string
}

// fileSection is a Section whose items are read only where they are not known already.
type fileSection struct {
	Name    string          `json:"name"`
	Lane    Lane            `json:"lane"`
	Unknown string          `json:"unknown,omitempty"`
	Digest  string          `json:"digest"`
	Items   json.RawMessage `json:"items,omitempty"`
}

// decode reads and checks one snapshot.
func (k *sharedItems) decode(raw []byte) (*Snapshot, error) {
	var s struct {
		Snapshot
		Sections []fileSection `json:"sections"`
	}
	if err := strictly(raw, &s); err != nil {
		var f struct{ Format *int }
		if json.Unmarshal(raw, &f) == nil && (f.Format == nil || *f.Format != SnapshotFormat) {
			err = formatError(f.Format)
		}
		return nil, err
	}
	if err := checkSnapshot(&s.Snapshot, len(s.Sections)); err != nil {
		return nil, err
	}
	last := ""
	for i := range s.Sections {
		at := fmt.Sprintf("sections[%d] (%.60q)", i, s.Sections[i].Name)
		if i > 0 && s.Sections[i].Name <= last {
			return nil, fmt.Errorf("%s: sections must be sorted by name, each once", at)
		}
		last = s.Sections[i].Name
		section, err := k.section(&s.Sections[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		s.Snapshot.Sections = append(s.Snapshot.Sections, section)
	}
	return &s.Snapshot, nil
}

func formatError(got *int) error {
	if got == nil {
		return errors.New("it has no format: it is no snapshot of `evenkeel facts`")
	}
	return fmt.Errorf("format: got %d; this program reads %d, another version of it reads others", *got, SnapshotFormat)
}

// strictly is json.Unmarshal that refuses unknown fields.
func strictly(raw []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s: got %s, which is no %s", wrong.Field, wrong.Value, wrong.Type)
	}
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

func checkSnapshot(s *Snapshot, sections int) error {
	switch {
	case s.Format != SnapshotFormat:
		return formatError(&s.Format)
	case s.Subject.Name == "":
		return errors.New("subject.name: it is missing")
	case s.Taken.IsZero():
		return errors.New("taken: it is missing")
	case math.Abs(s.Skew) > 1e12:
		return fmt.Errorf("skew_seconds: got %g, which no clock is off by", s.Skew)
	case s.Unreachable != "" && sections > 0:
		return errors.New("unreachable: a machine that was not read has no sections")
	case s.Unreachable == "" && !isHex256(s.Collector):
		return fmt.Errorf("collector: got %.80q; it must be a SHA-256, 64 hex digits", s.Collector)
	}
	return nil
}

// section checks one section and makes its items, or takes those that are known.
func (k *sharedItems) section(f *fileSection) (Section, error) {
	s := Section{Name: f.Name, Lane: f.Lane, Unknown: f.Unknown, Digest: f.Digest}
	switch {
	case f.Name == "":
		return s, errors.New("name: it is missing")
	case !f.Lane.known():
		return s, fmt.Errorf("lane: got %.40q; allowed are stable, place, identity, volatile", f.Lane)
	}
	id := sha256.Sum256(f.Items)
	shared, ok := k.byText[id]
	if !ok {
		if len(f.Items) > 0 {
			if err := strictly(f.Items, &shared.items); err != nil {
				return s, fmt.Errorf("items: %w", err)
			}
		}
		if err := checkItems(shared.items); err != nil {
			return s, err
		}
		shared.digest = DigestSection(shared.items)
	}
	switch {
	case f.Unknown != "" && len(shared.items) > 0:
		return s, errors.New("items: a section that is unknown has none")
	case shared.digest != f.Digest:
		return s, fmt.Errorf("digest: got %.80q; that of its items is %s: the file was changed, or is damaged", f.Digest, shared.digest)
	}
	s.Items = shared.items
	// What a machine has of its own no other has, and must take nobody's room.
	if !ok && len(f.Items) >= minSharedText && len(f.Items) <= k.room && !strings.HasSuffix(f.Name, OwnSuffix) {
		k.room -= len(f.Items)
		k.byText[id] = shared
		if hex.EncodeToString(id[:]) == f.Digest {
			k.byDigest[f.Digest] = knownText{bytes.Clone(f.Items), shared.items}
		}
	}
	return s, nil
}

func checkItems(items []Item) error {
	for i := range items {
		item := &items[i]
		switch {
		case item.Key == "":
			return fmt.Errorf("items[%d].key: it is missing", i)
		case i > 0 && item.Key <= items[i-1].Key:
			return fmt.Errorf("items[%d] (%.60q): items must be sorted by key, each once", i, item.Key)
		case item.Lane != "" && !item.Lane.known():
			return fmt.Errorf("items[%d] (%.60q).lane: got %.40q; allowed are stable, place, identity, volatile", i, item.Key, item.Lane)
		}
	}
	return nil
}

func (l Lane) known() bool { return l == Stable || l == Place || l == Identity || l == Volatile }

func isHex256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && strings.ToLower(s) == s
}
