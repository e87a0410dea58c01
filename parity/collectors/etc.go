// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/evenkeel/evenkeel/parity"
)

// etc is what machines in equal state have alike below /etc.
func etc() Group {
	return Group{
		Name: "etc", Lane: parity.Stable,
		About: "files, links and folders below /etc: mode, owner, digest, target; the text of small ones. Private keys, password hashes and secrets are not opened",
		Script: files + texts + later + `have find sort sha256sum || unknown 'find, sort and sha256sum are needed'
later '` + strings.Join(ownFiles(), " ") + `'
unread='` + strings.Join(neverRead(), " ") + `'
files /etc -- ` + quoted(ownFiles()) + ` | texts 3
`,
		Parse: parseEtc,
	}
}

// etcOwn is what each machine or place has of its own below /etc.
func etcOwn() Group {
	return Group{
		Name: "etc" + parity.OwnSuffix, Lane: parity.Stable,
		About: "the same of files that each machine or place has of its own (docs/lanes.md)",
		Script: files + texts + `have find sort sha256sum || unknown 'find, sort and sha256sum are needed'
unread='` + strings.Join(neverRead(), " ") + `'
files ` + strings.Join(slices.DeleteFunc(ownFiles(), notListed), " ") + ` -- | texts 1
`,
		Parse: func(raw []byte) ([]parity.Item, error) {
			list, err := parseEtc(raw)
			if errors.Is(err, errNoFiles) {
				return nil, nil
			}
			for i := range list {
				// What is not read is nobody's identity: its mode and owner are compared where the place is one.
				if item := &list[i]; item.Unknown == "" && !strings.Contains(item.Value, "sha256:") && parity.LaneOf("etc", item.Key) == parity.Identity {
					item.Lane = parity.Place
				}
			}
			return list, err
		},
	}
}

var errNoFiles = errors.New("nothing below /etc could be listed")

// reasons why something is there and not known.
const (
	notRead   = "it could not be read, only root may or it is larger than 64 MiB"
	notLooked = "only root may look into it"
	oddName   = "a name in it has a tab or a line's end"
)

func parseEtc(raw []byte) ([]parity.Item, error) {
	digests := map[string]string{}
	since := map[string]string{}
	booted := false
	bodies := map[string]*bytes.Buffer{}
	var body *bytes.Buffer
	var entries [][]string
	for line := range bytes.Lines(raw) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if text, ok := bytes.CutPrefix(line, []byte("\t\t")); ok {
			if body != nil {
				body.Write(text)
				body.WriteByte('\n')
			}
			continue
		}
		if path, ok := bytes.CutPrefix(line, []byte("T\t")); ok {
			body = &bytes.Buffer{}
			bodies[string(path)] = body
		} else if digest, path, ok := sumLine(string(line)); ok {
			digests[path] = digest
		} else if f := strings.Split(string(line), "\t"); f[0] == "b" {
			booted = true
		} else if f[0] == "n" && len(f) == 3 {
			since[f[2]] = moment(f[1])
		} else {
			entries = append(entries, f)
		}
	}
	var s itemSet
	for _, f := range entries {
		if len(f) == 2 && f[0] == "o" {
			s.add(parity.Item{Key: f[1] + "/(odd name)", Unknown: oddName})
		}
		item, ok := entryOf(f)
		item.Since = since[item.Key]
		if !ok || item.Key == "/etc" { // which manifests of images do not have either
			continue
		}
		switch digest := digests[item.Key]; {
		case f[0] == "u":
			item.Unknown = notLooked
		case f[0] == "f" && digest == "":
			item.Unknown = notRead
		case f[0] == "f":
			item.Value += " sha256:" + digest
			if b := bodies[item.Key]; b != nil {
				item.Body = textOf(b.Bytes(), digest)
			}
		}
		s.add(item)
	}
	if len(s.list) == 0 {
		return nil, errNoFiles
	}
	if booted {
		s.add(parity.Item{Key: parity.FirstBootItem, Value: "ended", Lane: parity.Volatile})
	}
	return s.list, nil
}

// moment is a file's time of change, seconds with a fraction, as RFC 3339. What is none is the epoch: later than nothing, and yet a time.
func moment(text string) string {
	seconds, _, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || n < 0 || n > 253402300799 { // the end of the year 9999, which RFC 3339 has
		n = 0
	}
	return time.Unix(n, 0).UTC().Format(time.RFC3339)
}

// entryOf is what files printed of one name, without what is in it.
func entryOf(f []string) (item parity.Item, ok bool) {
	if len(f) < 6 || !strings.Contains("fldku", f[0]) || !strings.HasPrefix(f[5], "/") && f[0] != "l" {
		return item, false
	}
	mode, err := strconv.ParseUint(f[1], 8, 16)
	if err != nil {
		return item, false
	}
	owner := owned(f[2], f[3])
	if f[0] != "l" {
		return parity.Item{Key: f[5], Value: leftPad(mode) + " " + owner}, true
	}
	name, target, lane := f[5], "", parity.Lane("")
	if len(f) > 6 {
		target = strings.Join(f[6:], "\t")
	} else if name, target, ok = strings.Cut(strings.TrimSuffix(strings.TrimPrefix(name, "'"), "'"), "' -> '"); !ok {
		return item, false
	}
	if target == "ssl-cert-snakeoil.pem" { // its name is a digest of the machine's own
		lane = parity.Volatile
	}
	return parity.Item{Key: name, Value: "0777 " + owner + " -> " + target, Lane: lane}, strings.HasPrefix(name, "/")
}

func leftPad(mode uint64) string {
	text := strconv.FormatUint(mode&0o7777, 8)
	return "0000"[:4-len(text)] + text
}

// owned are user and group by name, by number where they have none.
func owned(names, numbers string) string {
	user, group, _ := strings.Cut(names, ":")
	uid, gid, _ := strings.Cut(numbers, ":")
	if user == "UNKNOWN" && uid != "" {
		user = uid
	}
	if group == "UNKNOWN" && gid != "" {
		group = gid
	}
	return user + ":" + group
}

// sumLine is a line of sha256sum, which begins with a backslash where the name has one (sha256sum's manual).
func sumLine(line string) (digest, path string, ok bool) {
	rest, escaped := strings.CutPrefix(line, `\`)
	digest, path, ok = strings.Cut(rest, "  ")
	if !ok || len(digest) != 2*sha256.Size || strings.Trim(digest, "0123456789abcdef") != "" {
		return "", "", false
	}
	if escaped {
		path = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(path)
	}
	return digest, path, true
}

// textOf is a file's text, "" where it is none or not what the digest is of: a line's end at its end, and zeros in it, did not come over.
func textOf(lines []byte, digest string) string {
	if !utf8.Valid(lines) {
		return ""
	}
	for _, text := range [][]byte{lines, bytes.TrimSuffix(lines, []byte("\n"))} {
		if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) == digest {
			return string(text)
		}
	}
	return ""
}
