// SPDX-License-Identifier: Apache-2.0

package facts

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// What is taken of a machine. A Debian server with 1,500 packages says 0.5 MB in all, and 0.3 MB in its longest section.
const (
	maxSection = 4 << 20  // bytes of a section, unpacked
	maxAnswer  = 32 << 20 // bytes of all sections, unpacked
	maxFrames  = 200
	maxLine    = 256           // of a header
	maxBanner  = 64 << 10      // before the first header
	maxReason  = 600           // of why something is unknown
	maxPacked  = 2 * maxAnswer // bytes of the connection
	magic      = "evenkeel-facts 1 "
)

// header is what a collector says first.
type header struct {
	root  bool
	clock float64 // seconds since 1970
	self  string  // SHA-256 of the copy that ran; "" for what we sent
}

// frame is a section as it came. how is plain, gzip, known or unknown; raw is the text of a plain or gzip one, and the reason of an unknown one.
type frame struct {
	name, how, digest string
	raw               []byte
}

// hearer is who reads an answer.
type hearer struct {
	begun func(header)
	// long waits until there is room for a section of longSection or more, and returns what gives it back once the section was taken in.
	long func() (done func(), err error)
	each func(frame) // its raw is valid until it returns
}

// readFrames reads a collector's answer. A machine's banner may stand before it. It returns nil after the last word of a whole answer; whatever was given to each before an error
// stands.
func readFrames(r io.Reader, to hearer) error {
	in := bufio.NewReaderSize(io.LimitReader(r, maxPacked), 16<<10)
	h, err := readHeader(in)
	if err != nil {
		return err
	}
	to.begun(h)
	total := 0
	for range maxFrames {
		line, err := readLine(in)
		if err != nil {
			return err
		}
		if line == "end" {
			return nil
		}
		f, length, err := parseFrame(line)
		if err != nil {
			return err
		}
		if f.how != "known" {
			if total += length; total > maxAnswer {
				return fmt.Errorf("it says more than %d MiB", maxAnswer>>20)
			}
		}
		if err := readFrame(in, f, length, to); err != nil {
			return err
		}
	}
	return fmt.Errorf("it says more than %d sections", maxFrames)
}

// readFrame reads what stands behind a section's first line.
func readFrame(in *bufio.Reader, f frame, length int, to hearer) error {
	if length >= longSection && f.how != "known" {
		done, err := to.long()
		if err != nil {
			return err
		}
		defer done()
	}
	var buf bytes.Buffer
	if f.how != "known" {
		body := io.Writer(&buf)
		if length > maxSection {
			body = io.Discard
		}
		if err := readBody(in, body, f.how == "gzip", length); err != nil {
			return err
		}
	}
	if length > maxSection {
		f.how = "unknown"
		fmt.Fprintf(&buf, "it says %d bytes; at most %d are read", length, maxSection)
	}
	f.raw = buf.Bytes()
	to.each(f)
	return nil
}

// readHeader skips what stands before the header.
func readHeader(in *bufio.Reader) (header, error) {
	for skipped, fresh := 0, true; skipped < maxBanner; {
		line, err := in.ReadSlice('\n')
		whole := fresh && err == nil
		fresh = err == nil
		if whole && len(line) <= maxLine && bytes.HasPrefix(line, []byte(magic)) {
			return parseHeader(strings.TrimSuffix(string(line), "\n"))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return header{}, ended(err)
		}
		skipped += len(line)
	}
	return header{}, errors.New("it says other things than facts")
}

func parseHeader(line string) (header, error) {
	words := strings.Split(strings.TrimPrefix(line, magic), " ")
	if len(words) != 3 || words[0] != "0" && words[0] != "1" {
		return header{}, fmt.Errorf("its first word is malformed: %.100q", line)
	}
	h := header{root: words[0] == "1"}
	seconds, fraction, _ := strings.Cut(words[1], ".")
	if _, err := strconv.ParseUint(fraction, 10, 64); err != nil || len(fraction) > 9 {
		fraction = "0" // busybox knows no %N
	}
	var err error
	if h.clock, err = strconv.ParseFloat(seconds+"."+fraction, 64); err != nil || !(h.clock >= 0 && h.clock < 1e11) || strings.ContainsAny(seconds, "eExXpP_+-nNiI") {
		return header{}, fmt.Errorf("it does not say what time it has: %.40q", words[1])
	}
	if words[2] != "-" {
		if !isDigest(words[2]) {
			return header{}, fmt.Errorf("the digest of its collector is none: %.80q", words[2])
		}
		h.self = words[2]
	}
	return h, nil
}

// readLine is a line without its end.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadSlice('\n')
	switch {
	case err != nil && !errors.Is(err, bufio.ErrBufferFull):
		return "", ended(err)
	case err != nil || len(line) > maxLine:
		return "", errors.New("a line is too long where a section should begin")
	}
	return string(line[:len(line)-1]), nil
}

func parseFrame(line string) (f frame, length int, err error) {
	words := strings.Split(line, " ")
	bad := fmt.Errorf("a section begins malformed: %.100q", line)
	if len(words) != 5 || words[0] != "section" {
		return f, 0, bad
	}
	f = frame{name: words[1], how: words[2]}
	length, err = strconv.Atoi(words[3])
	if err != nil || length < 0 || strconv.Itoa(length) != words[3] {
		return f, 0, bad
	}
	if words[4] != "-" {
		if !isDigest(words[4]) {
			return f, 0, bad
		}
		f.digest = words[4]
	}
	switch f.how {
	case "plain", "gzip", "unknown":
	case "known":
		if f.digest == "" {
			return f, 0, bad
		}
	default:
		return f, 0, bad
	}
	return f, length, nil
}

// readBody reads length bytes and the line's end behind them. Memory grows with what comes, never with what was announced.
func readBody(in *bufio.Reader, to io.Writer, packed bool, length int) error {
	if packed {
		if err := unzip(in, to, length); err != nil {
			return err
		}
	} else if _, err := io.CopyN(to, in, int64(length)); err != nil {
		return ended(err)
	}
	end, err := in.ReadByte()
	if err != nil {
		return ended(err)
	}
	if end != '\n' {
		return errors.New("a section is longer than it said")
	}
	return nil
}

// unzip reads one gzip member, not a byte more, of exactly length bytes unpacked.
func unzip(in *bufio.Reader, to io.Writer, length int) error {
	z, err := gzip.NewReader(in)
	if err != nil {
		return fmt.Errorf("a section cannot be unpacked: %w", ended(err))
	}
	z.Multistream(false)
	n, err := io.Copy(to, io.LimitReader(z, int64(length)+1))
	switch {
	case err != nil:
		return fmt.Errorf("a section cannot be unpacked: %w", ended(err))
	case n != int64(length):
		return errors.New("a section is not as long as it said")
	}
	return nil
}

// ended says an end of input as people do.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("its answer broke off")
	}
	return err
}

func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
