// SPDX-License-Identifier: Apache-2.0

package images

import (
	"bytes"
	"compress/gzip"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// Where a bzImage tells of what it has packed: Documentation/arch/x86/boot.rst of Linux, protocol 2.08 and later.
const (
	bootSectors     = 0x1f1 // length of the real-mode part but for its first sector, in sectors, u8
	bootMagic       = 0x202 // "HdrS"
	bootVersion     = 0x206 // u16
	bootPayload     = 0x248 // begin of the payload behind the real-mode part, and its length: u32, u32
	bootHeaderEnd   = 0x250
	payloadProtocol = 0x0208

	kernelLimit = 512 * mebibyte // unpacked; Debian 12's has 63
)

// notePVH is the note that a kernel has which can be entered as it is, unpacked: XEN_ELFNOTE_PHYS32_ENTRY (xen/include/public/elfnote.h).
const notePVH = 18

// vmlinux takes the kernel out of the tree and unpacks it.
func (k packing) vmlinux(ctx context.Context) (packed, error) {
	made, err := k.bootFile(Kernel)
	if err != nil {
		return packed{}, err
	}
	out := filepath.Join(k.work, "vmlinux")
	if err := os.Rename(made.file, out); err != nil {
		return packed{}, err
	}
	return packed{file: out}, k.unpackKernel(ctx, out)
}

// unpackKernel replaces the kernel in the file named by what is packed in it, where that is a kernel that can be booted directly (PVH).
// Others are left as they are: every kernel boots packed.
func (k packing) unpackKernel(ctx context.Context, name string) error {
	image, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	payload := kernelPayload(image)
	if payload == nil {
		return nil
	}
	kernel, err := k.unpackPayload(ctx, payload)
	if err != nil {
		return fmt.Errorf("cannot unpack the kernel: %w", err)
	}
	if !bootsUnpacked(kernel) {
		return nil
	}
	return os.WriteFile(name, kernel, 0o644)
}

// kernelPayload is what a bzImage has packed, or nil.
func kernelPayload(image []byte) []byte {
	le := binary.LittleEndian
	if len(image) < bootHeaderEnd || string(image[bootMagic:bootMagic+4]) != "HdrS" || le.Uint16(image[bootVersion:]) < payloadProtocol {
		return nil
	}
	begin := (int64(image[bootSectors])+1)*sectorSize + int64(le.Uint32(image[bootPayload:]))
	end := begin + int64(le.Uint32(image[bootPayload+4:]))
	if end > int64(len(image)) {
		return nil
	}
	return image[begin:end]
}

// unpackPayload knows what distributions pack kernels with; of others it returns nothing. Behind what is packed, but for gzip, stands the size.
func (k packing) unpackPayload(ctx context.Context, payload []byte) ([]byte, error) {
	const sizeLength = 4
	packed := payload[:max(0, len(payload)-sizeLength)]
	switch {
	case bytes.HasPrefix(payload, []byte{0x1f, 0x8b}):
		r, err := gzip.NewReader(bytes.NewReader(payload))
		if err != nil {
			return nil, err
		}
		r.Multistream(false)
		return readKernel(r)
	case bytes.HasPrefix(payload, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		r, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderMaxWindow(kernelLimit))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return readKernel(r)
	case bytes.HasPrefix(payload, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		if err := needTools("xz"); err != nil {
			return nil, err
		}
		out := &limited{left: kernelLimit}
		box := k.box()
		box.stdin, box.stdout = bytes.NewReader(packed), out
		err := box.run(ctx, "xz", "--decompress", "--stdout")
		return out.data, err
	}
	return nil, nil
}

func readKernel(r io.Reader) ([]byte, error) {
	kernel, err := io.ReadAll(io.LimitReader(r, kernelLimit+1))
	if err == nil && len(kernel) > kernelLimit {
		err = errKernelLimit
	}
	return kernel, err
}

var errKernelLimit = fmt.Errorf("it unpacks to more than %d MiB", kernelLimit/mebibyte)

// limited keeps what is written to it, up to a limit.
type limited struct {
	data []byte // not a bytes.Buffer within: its ReadFrom would know no limit
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errKernelLimit
	}
	l.data = append(l.data, p...)
	return len(p), nil
}

// bootsUnpacked: it is an ELF file with the note.
func bootsUnpacked(kernel []byte) bool {
	f, err := elf.NewFile(bytes.NewReader(kernel))
	if err != nil || f.Machine != elf.EM_X86_64 {
		return false
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE || p.Filesz > mebibyte {
			continue
		}
		notes := make([]byte, p.Filesz)
		if _, err := p.ReadAt(notes, 0); err != nil && !errors.Is(err, io.EOF) {
			return false
		}
		if hasNote(notes, f.ByteOrder, "Xen\x00", notePVH) {
			return true
		}
	}
	return false
}

// hasNote walks ELF notes: lengths of name and description, type (u32 each), then both, padded to four bytes.
func hasNote(notes []byte, order binary.ByteOrder, name string, kind uint32) bool {
	const header = 12
	for len(notes) >= header {
		nameLength, length := int64(order.Uint32(notes)), int64(order.Uint32(notes[4:]))
		if order.Uint32(notes[8:]) == kind && bytes.HasPrefix(notes[header:], []byte(name)) {
			return true
		}
		next := header + roundUp(nameLength, 4) + roundUp(length, 4)
		if next > int64(len(notes)) {
			return false
		}
		notes = notes[next:]
	}
	return false
}
