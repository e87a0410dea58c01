// SPDX-License-Identifier: Apache-2.0

package images

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/internal/progress"
)

// packing is one artefact to be made from a root tree.
type packing struct {
	tree    string    // the root tree, an uncompressed tar
	raw     string    // a raw disk made of it before, or ""
	work    string    // folder for what is made; the caller removes it
	digest  string    // the tree's: identifiers of file systems and partitions are derived from it
	newest  time.Time // the time for what is newly made
	subject string    // for progress
	emit    progress.Func
	memory  func(room int64) string // Store.memoryTree; nil: always on the disk
}

// packed is a finished artefact, under work.
type packed struct {
	file     string
	diskSize int64 // of disks: the virtual size, bytes; else 0
}

// pack makes one artefact. It needs no root: what belongs to the tree's users is unpacked in a user namespace. Disks made of one tree are
// alike but for times that mke2fs takes from the clock (before 1.47.1), in inodes' atime and ctime.
func (k packing) pack(ctx context.Context, f Format) (packed, error) {
	switch f {
	case Kernel, Initrd:
		return k.bootFile(f)
	case VMLinux:
		return k.vmlinux(ctx)
	case Raw:
		return k.rawDisk(ctx)
	case QCOW2:
		return k.qcow2Disk(ctx)
	}
	return packed{}, fmt.Errorf("no such artefact is made from a tree; known are %s, %s, %s, %s, %s", Raw, QCOW2, Kernel, VMLinux, Initrd)
}

func (k packing) step(done, total int, what string) {
	k.emit.Emit(progress.Event{Subject: k.subject, Stage: "pack", Detail: what, Done: int64(done), Total: int64(total)})
}

// uuid derives an identifier from the tree's digest, in the form of RFC 9562 version 8.
func (k packing) uuid(purpose string) string {
	b := sha256.Sum256([]byte(k.digest + " " + purpose))
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// treeSummary is what packing must know of a tree before it unpacks it.
type treeSummary struct {
	bytes  int64 // in whole blocks of the file system
	inodes int64
	links  map[string]string // symbolic links in / and /boot: where they lead
}

func summarize(tree string) (treeSummary, error) {
	s := treeSummary{links: map[string]string{}}
	err := eachEntry(tree, func(name string, h *tar.Header, _ io.Reader) error {
		if h.Typeflag != tar.TypeLink {
			s.inodes++
		}
		switch h.Typeflag {
		case tar.TypeReg:
			s.bytes += roundUp(h.Size, blockSize)
		case tar.TypeDir:
			s.bytes += blockSize
		case tar.TypeSymlink:
			if dir := path.Dir(name); dir == "/" || dir == "/boot" {
				s.links[name] = path.Join("/", path.Dir(name), h.Linkname)
				if path.IsAbs(h.Linkname) {
					s.links[name] = path.Clean(h.Linkname)
				}
			}
		}
		return nil
	})
	return s, err
}

// errStop ends eachEntry early.
var errStop = errors.New("stop")

// eachEntry calls do for each entry of a tar by its absolute, clean name.
func eachEntry(file string, do func(name string, h *tar.Header, body io.Reader) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	for in := tar.NewReader(f); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read the root tree %s: %w", file, err)
		}
		if err := do(path.Clean("/"+h.Name), h, in); err != nil {
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
	}
}

// bootFile takes the kernel or the initrd out of the tree: the one that the boot loader's configuration takes too.
func (k packing) bootFile(f Format) (packed, error) {
	base := map[Format]string{Kernel: "vmlinuz", Initrd: "initrd.img"}[f]
	k.step(0, 1, base)
	s, err := summarize(k.tree)
	if err != nil {
		return packed{}, err
	}
	want := s.links["/"+base] // Debian's place for the link
	if want == "" {
		want = s.links["/boot/"+base] // Ubuntu's
	}
	if want == "" {
		return packed{}, fmt.Errorf("the tree has no link /%s or /boot/%s, which kernel packages make: is a kernel installed?", base, base)
	}
	out := filepath.Join(k.work, strings.TrimSuffix(base, ".img"))
	found := false
	err = eachEntry(k.tree, func(name string, h *tar.Header, body io.Reader) error {
		if name != want || h.Typeflag != tar.TypeReg {
			return nil
		}
		found = true
		if err := writeNew(out, body); err != nil {
			return err
		}
		return errStop
	})
	if err == nil && !found {
		err = fmt.Errorf("the tree's link to %s leads nowhere", want)
	}
	if err != nil {
		return packed{}, err
	}
	k.step(1, 1, base)
	return packed{file: out}, nil
}

func writeNew(name string, body io.Reader) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	return errors.Join(err, f.Close())
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }
