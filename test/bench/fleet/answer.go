// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/parity/facts"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
)

const (
	variants = 40
	drifted  = 100 // one in so many
)

// fleet is what its machines say: by variant, sections in the collector's order.
type fleet struct {
	said [variants][]section
}

// section is what a machine says of one, as the collector's prologue would print it.
type section struct {
	name    string
	raw     []byte
	unknown string
	digest  string // "": it is too short to be known
	packed  []byte // nil: it travels plain
}

func newSection(name string, raw []byte) section {
	s := section{name: name, raw: raw}
	if len(raw) >= 1024 { // these are the collector's
		sum := sha256.Sum256(raw)
		s.digest = hex.EncodeToString(sum[:])
	}
	if len(raw) >= 32768 {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		if err != nil {
			panic(err) // the level is a constant
		}
		_, _ = z.Write(raw) // a buffer takes all
		_ = z.Close()
		s.packed = b.Bytes()
	}
	return s
}

// record runs the collector here once, and makes variants of what it says: each has its own version of some packages, every second its own sysctl, every fourth its own file below /etc.
func record(ctx context.Context) (*fleet, error) {
	groups := collectors.All()
	line, input := facts.Program(groups)
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Stdin = bytes.NewReader(input)
	text, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	said, err := facts.Answer(text)
	if err != nil {
		return nil, err
	}
	f := &fleet{}
	for _, g := range groups {
		s := said[g.Name]
		base := section{name: g.Name, unknown: s.Unknown}
		if s.Unknown == "" {
			base = newSection(g.Name, s.Raw)
		}
		for v := range variants {
			f.said[v] = append(f.said[v], base)
			if s.Unknown != "" {
				continue
			}
			raw, err := variant(g.Name, s.Raw, v)
			if err != nil {
				return nil, err
			}
			if raw != nil {
				f.said[v][len(f.said[v])-1] = newSection(g.Name, raw)
			}
		}
	}
	return f, nil
}

// variant is what variant v says instead, nil where it says what all do.
func variant(name string, raw []byte, v int) ([]byte, error) {
	lines := strings.SplitAfter(string(raw), "\n")
	switch {
	case name == "packages":
		if lines[0] != "dpkg\n" {
			return nil, errors.New("its packages are not dpkg's")
		}
		for i := range 3 {
			at := 1 + (v*7+i)%(len(lines)-2)
			lines[at] = strings.TrimSuffix(lines[at], "\n") + fmt.Sprintf("+v%d\n", v)
		}
	case name == "sysctl" && v%2 == 1:
		at := v * 5 % (len(lines) - 1)
		lines[at] = strings.TrimSuffix(lines[at], "\n") + fmt.Sprint(v) + "\n"
	case name == "etc" && v%4 == 1:
		at := v % 50 // sums stand first
		lines[at] = digestOf(v) + lines[at][min(64, len(lines[at])):]
	default:
		return nil, nil
	}
	return []byte(strings.Join(lines, "")), nil
}

func digestOf(of any) string {
	sum := sha256.Sum256([]byte(fmt.Sprint(of)))
	return hex.EncodeToString(sum[:])
}

// own is a section as machine i says it.
func own(s section, i int) section {
	raw := string(s.raw)
	switch s.name {
	case "os_own":
		raw = fmt.Sprintf("hostname web-%d\n", i)
	case "boot":
		lines := strings.SplitAfter(raw, "\n")
		for n, line := range lines {
			switch word, _, _ := strings.Cut(line, " "); word {
			case "uptime":
				lines[n] = fmt.Sprintf("uptime %d.00 0.00\n", 1000+i)
			case "boot_id":
				lines[n] = fmt.Sprintf("boot_id 5eb43e19-c56d-49fd-9ef9-%012d\n", i)
			}
		}
		raw = strings.Join(lines, "")
	case "etc_own":
		lines := strings.SplitAfter(raw, "\n")
		for n, line := range lines {
			if sum, path, ok := strings.Cut(line, "  "); ok && len(sum) == 64 && identity(strings.TrimSpace(path)) {
				lines[n] = digestOf(sum+fmt.Sprint(i)) + "  " + path
			}
		}
		raw = strings.Join(lines, "")
	case "packages":
		if i%drifted != 7 {
			return s
		}
		raw += fmt.Sprintf("ii \tzz-by-hand\tall\t1.0-%d\n", i)
	default:
		return s
	}
	return newSection(s.name, []byte(raw))
}

// identity reports whether each machine has its own of a file.
func identity(path string) bool {
	return path == "/etc/machine-id" || path == "/etc/hostname" || strings.HasPrefix(path, "/etc/ssh/ssh_host_") || strings.Contains(path, "snakeoil")
}

// answer is what machine i says to who sent it the collector.
func (f *fleet) answer(i int, s *sshtest.Session) int {
	in := bufio.NewReader(s.Stdin)
	line, err := in.ReadString('\n')
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	if err != nil {
		return 1 // the client is gone
	}
	asked := map[string]bool{}
	only, sums := false, false
	for word := range strings.FieldsSeq(line) {
		asked[word] = true
		only = only || word[0] == '='
		sums = sums || len(word) == 16
	}
	out := bufio.NewWriterSize(s.Stdout, 32<<10)
	now := time.Now()
	fmt.Fprintf(out, "evenkeel-facts 1 1 %d.%09d -\n", now.Unix(), now.Nanosecond())
	for _, part := range f.said[i%variants] {
		if only && !asked["="+part.name] {
			continue
		}
		if part.unknown != "" {
			fmt.Fprintf(out, "section %s unknown %d -\n%s\n", part.name, len(part.unknown), part.unknown)
			continue
		}
		part = own(part, i)
		how, digest, body := "plain", "-", part.raw
		if sums && part.digest != "" {
			digest = part.digest
		}
		switch {
		case digest != "-" && asked[digest[:16]]:
			how, body = "known", nil
		case part.packed != nil && asked["z"]:
			how, body = "gzip", part.packed
		}
		fmt.Fprintf(out, "section %s %s %d %s\n", part.name, how, len(part.raw), digest)
		if how != "known" {
			_, _ = out.Write(body) // Flush tells
			_ = out.WriteByte('\n')
		}
	}
	_, _ = out.WriteString("end\n")
	if out.Flush() != nil {
		return 1
	}
	return 0
}
