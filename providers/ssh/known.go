// SPDX-License-Identifier: Apache-2.0

package ssh

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" // the form of hashed names (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT) has no other
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
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
	key    ssh.PublicKey
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
		data, err := readBounded(file, knownHostsMax)
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
		k.note(knownLine{marker, hosts, key})
	}
	return nil
}

func (k *Known) note(l knownLine) {
	at := len(k.lines)
	k.lines = append(k.lines, l)
	for _, h := range l.hosts {
		if strings.ContainsAny(h, "*?!|") {
			k.patterned = append(k.patterned, at)
			return
		}
	}
	for _, h := range l.hosts {
		h = strings.ToLower(h)
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
		l := k.lines[at]
		line := authorizedKey(l.key)
		switch l.marker {
		case "cert-authority":
			t.Authorities = append(t.Authorities, line)
		case "revoked":
			t.Revoked = append(t.Revoked, line)
		default:
			t.Keys = append(t.Keys, line)
		}
	}
	for _, at := range k.exact[name] {
		try(at)
	}
	for _, at := range k.patterned {
		if matchesHosts(k.lines[at].hosts, name) {
			try(at)
		}
	}
	return t
}

// matchesHosts: one of the patterns matches name and none that is negated does.
func matchesHosts(patterns []string, name string) bool {
	found := false
	for _, p := range patterns {
		p, not := strings.CutPrefix(p, "!")
		switch {
		case !matchesHost(p, name):
		case not:
			return false
		default:
			found = true
		}
	}
	return found
}

func matchesHost(pattern, name string) bool {
	if !strings.HasPrefix(pattern, "|") {
		return Match(strings.ToLower(pattern), name)
	}
	parts := strings.Split(pattern, "|") // |1|salt|hash
	if len(parts) != 4 || parts[1] != "1" {
		return false
	}
	salt, err := base64.StdEncoding.DecodeString(parts[2])
	hash, err2 := base64.StdEncoding.DecodeString(parts[3])
	if err != nil || err2 != nil {
		return false
	}
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(name))
	return hmac.Equal(mac.Sum(nil), hash)
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

// readBounded reads a regular file of at most max bytes; a named pipe does not hold it up.
func readBounded(file string, max int64) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(data)) > max {
		return nil, fmt.Errorf("it is larger than %d bytes", max)
	}
	return data, err
}
