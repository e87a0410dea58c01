// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/internal/bounded"
	"github.com/evenkeel/evenkeel/internal/progress"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// CopyOptions say how Upload and Download work.
type CopyOptions struct {
	Recursive bool // folders too
	Progress  progress.Func
	// Skipped is told what is neither a file, a folder nor a link, and links that lead out of a folder that comes from a machine. It may be nil.
	Skipped func(name, why string)
}

func (o CopyOptions) skip(name, why string) {
	if o.Skipped != nil {
		o.Skipped(name, why)
	}
}

var errFolder = errors.New("it is a folder; -r copies folders")

// Upload copies sources of this computer to to on the machine, as cp does: into to where that is a folder, else as to, whose folder must exist. Permission bits
// are kept, times are not. A file appears whole or not at all; a folder is added to what is there, and may be there in part after a failure.
func Upload(ctx context.Context, client *ssh.Client, sources []string, to string, o CopyOptions) error {
	m := machine{client, remotePath(to)}
	is, err := m.is(ctx)
	if err != nil {
		return fmt.Errorf("cannot copy to %s: %w", to, err)
	}
	if !is.folder && (len(sources) > 1 || strings.HasSuffix(to, "/")) {
		return fmt.Errorf("cannot copy to %s: it is no folder on the machine", to)
	}
	for _, source := range sources {
		target := m.dir
		if is.folder {
			target = path.Join(m.dir, filepath.Base(source))
		}
		if err := upload(ctx, client, source, target, o); err != nil {
			return fmt.Errorf("cannot copy %s: %w", source, err)
		}
	}
	return nil
}

func upload(ctx context.Context, client *ssh.Client, source, target string, o CopyOptions) error {
	info, err := os.Stat(source)
	switch {
	case err != nil:
		return err
	case info.IsDir() && !o.Recursive:
		return errFolder
	case info.IsDir():
		return uploadFolder(ctx, machine{client, path.Dir(target)}, source, path.Base(target), o)
	case !info.Mode().IsRegular():
		return errSpecial
	}
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	defer f.Close()
	return client.CopyTo(ctx, &counted{r: f, name: filepath.Base(source), total: info.Size(), tell: o.Progress}, target, info.Mode().Perm())
}

// uploadFolder packs source as the folder name into m's.
func uploadFolder(ctx context.Context, m machine, source, name string, o CopyOptions) error {
	return m.feed(ctx, `cd -- "$1" && exec tar -x -p --no-same-owner -f -`, func(w io.Writer) error {
		return packFolder(ctx, w, source, name, o)
	}, m.dir)
}

func packFolder(ctx context.Context, to io.Writer, source, name string, o CopyOptions) error {
	w := tar.NewWriter(to)
	sent := &counted{name: filepath.Base(source), tell: o.Progress}
	err := filepath.WalkDir(source, func(p string, d fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(source, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		link := ""
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			if link, err = os.Readlink(p); err != nil {
				return err
			}
		case !info.IsDir() && !info.Mode().IsRegular():
			o.skip(p, errSpecial.Error())
			return nil
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		h.Name, h.Format = path.Join(name, filepath.ToSlash(rel)), tar.FormatPAX
		h.Uid, h.Gid, h.Uname, h.Gname, h.Mode = 0, 0, "", "", h.Mode&0o777
		if info.IsDir() {
			h.Mode |= 0o700 // or nothing could be put into it
		}
		if err := w.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		sent.r = f
		if _, err := io.CopyN(w, sent, h.Size); err != nil {
			return fmt.Errorf("%s: %w", rel, cmpEOF(err))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return w.Close()
}

// cmpEOF says what an early end of a file means.
func cmpEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return errChanged
	}
	return err
}

// Download copies source of the machine to to on this computer, as cp does: into to where that is a folder, else as to. Permission bits are kept, times are
// not. A file appears whole or not at all; a folder is added to what is there, through no link out of it, and may be there in part after a failure. Killed, it
// may leave a file .evenkeel-* beside.
func Download(ctx context.Context, client *ssh.Client, source, to string, o CopyOptions) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot copy %s from the machine: %w", source, err)
		}
	}()
	m := machine{client, remotePath(source)}
	is, err := m.is(ctx)
	if err != nil {
		return err
	}
	info, statErr := os.Stat(to)
	switch {
	case statErr == nil && info.IsDir():
		name := path.Base(path.Clean(m.dir))
		if name == "." || name == ".." || name == "/" {
			return errors.New("it has no name of its own; name the folder that it is to become")
		}
		to = filepath.Join(to, name)
	case strings.HasSuffix(to, "/"):
		return fmt.Errorf("%s is no folder", to)
	}
	switch {
	case is.folder && !o.Recursive:
		return errFolder
	case is.folder:
		return m.downloadFolder(ctx, to, o)
	case !is.file:
		return fs.ErrNotExist
	}
	return m.downloadFile(ctx, to, is, o)
}

func (m machine) downloadFile(ctx context.Context, to string, is remoteKind, o CopyOptions) error {
	f, err := os.CreateTemp(filepath.Dir(to), ours+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // renamed as a rule
	sink := &counted{w: f, name: filepath.Base(to), total: is.size, tell: o.Progress}
	err = m.run(ctx, `exec cat <"$1"`, nil, sink, m.dir)
	if err := errors.Join(err, f.Chmod(is.mode), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), to)
}

func (m machine) downloadFolder(ctx context.Context, to string, o CopyOptions) error {
	if err := os.Mkdir(to, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer root.Close()
	got := &counted{name: filepath.Base(to), tell: o.Progress}
	return m.take(ctx, `cd -- "$1" && exec tar -c --format=posix --hard-dereference -f - .`, nil, func(r io.Reader) error {
		return unpackFolder(ctx, root, r, got, o)
	}, m.dir)
}

// unpackFolder lays an untrusted archive below root.
func unpackFolder(ctx context.Context, root *os.Root, r io.Reader, got *counted, o CopyOptions) error {
	archive := tar.NewReader(r)
	for ctx.Err() == nil {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read what the machine sends: %w", err)
		}
		name := path.Clean(h.Name)
		if name == "." {
			continue
		}
		if !filepath.IsLocal(name) || len(name) > maxPath {
			o.skip(h.Name, "its name leads out of the folder")
			continue
		}
		got.r = archive
		if err := unpackOne(root, name, h, got, o); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

func unpackOne(root *os.Root, name string, h *tar.Header, content io.Reader, o CopyOptions) error {
	mode := fs.FileMode(h.Mode) & 0o777
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, mode|0o700)
	case tar.TypeReg, tar.TypeSymlink:
	default:
		o.skip(name, errSpecial.Error())
		return nil
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	temp := path.Join(path.Dir(name), ours+rand.Text())
	defer func() { _ = root.Remove(temp) }() // renamed as a rule
	if h.Typeflag == tar.TypeSymlink {
		to := path.Join(path.Dir(name), h.Linkname)
		if path.IsAbs(h.Linkname) || to != "." && !filepath.IsLocal(to) {
			o.skip(name, leavesFolder)
			return nil
		}
		if err := root.Symlink(h.Linkname, temp); err != nil {
			return err
		}
		return root.Rename(temp, name)
	}
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err := errors.Join(err, f.Chmod(mode), f.Close()); err != nil {
		return err
	}
	return root.Rename(temp, name)
}

// remotePath is a path of the machine as typed: relative to the login's home folder, which may be called ~.
func remotePath(p string) string {
	switch {
	case p == "" || p == "~":
		return "."
	case strings.HasPrefix(p, "~/"):
		p = strings.TrimLeft(p[2:], "/")
	}
	if !path.IsAbs(p) {
		p = "./" + p // a leading dash is no option
	}
	return p
}

// remoteKind is what is at a path of the machine, links followed.
type remoteKind struct {
	folder, file bool
	mode         fs.FileMode
	size         int64
}

func (m machine) is(ctx context.Context) (is remoteKind, err error) {
	const script = `if [ -d "$1" ]; then echo d; elif [ -e "$1" ]; then [ ! -f "$1" ] || echo f; exec stat -L -c '%a %s' -- "$1"; fi`
	out := &bounded.Limited{Most: 1 << 10}
	if err := m.run(ctx, script, nil, out, m.dir); err != nil {
		return is, err
	}
	w := strings.Fields(out.String())
	if len(w) == 1 && w[0] == "d" {
		return remoteKind{folder: true}, nil
	}
	if len(w) != 3 || w[0] != "f" {
		return is, nil
	}
	mode, err1 := strconv.ParseUint(w[1], 8, 32)
	size, err2 := strconv.ParseInt(w[2], 10, 64)
	return remoteKind{file: true, mode: fs.FileMode(mode) & 0o777, size: size}, errors.Join(err1, err2)
}

// counted tells progress of what is read or written through it.
type counted struct {
	r     io.Reader
	w     io.Writer
	name  string
	done  int64
	total int64
	tell  progress.Func
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.add(n)
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.add(n)
	return n, err
}

func (c *counted) add(n int) {
	c.done += int64(n)
	c.tell.Emit(progress.Event{Subject: c.name, Stage: "copy", Done: c.done, Total: c.total, Bytes: true})
}
