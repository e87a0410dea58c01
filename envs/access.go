// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

const (
	maxKeyFile = 64 << 10 // bytes
	maxKeys    = 500      // of one list
)

// keyTypes are those that a current OpenSSH accepts without being told to.
var keyTypes = []string{
	"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa",
	"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
}

// access reads an `access` with the key files it names. What it does not name is left zero; a list that is named and empty is not nil.
func (l *loader) access(n *strictyaml.Node) Access {
	var a Access
	f := n.Fields(accessKeys)
	if user := f.Get("user"); user != nil {
		a.User = l.user(user)
	}
	a.Keys = l.publicKeys(&a, f.Get("keys"))
	a.UserCA = l.publicKeys(&a, f.Get("user_ca"))
	return a
}

// publicKeys are the lines of the files that n names, each once; a learns where they come from.
func (l *loader) publicKeys(a *Access, n *strictyaml.Node) []string {
	if n == nil {
		return nil
	}
	lines := []string{}
	for _, item := range n.List() {
		pattern := item.Line()
		if pattern == "" {
			continue
		}
		for _, file := range l.keyFiles(item, pattern) {
			for _, line := range l.keyFile(item, file) {
				if slices.Contains(lines, line) {
					continue
				}
				lines = append(lines, line)
				if a.Files == nil {
					a.Files = map[string]string{}
				}
				if _, known := a.Files[line]; !known {
					a.Files[line] = file
				}
			}
		}
	}
	if len(lines) > maxKeys {
		n.Errorf("the files hold %d keys; allowed are %d", len(lines), maxKeys)
	}
	return lines
}

// user is a login that every image has.
func (l *loader) user(n *strictyaml.Node) string {
	name := n.Line()
	if name == "" || name == DefaultUser {
		return DefaultUser
	}
	for _, file := range slices.Sorted(maps.Keys(l.def.Recipes)) {
		r := l.def.Recipes[file]
		if r == nil || r.HasUser(name) {
			continue
		}
		if name == "root" {
			n.Errorf("got %q; nobody logs in as root", clip(name)).Hint = "leave user out for the login " + DefaultUser + ", which every image has and which may use sudo"
			return name
		}
		n.Errorf("got %q; the recipe %s has no such user, so nobody could log in", clip(name), file).Hint =
			fmt.Sprintf("add it there: users: {%s: {shell: /bin/bash}}, or leave user out for the login %s, which every image has", clip(name), DefaultUser)
	}
	return name
}

func (l *loader) keyFiles(n *strictyaml.Node, pattern string) []string {
	if !filepath.IsLocal(pattern) || path.Clean(pattern) != pattern {
		n.Errorf("got %q; keys lie inside the project, named relative to env.yaml, such as keys/*.pub", clip(pattern))
		return nil
	}
	if !strings.ContainsAny(pattern, `*?[\`) {
		return []string{pattern}
	}
	files, err := fs.Glob(l.root.FS(), pattern)
	if err != nil {
		n.Errorf("got %q, which is no pattern: %v", clip(pattern), err)
		return nil
	}
	if len(files) == 0 {
		n.Errorf("no file matches %s", clip(pattern))
	}
	return files
}

// keyFile is the keys of one file of authorized_keys lines. No line of it is ever shown: it might be a private key.
func (l *loader) keyFile(n *strictyaml.Node, file string) []string {
	data, err := l.readInside(file)
	if err != nil {
		n.Errorf("the file %s cannot be used: %v", clip(file), err)
		return nil
	}
	if len(data) > maxKeyFile {
		n.Errorf("the file %s is larger than 64KiB; it cannot be a file of public keys", clip(file))
		return nil
	}
	if bytes.Contains(data, []byte("PRIVATE KEY")) || bytes.HasPrefix(data, []byte("PuTTY-User-Key-File")) {
		n.Errorf("the file %s holds a PRIVATE key; wanted are public keys (*.pub)", clip(file)).Hint =
			"take the file out of the project; if it was ever committed or shared, make a new key"
		return nil
	}
	var keys []string
	found, number := 0, 0
	for text := range bytes.Lines(data) {
		number++
		line := strings.TrimSpace(string(text))
		if line == "" || line[0] == '#' {
			continue
		}
		found++
		if reason := checkKey(line); reason != "" {
			l.inside = append(l.inside, problem.Problem{
				Severity: problem.Error, File: filepath.Join(l.shown, file), Line: number, Column: 1, Message: reason,
				Hint: "a line is what ssh-keygen writes into a .pub file: a type, the key, a comment",
			})
			continue
		}
		keys = append(keys, line)
	}
	if found == 0 {
		n.Errorf("the file %s holds no key", clip(file))
	}
	return keys
}

// checkKey says what is wrong with an authorized_keys line, "" where nothing is.
func checkKey(line string) string {
	if !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl) {
		return "this line holds bytes that are no text; it is no public key"
	}
	fields := strings.Fields(line)
	if !slices.Contains(keyTypes, fields[0]) {
		if slices.ContainsFunc(fields, func(f string) bool { return slices.Contains(keyTypes, f) }) {
			return "options before the key are not supported; the line begins with the key's type"
		}
		return "this line does not begin with a key type; known are " + strings.Join(keyTypes, ", ")
	}
	if len(fields) < 2 {
		return "this line has a type but no key"
	}
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil {
		return "the key is no base64; it may be cut or broken over two lines"
	}
	// RFC 4253, section 6.6: the blob begins with the type's name, its length before it.
	if len(blob) < 4 || uint64(binary.BigEndian.Uint32(blob)) > uint64(len(blob)-4) || string(blob[4:4+binary.BigEndian.Uint32(blob)]) != fields[0] {
		return "the key inside is not of the type that stands before it; it may be cut"
	}
	if len(blob) < 40 {
		return "the key is too short; it may be cut"
	}
	return ""
}

// readInside reads a regular file of the project, at most one byte more than a key file may have.
func (l *loader) readInside(file string) ([]byte, error) {
	info, err := l.root.Stat(file)
	if err != nil {
		return nil, leaf(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is no regular file")
	}
	f, err := l.root.Open(file)
	if err != nil {
		return nil, leaf(err)
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxKeyFile+1))
}
