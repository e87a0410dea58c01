// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/internal/bounded"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// scanScript lists the machine's folder with GNU find.
//
//go:embed scan.sh
var scanScript string

// machine is the other side: a folder on it, reached as the user whose files they are.
type machine struct {
	client *ssh.Client
	dir    string
}

// scanned is what the machine's folder held.
type scanned struct {
	tree    tree
	skip    skipped
	dirs    map[string]bool // every folder; false: the user may not write into it
	absent  bool            // there is no such folder
	writes  bool            // the user may write into the folder itself
	id      string          // of the baseline that the folder belongs to, or ""
	started string          // the machine's clock before the scan, seconds with a fraction
}

// run runs a shell script on the machine with its arguments, and adds what it says to its error.
func (m machine) run(ctx context.Context, script string, stdin io.Reader, stdout io.Writer, args ...string) error {
	line := "exec sh -c " + ssh.Quote(script) + " sh"
	for _, a := range args {
		line += " " + ssh.Quote(a)
	}
	said := &bounded.Tail{}
	err := m.client.Run(ctx, ssh.Command{Line: line, Stdin: stdin, Stdout: stdout, Stderr: said})
	if text := trimmed(said); err != nil && text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// trimmed is what was said, for an error.
func trimmed(said *bounded.Tail) string {
	return strings.TrimSpace(strings.ToValidUTF8(said.String(), "?"))
}

func (m machine) scan(ctx context.Context) (*scanned, error) {
	var s *scanned
	err := m.take(ctx, scanScript, nil, func(r io.Reader) (err error) {
		s, err = parseScan(r)
		return err
	}, m.dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list %s on the machine: %w", m.dir, err)
	}
	return s, nil
}

// errScan is output of the scan script that the script does not write.
var errScan = errors.New("what came back is no listing")

// maxRecord bounds one record: a path, or a link's target, and the figures before it.
const maxRecord = maxPath + 256

// parseScan reads what the scan script prints. It is untrusted: names that may not be synced are skipped, and nothing grows without bound.
func parseScan(r io.Reader) (*scanned, error) {
	records := bufio.NewReaderSize(r, 2*maxRecord)
	next := func() (string, error) {
		b, err := records.ReadSlice(0)
		if errors.Is(err, bufio.ErrBufferFull) || len(b) > maxRecord {
			return "", fmt.Errorf("%w: a name is longer than %d bytes", errScan, maxPath)
		}
		if err != nil {
			return "", fmt.Errorf("%w: it ends early", errScan)
		}
		return string(b[:len(b)-1]), nil
	}
	s := &scanned{tree: tree{}, skip: skipped{}, dirs: map[string]bool{}}
	head, err := next()
	if err != nil {
		return nil, err
	}
	if head == "absent" {
		s.absent = true
		return s, nil
	}
	uid, err := s.head(head)
	if err != nil {
		return nil, err
	}
	for n := 0; ; n++ {
		text, err := next()
		if err != nil {
			return nil, err
		}
		if text == "end" {
			return s, nil
		}
		target, err := next()
		if err != nil {
			return nil, err
		}
		if n == maxEntries {
			return nil, errTooMany
		}
		if err := s.add(text, target, uid); err != nil {
			return nil, err
		}
	}
}

// head reads "head UID CLOCK WRITABLE ID".
func (s *scanned) head(text string) (uid string, err error) {
	w := strings.SplitN(text, " ", 5)
	if len(w) != 5 || w[0] != "head" || w[1] == "" {
		return "", fmt.Errorf("%w: its first record is %.40q", errScan, text)
	}
	if _, err := nanoseconds(w[2]); err != nil {
		return "", err
	}
	s.started, s.writes = w[2], w[3] == "yes"
	if len(w[4]) <= 64 {
		s.id = w[4]
	}
	return w[1], nil
}

// add takes one entry: "KIND MODE UID SIZE TIME PATH".
func (s *scanned) add(text, target, uid string) error {
	w := strings.SplitN(text, " ", 6)
	if len(w) != 6 {
		return fmt.Errorf("%w: a record is %.40q", errScan, text)
	}
	p := w[5]
	if !fit(p) {
		return nil // not ours to look at, or a trick
	}
	switch w[0] {
	case "x":
		s.skip[p+"/"] = "the user who syncs may not read the folder"
	case "u":
		s.skip[p] = "the user who syncs may not read it"
	case "d", "r":
		s.dirs[p] = w[0] == "d"
	case "l":
		if !inside(p, target) {
			s.skip[p] = leavesFolder
			return nil
		}
		s.tree[p] = entry{Kind: link, Link: target, Foreign: w[2] != uid}
	case "f":
		mode, err1 := strconv.ParseUint(w[1], 8, 32)
		size, err2 := strconv.ParseInt(w[3], 10, 64)
		ns, err3 := nanoseconds(w[4])
		if err := errors.Join(err1, err2, err3); err != nil || size < 0 {
			return fmt.Errorf("%w: a record is %.40q", errScan, text)
		}
		s.tree[p] = entry{Kind: file, Exec: mode&0o100 != 0, Size: size, Time: ns, Foreign: w[2] != uid}
	default:
		return fmt.Errorf("%w: a record is %.40q", errScan, text)
	}
	return nil
}

// nanoseconds reads find's %T@ and date's %s.%N: seconds since 1970, a point, up to ten digits.
func nanoseconds(text string) (int64, error) {
	whole, part, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || seconds > 1<<33 || seconds < -1<<33 {
		return 0, fmt.Errorf("%w: a time is %.40q", errScan, text)
	}
	part = (part + "000000000")[:9]
	rest, err := strconv.ParseUint(part, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%w: a time is %.40q", errScan, text)
	}
	if seconds < 0 {
		return seconds*1e9 - int64(rest), nil
	}
	return seconds*1e9 + int64(rest), nil
}

// hashScript prints the digests of the files named on its input.
const hashScript = `cd -P -- "$1" && xargs -0 -r sha256sum -z --`

// hashes are the digests of paths on the machine; those that went meanwhile are not among them.
func (m machine) hashes(ctx context.Context, paths []string) (map[string][32]byte, error) {
	all := map[string][32]byte{}
	if len(paths) == 0 {
		return all, nil
	}
	wanted := map[string]bool{}
	for _, p := range paths {
		wanted[p] = true
	}
	var stdin bytes.Buffer
	for _, p := range paths {
		stdin.WriteString("./" + p + "\x00")
	}
	out := &bounded.Limited{Most: 2 * (stdin.Len() + 80*len(paths))}
	err := m.run(ctx, hashScript, &stdin, out, m.dir)
	if _, failed := errors.AsType[*ssh.ExitError](err); err != nil && !failed { // xargs fails where one file went
		return nil, fmt.Errorf("cannot read %s on the machine: %w", m.dir, err)
	}
	for rec := range strings.SplitSeq(out.String(), "\x00") {
		digest, name, ok := strings.Cut(rec, "  ./")
		sum, err := hex.DecodeString(digest)
		if ok && err == nil && len(sum) == 32 && wanted[name] {
			all[name] = [32]byte(sum)
		}
	}
	return all, nil
}

// digestScript comes to one line that is the same as long as the folder is.
const digestScript = `export LC_ALL=C
cd -P -- "$1" 2>/dev/null || { echo absent; exit 0; }
find . -ignore_readdir_race -mindepth 1 \( -name .git -o -name '.evenkeel-*' \) -prune -o \( -type f -o -type l -o -type d ! -readable \) -printf '%y %m %U %s %T@ %P %l\0' 2>/dev/null | sha256sum`

// digest is for telling cheaply whether a scan would show anything new.
func (m machine) digest(ctx context.Context) (string, error) {
	out := &bounded.Limited{Most: 200}
	if err := m.run(ctx, digestScript, nil, out, m.dir); err != nil {
		return "", err
	}
	return out.String(), nil
}
