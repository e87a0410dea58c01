// SPDX-License-Identifier: Apache-2.0

// Package trust keeps which commands of which projects the user has let run on this computer.
//
// It is not for what runs inside machines or sandboxes. The one rule: a consent is for a command word for word, with the files of the project
// that it names as they were; whatever of it changes asks again.
package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Store is the consents of one user, a file for each project in the folder Dir, which is made when it is needed. It is safe for use by several
// processes; of two that write at once the later one wins, and the other's consent is asked for again.
type Store struct{ Dir string }

// Grant is a consent.
type Grant struct {
	Command string            `json:"command"`
	Files   map[string]string `json:"files,omitempty"` // SHA-256 of the project's files that the command names, or "link to ...", by path in the project
	Allowed time.Time         `json:"allowed"`
}

// Project is the consents for one folder.
type Project struct {
	Dir    string  `json:"project"`
	Grants []Grant `json:"commands"`
}

// Request is a command that may not run yet.
type Request struct {
	Command string `json:"command"`
	Why     string `json:"why"` // "new", or what has changed
}

// Missing are those of commands that may not run in the project at dir, in their order.
func (s Store) Missing(dir string, commands []string) ([]Request, error) {
	if len(commands) == 0 {
		return nil, nil
	}
	p, err := s.read(dir)
	if err != nil {
		return nil, err
	}
	var missing []Request
	for _, c := range commands {
		files, err := named(p.Dir, c)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(p.Grants, func(g Grant) bool { return g.Command == c })
		switch {
		case i < 0:
			missing = append(missing, Request{c, "new"})
		case !maps.Equal(p.Grants[i].Files, files):
			missing = append(missing, Request{c, changed(p.Grants[i].Files, files)})
		}
	}
	return missing, nil
}

// Allow lets commands run in the project at dir as they and the files they name are now.
func (s Store) Allow(dir string, commands []string) error {
	p, err := s.read(dir)
	if err != nil {
		return err
	}
	for _, c := range commands {
		files, err := named(p.Dir, c)
		if err != nil {
			return err
		}
		p.Grants = slices.DeleteFunc(p.Grants, func(g Grant) bool { return g.Command == c })
		p.Grants = append(p.Grants, Grant{Command: c, Files: files, Allowed: time.Now().UTC().Truncate(time.Second)})
	}
	return s.write(p)
}

// Revoke forgets all consents for the project at dir, and says how many there were. The project itself need not be there any more.
func (s Store) Revoke(dir string) (int, error) {
	p, err := s.read(dir)
	if err != nil {
		return 0, err
	}
	if err := os.Remove(s.file(p.Dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("cannot revoke consent: %w", err)
	}
	return len(p.Grants), nil
}

// List is all consents, by project.
func (s Store) List() ([]Project, error) {
	files, err := filepath.Glob(filepath.Join(s.Dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("cannot list consents: %w", err)
	}
	var all []Project
	for _, file := range files {
		p, err := load(file)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Project) int { return strings.Compare(a.Dir, b.Dir) })
	return all, nil
}

func (s Store) file(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(s.Dir, hex.EncodeToString(sum[:16])+".json")
}

func (s Store) read(dir string) (Project, error) {
	if real, err := filepath.EvalSymlinks(dir); err == nil { // else it is gone: it is known by the name it had
		dir = real
	}
	p, err := load(s.file(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return Project{Dir: dir}, nil
	}
	if err == nil && p.Dir != dir {
		err = fmt.Errorf("cannot read consents: %s is about %s, not %s", s.file(dir), p.Dir, dir)
	}
	return p, err
}

func load(file string) (Project, error) {
	var p Project
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	if err != nil {
		return p, fmt.Errorf("cannot read consents in %s: %w", file, err)
	}
	return p, nil
}

func (s Store) write(p Project) error {
	data, err := json.MarshalIndent(p, "", "  ")
	if err == nil {
		err = os.MkdirAll(s.Dir, 0o700)
	}
	if err == nil {
		err = replace(s.file(p.Dir), append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("cannot record consent: %w", err)
	}
	return nil
}

// replace puts data in the place of file, or leaves it as it was.
func replace(file string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone where it was renamed
	_, err = f.Write(data)
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// named is the digest of each file of the project that stands in command as a word. A script in the repository is as much what runs as the line
// that calls it.
func named(dir, command string) (map[string]string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read project %s: %w", dir, err)
	}
	defer root.Close()
	var files map[string]string
	for _, word := range strings.FieldsFunc(command, func(r rune) bool { return strings.ContainsRune(" \t\"'`;|&<>()$={}", r) }) {
		if rest, ok := strings.CutPrefix(word, dir+"/"); ok {
			word = rest
		}
		name := filepath.Clean(word)
		if !filepath.IsLocal(name) {
			continue
		}
		sum, err := digest(root, name)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s, which the command %q names: %w", name, command, err)
		}
		if sum == "" {
			continue
		}
		if files == nil {
			files = map[string]string{}
		}
		files[name] = sum
	}
	return files, nil
}

// digest is what tells a file from what it may become: of a regular file that of its content, of a link out of the project where it leads, of
// all else "".
func digest(root *os.Root, name string) (string, error) {
	info, err := root.Stat(name)
	if err != nil {
		if target, err := root.Readlink(name); err == nil {
			return "link to " + target, nil
		}
		return "", nil
	}
	if !info.Mode().IsRegular() {
		return "", nil
	}
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func changed(was, is map[string]string) string {
	all := maps.Clone(was)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, is)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if was[name] != is[name] {
			names = append(names, name)
		}
	}
	return "changed since: " + strings.Join(names, ", ")
}
