// SPDX-License-Identifier: Apache-2.0

package images

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/images/guest"
)

// laid is a file, folder or link that the builder lays into a tree.
type laid struct {
	path         string // absolute
	mode         int64  // permissions
	owner, group string // root where empty
	data         []byte
	from         string // a file that holds the content instead
	dir          bool
	link         string
}

func (f laid) header(size int64, newest time.Time) *tar.Header {
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: "." + f.path, Mode: f.mode, Size: size, ModTime: newest, Format: tar.FormatPAX,
		Uname: cmp.Or(f.owner, "root"), Gname: cmp.Or(f.group, "root"),
	}
	switch {
	case f.dir:
		h.Typeflag = tar.TypeDir
	case f.link != "":
		h.Typeflag, h.Linkname = tar.TypeSymlink, f.link
	}
	return h
}

// writeTar makes the tar name of files for the sandbox to unpack, owners by name. Folders that are there already keep their mode and owner.
func writeTar(name string, files []laid, newest time.Time) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := tar.NewWriter(f)
	slices.SortStableFunc(files, func(x, y laid) int { return cmp.Compare(x.path, y.path) })
	for _, f := range files {
		if err := f.write(out, newest); err != nil {
			return fmt.Errorf("cannot lay %s: %w", f.path, err)
		}
	}
	return out.Close()
}

func (f laid) write(out *tar.Writer, newest time.Time) error {
	if f.from == "" {
		if err := out.WriteHeader(f.header(int64(len(f.data)), newest)); err != nil {
			return err
		}
		_, err := out.Write(f.data)
		return err
	}
	in, err := os.Open(f.from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := out.WriteHeader(f.header(info.Size(), newest)); err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return err
}

// baseFiles are what every image of a release holds besides packages.
func baseFiles(from string) []laid {
	var files []laid
	for _, f := range guest.Files() {
		files = append(files, laid{path: f.Path, mode: int64(f.Mode.Perm()), data: f.Data, dir: f.Mode.IsDir(), link: f.Link})
	}
	r := releases()[from]
	var sources strings.Builder
	for _, a := range r.archives {
		fmt.Fprintf(&sources, "deb [signed-by=%s] %s %s %s\n", r.keyring, a.url, a.suite, strings.Join(a.components, " "))
	}
	return append(files, laid{path: "/etc/apt/sources.list", mode: 0o644, data: []byte(sources.String())})
}

// early are the recipe's files that packages find when they are installed.
func (s spec) early() []laid {
	var files []laid
	for _, f := range s.Files {
		if f.Early {
			files = append(files, laid{path: f.Path, mode: f.Mode, data: f.Data.data})
		}
	}
	return files
}

// late are the recipe's other files, and what its other keys come to as files. fetched is where a file of that hash lies.
func (s spec) late(fetched func(sha256 string) string) []laid {
	var files []laid
	for _, f := range s.Files {
		if !f.Early {
			files = append(files, laid{path: f.Path, mode: f.Mode, owner: f.Owner, group: f.Group, data: f.Data.data})
		}
	}
	for _, f := range s.Fetch {
		files = append(files, laid{path: f.To, mode: f.Mode, from: fetched(f.SHA256)})
	}
	for i, st := range s.Firstboot {
		name := fmt.Sprintf("%s/%02d-%s", guest.StepsDir, i+1, st.Name)
		files = append(files, laid{path: name, mode: 0o755, data: st.Script.runnable()})
	}
	if len(s.Sysctl) > 0 {
		var b strings.Builder
		for _, key := range sortedKeys(s.Sysctl) {
			fmt.Fprintf(&b, "%s = %s\n", key, s.Sysctl[key])
		}
		files = append(files, laid{path: "/etc/sysctl.d/60-recipe.conf", mode: 0o644, data: []byte(b.String())})
	}
	for i, src := range s.Sources {
		key := fmt.Sprintf("/etc/apt/keyrings/recipe-%d%s", i+1, src.Key.keyExt())
		line := fmt.Sprintf("deb [signed-by=%s] %s %s %s\n", key, src.URL, src.Suite, strings.Join(src.Components, " "))
		files = append(files, laid{path: key, mode: 0o644, data: src.Key.data},
			laid{path: fmt.Sprintf("/etc/apt/sources.list.d/recipe-%d.list", i+1), mode: 0o644, data: []byte(line)})
	}
	return files
}

// keyExt is the ending by which apt knows a keyring's form.
func (in input) keyExt() string {
	if bytes.HasPrefix(bytes.TrimSpace(in.data), []byte("-----BEGIN PGP")) {
		return ".asc"
	}
	return ".gpg"
}

// runnable is a script with a first line that says what runs it.
func (in input) runnable() []byte {
	if bytes.HasPrefix(in.data, []byte("#!")) {
		return in.data
	}
	return append([]byte("#!/bin/sh\n"), in.data...)
}

// layWork writes what scripts/recipe.sh reads into dir.
func (s spec) layWork(dir string, newest time.Time, fetched func(string) string) error {
	late := s.late(fetched)
	if err := writeTar(filepath.Join(dir, "early.tar"), s.early(), newest); err != nil {
		return err
	}
	if err := writeTar(filepath.Join(dir, "files.tar"), late, newest); err != nil {
		return err
	}
	files := map[string][]byte{
		"packages": linesOf(wantNames(s.Packages)),
		"accounts": linesOf(s.useradd()),
		"owners":   linesOf(owners(late)),
		"services": linesOf(s.serviceDeeds()),
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	steps := filepath.Join(dir, "steps")
	if err := os.Mkdir(steps, 0o755); err != nil {
		return err
	}
	for i, st := range s.Provision {
		if err := os.WriteFile(filepath.Join(steps, fmt.Sprintf("%02d-%s", i+1, st.Name)), st.Script.runnable(), 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (s spec) useradd() []string {
	var out []string
	for _, a := range s.Users {
		args := []string{"--shell", a.Shell, "--home-dir", a.Home, "--user-group"}
		if a.System {
			args = append(args, "--system")
		} else {
			args = append(args, "--create-home")
		}
		if len(a.Groups) > 0 {
			args = append(args, "--groups", strings.Join(a.Groups, ","))
		}
		if a.UID != 0 {
			args = append(args, "--uid", strconv.Itoa(a.UID))
		}
		out = append(out, strings.Join(append(args, a.Name), " "))
	}
	return out
}

func owners(files []laid) []string {
	var out []string
	for _, f := range files {
		for kind, name := range map[string]string{"passwd": f.owner, "group": f.group} {
			if name != "" && name != "root" {
				out = append(out, kind+" "+name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (s spec) serviceDeeds() []string {
	deeds := map[string]string{"enabled": "enable", "disabled": "disable", "masked": "mask"}
	var out []string
	for _, unit := range sortedKeys(s.Services) {
		out = append(out, deeds[s.Services[unit]]+" "+unit)
	}
	return out
}

func linesOf(words []string) []byte {
	if len(words) == 0 {
		return nil
	}
	return []byte(strings.Join(words, "\n") + "\n")
}
