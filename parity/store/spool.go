// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// spool is a file without a name, of frames that are read in the order in which they were written. It is gone with its process, however that ends.
type spool struct {
	file *os.File
	w    *bufio.Writer
	head []byte
}

const (
	frameSection  = 's' // hash, name, body
	frameSnapshot = 'm' // tier, name, env, project, head, places of its sections in the spool as varints
)

// fields are how many a frame has.
func fields(kind byte) int {
	switch kind {
	case frameSection:
		return 3
	case frameSnapshot:
		return 6
	}
	return 0
}

const spoolName = ".recording-*"

// newSpool makes one in dir, where there is room for what will be kept there.
func newSpool(dir string) (*spool, error) {
	// A process that was killed between the next two statements left an empty file. One that is between them now does not miss its name.
	left, err := filepath.Glob(filepath.Join(quoteGlob(dir), spoolName))
	if err != nil {
		return nil, err
	}
	for _, name := range left {
		_ = os.Remove(name) // somebody else may have been quicker
	}
	f, err := os.CreateTemp(dir, spoolName)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return &spool{file: f, w: bufio.NewWriterSize(f, 1<<18)}, nil
}

// quoteGlob is a path as a pattern that only it matches.
func quoteGlob(path string) string {
	var b []byte
	for i := range len(path) {
		if c := path[i]; c == '*' || c == '?' || c == '[' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, path[i])
	}
	return string(b)
}

func (s *spool) write(kind byte, parts ...[]byte) error {
	head := append(s.head[:0], kind)
	for _, p := range parts {
		head = binary.AppendUvarint(head, uint64(len(p)))
	}
	s.head = head
	if _, err := s.w.Write(head); err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := s.w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// each gives f every frame. What f gets is its own until it returns.
func (s *spool) each(f func(kind byte, parts [][]byte) error) error {
	if err := s.w.Flush(); err != nil {
		return err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	defer func() { _, _ = s.file.Seek(0, io.SeekEnd) }() // more may be written, if this did not do
	r := bufio.NewReaderSize(s.file, 1<<18)
	var buf []byte
	for {
		kind, err := r.ReadByte()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		sizes, total := make([]int, fields(kind)), 0
		if len(sizes) == 0 {
			return fmt.Errorf("%s holds what was not written", s.file.Name())
		}
		for i := range sizes {
			n, err := binary.ReadUvarint(r)
			if err != nil {
				return err
			}
			sizes[i] = int(n)
			total += int(n)
		}
		if cap(buf) < total {
			buf = make([]byte, total)
		}
		buf = buf[:total]
		if _, err := io.ReadFull(r, buf); err != nil {
			return err
		}
		parts, at := make([][]byte, len(sizes)), 0
		for i, n := range sizes {
			parts[i] = buf[at : at+n : at+n]
			at += n
		}
		if err := f(kind, parts); err != nil {
			return err
		}
	}
}

func (s *spool) close() { _ = s.file.Close() } // nobody will read it
