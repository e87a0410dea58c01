// SPDX-License-Identifier: Apache-2.0

package ssh

import (
	"bytes"
	"crypto/sha1" // the form of hashed names (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT) has no other
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/evenkeel/evenkeel/internal/bounded"
)

// knownHostsMax bounds one known_hosts file: 100,000 hosts of three keys.
const knownHostsMax = 128 << 20

// Known is what known_hosts files say, in their order. It is read once and safe for concurrent use.
type Known struct {
	exact     map[string][]int // by the plain names of a line
	patterned []int            // lines with patterns or hashed names, which have to be tried
	lines     []knownLine
}

type knownLine struct {
	marker string // "", cert-authority or revoked
	hosts  []string
	hashed []hashedName
	line   string // the key in authorized_keys form
}

// hashedName is |1|SALT|HASH: HMAC-SHA1 (RFC 2104) of a name, the salt being the key. The two pads are made once: each line is tried for each host, and
// crypto/hmac, which makes them each time, takes nearly twice as long (1,000 hosts and 3,000 lines: 3 s without it).
type hashedName struct {
	inner, outer [sha1.BlockSize]byte
	hash         [sha1.Size]byte
}

func (h *hashedName) is(name string) bool {
	var room [2 * sha1.BlockSize]byte
	inner := sha1.Sum(append(append(room[:0], h.inner[:]...), name...))
	return sha1.Sum(append(append(room[:0], h.outer[:]...), inner[:]...)) == h.hash
}

// HostTrust is by what a host is believed: plain keys, authorities whose certificates count while they are valid, and what is never believed. All
// are in authorized_keys form without comment.
type HostTrust struct {
	Keys, Authorities, Revoked []string
}

// ReadKnown reads files in known_hosts form (sshd(8)). A file that is not there is no error, as for ssh(1). A line that cannot be read is passed over, as
// ssh(1) does, unless it revokes a key: then it is an error, since nobody would notice that it is not in force.
func ReadKnown(files ...string) (*Known, error) {
	k := &Known{exact: map[string][]int{}}
	for _, file := range files {
		data, err := bounded.ReadFile(file, knownHostsMax)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", file, err)
		}
		if err := k.add(data); err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", file, err)
		}
	}
	return k, nil
}

// ParseKnown is ReadKnown of one file's content.
func ParseKnown(data []byte) (*Known, error) {
	k := &Known{exact: map[string][]int{}}
	return k, k.add(data)
}

func (k *Known) add(data []byte) error {
	number := 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		marker, hosts, key, _, _, err := ssh.ParseKnownHosts(line)
		_, isCert := key.(*ssh.Certificate)
		if err != nil || isCert || marker != "" && marker != "cert-authority" && marker != "revoked" {
			if bytes.HasPrefix(line, []byte("@revoked")) {
				return fmt.Errorf("line %d revokes a key, and cannot be read", number)
			}
			continue
		}
		k.note(knownLine{marker: marker, hosts: hosts, line: authorizedKey(key)})
	}
	return nil
}

func (k *Known) note(l knownLine) {
	at, tried := len(k.lines), false
	for i, h := range l.hosts {
		l.hosts[i] = strings.ToLower(h)
		tried = tried || strings.ContainsAny(h, "*?!|")
		if name, ok := parseHashed(h); ok { // base64 has capitals
			l.hashed = append(l.hashed, name)
			l.hosts[i] = "|"
		}
	}
	k.lines = append(k.lines, l)
	if tried {
		k.patterned = append(k.patterned, at)
		return
	}
	for _, h := range l.hosts {
		k.exact[h] = append(k.exact[h], at)
	}
}

// Lookup is what is known of host at port: under [host]:port where port is not 22 and, where nothing is, under host alone, as ssh(1) looks. What is revoked
// under either name is revoked.
func (k *Known) Lookup(host string, port int) HostTrust {
	host = strings.ToLower(host)
	if port == 22 || port == 0 {
		return k.under(host)
	}
	t, plain := k.under(fmt.Sprintf("[%s]:%d", host, port)), k.under(host)
	t.Revoked = append(t.Revoked, plain.Revoked...)
	if len(t.Keys) == 0 {
		t.Keys = plain.Keys
	}
	// Authorities vouch for a name, whatever the port (ssh checks certificates against the host alone).
	t.Authorities = append(t.Authorities, plain.Authorities...)
	return t
}

// KnownLines are the lines of a known_hosts file that say t of a host by that name, or [name]:port.
func KnownLines(name string, t HostTrust) string {
	var b strings.Builder
	for _, part := range []struct {
		marker string
		keys   []string
	}{{"@revoked ", t.Revoked}, {"@cert-authority ", t.Authorities}, {"", t.Keys}} {
		for _, key := range part.keys {
			fmt.Fprintf(&b, "%s%s %s\n", part.marker, name, key)
		}
	}
	return b.String()
}

func (k *Known) under(name string) (t HostTrust) {
	try := func(at int) {
		switch l := k.lines[at]; l.marker {
		case "cert-authority":
			t.Authorities = append(t.Authorities, l.line)
		case "revoked":
			t.Revoked = append(t.Revoked, l.line)
		default:
			t.Keys = append(t.Keys, l.line)
		}
	}
	for _, at := range k.exact[name] {
		try(at)
	}
	for _, at := range k.patterned {
		if l := &k.lines[at]; l.matches(name) {
			try(at)
		}
	}
	return t
}

// matches: one of the line's patterns matches name and none that is negated does.
func (l *knownLine) matches(name string) bool {
	found := false
	for i := range l.hashed {
		found = found || l.hashed[i].is(name)
	}
	for _, p := range l.hosts {
		p, not := strings.CutPrefix(p, "!")
		switch {
		case !Match(p, name):
		case not:
			return false
		default:
			found = true
		}
	}
	return found
}

func parseHashed(pattern string) (hashedName, bool) {
	parts := strings.Split(pattern, "|")
	if len(parts) != 4 || parts[0] != "" || parts[1] != "1" {
		return hashedName{}, false
	}
	salt, err := base64.StdEncoding.DecodeString(parts[2])
	hash, err2 := base64.StdEncoding.DecodeString(parts[3])
	if err != nil || err2 != nil || len(salt) != sha1.Size || len(hash) != sha1.Size { // as OpenSSH has it
		return hashedName{}, false
	}
	h := hashedName{hash: [sha1.Size]byte(hash)}
	for i := range h.inner {
		var b byte
		if i < len(salt) {
			b = salt[i]
		}
		h.inner[i], h.outer[i] = b^0x36, b^0x5c
	}
	return h, true
}

// Match reports whether name matches pattern as OpenSSH has it: * stands for any characters, ? for one. It takes time in proportion to the product of
// their lengths at most.
func Match(pattern, name string) bool {
	p, n, star, mark := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p, n = p+1, n+1
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// PlainKey is a public key's line (authorized_keys form) without options and comment. A certificate is refused.
func PlainKey(line string) (string, error) {
	key, err := parsePlainKey(line)
	if err != nil {
		return "", err
	}
	return authorizedKey(key), nil
}
