// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/evenkeel/evenkeel/providers/ssh"
)

// fetchScript packs the files named on its input.
const fetchScript = `cd -P -- "$1" && exec tar -c --format=posix --no-recursion --null --verbatim-files-from -T - -f -`

// pulled is a file that came to the host.
type pulled struct {
	entry entry // as the host has it now
	sum   [32]byte
}

// pull carries paths, which machine's scan saw, to the host, where the scan saw was. A file whose copy there is not that any more is left, as is one
// that changed on the machine; left says why.
func pull(ctx context.Context, h *host, m machine, was, from tree, paths []string, tell func(files, bytes int64)) (done map[string]pulled, left map[string]string, err error) {
	done, left = map[string]pulled{}, map[string]string{}
	if len(paths) == 0 {
		return done, left, nil
	}
	if err := h.root.Mkdir(h.stage, 0o700); err != nil {
		return done, left, err
	}
	defer func() { _ = h.root.RemoveAll(h.stage) }() // the next sync tries again
	var names bytes.Buffer
	for _, p := range paths {
		left[p] = "it changed on the machine meanwhile" // until it came
		names.WriteString("./" + p + "\x00")
	}
	var size int64
	take := func(name string, hd *tar.Header, content io.Reader) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e, asked := from[name]
		if _, open := left[name]; !asked || !open {
			return nil
		}
		got, why := h.receive(name, was, e, hd, content)
		if why != nil {
			left[name] = why.Error()
			return nil
		}
		done[name] = got
		delete(left, name)
		size += e.Size
		tell(int64(len(done)), size)
		return nil
	}
	whole := false
	err = m.take(ctx, fetchScript, &names, func(r io.Reader) error {
		err := members(r, take)
		whole = err == nil
		return err
	}, m.dir)
	// tar fails where a file went or changed: what did come is whole.
	if _, failed := errors.AsType[*ssh.ExitError](err); failed && whole {
		err = nil
	}
	return done, left, err
}

// members calls f for each file and link of an untrusted archive, by its clean name.
func members(r io.Reader, f func(name string, h *tar.Header, content io.Reader) error) error {
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read what the machine sends: %w", err)
		}
		name := strings.TrimPrefix(h.Name, "./")
		if !fit(name) {
			continue
		}
		if err := f(name, h, archive); err != nil {
			return err
		}
	}
}

// receive puts one file in place, as e describes it, where the host's copy still is what the scan saw.
func (h *host) receive(name string, was tree, e entry, hd *tar.Header, content io.Reader) (pulled, error) {
	old, there := was[name]
	if e.Kind == link {
		if hd.Typeflag != tar.TypeSymlink || hd.Linkname != e.Link {
			return pulled{}, errChanged
		}
	} else if hd.Typeflag != tar.TypeReg || hd.Size != e.Size {
		return pulled{}, errChanged
	}
	dir := path.Dir(name)
	if err := h.folder(dir); err != nil {
		return pulled{}, err
	}
	temp := path.Join(h.stage, rand.Text())
	defer func() { _ = h.root.Remove(temp) }() // renamed as a rule
	sum, err := h.lay(temp, h.mode(name, e), e, content)
	if err != nil {
		return pulled{}, err
	}
	now, err := h.stat(temp)
	if err != nil {
		return pulled{}, err
	}
	if !h.same(name, old, there) {
		return pulled{}, errors.New("it changed on this computer meanwhile")
	}
	if err := h.root.Rename(temp, name); err != nil {
		return pulled{}, err
	}
	return pulled{now, sum}, nil
}

// folder makes dir and those above it. One that is a symbolic link is refused.
func (h *host) folder(dir string) error {
	if dir == "." {
		return nil
	}
	var err error
	parents(dir+"/", func(d string) bool {
		info, stat := h.root.Lstat(d)
		switch {
		case errors.Is(stat, os.ErrNotExist):
			err = h.root.Mkdir(d, 0o755)
		case stat != nil:
			err = stat
		case !info.IsDir():
			err = fmt.Errorf("%s is no folder on this computer", d)
		}
		return err == nil
	})
	return err
}

// mode is what the file at name is to have: what it has, but that e says whether it can be executed.
func (h *host) mode(name string, e entry) os.FileMode {
	mode, mask := os.FileMode(0o666), os.FileMode(0o111) // less the user's umask
	if info, err := h.root.Lstat(name); err == nil && info.Mode().IsRegular() {
		mode = info.Mode().Perm()
	}
	if e.Exec {
		return mode | mode>>2&mask // for all who may read it
	}
	return mode &^ mask
}

// lay writes e under the new name temp.
func (h *host) lay(temp string, mode os.FileMode, e entry, content io.Reader) (sum [32]byte, err error) {
	if e.Kind == link {
		return sum, h.root.Symlink(e.Link, temp)
	}
	f, err := h.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return sum, err
	}
	digest := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, digest), io.LimitReader(content, e.Size))
	if err := errors.Join(err, f.Close()); err != nil {
		return sum, err
	}
	if err := h.root.Chtimes(temp, timeOf(e.Time), timeOf(e.Time)); err != nil {
		return sum, err
	}
	return [32]byte(digest.Sum(nil)), nil
}
