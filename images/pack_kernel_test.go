// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/evenkeel/evenkeel/images"
)

func TestKernelIsUnpackedWhereItCanBeBootedSo(t *testing.T) {
	enterable, other := elfKernel(t, 18), elfKernel(t, 17)
	bare := bzImage(t, packXZ(t, enterable))
	beyond := bytes.Clone(bare)
	binary.LittleEndian.PutUint32(beyond[0x24c:], 1<<31)
	old := bytes.Clone(bare)
	binary.LittleEndian.PutUint16(old[0x206:], 0x0207)
	unknown := bzImage(t, []byte("packed as nobody knows"))
	for name, c := range map[string]struct{ kernel, want []byte }{
		"xz":                     {bare, enterable},
		"gzip":                   {bzImage(t, packGzip(t, enterable)), enterable},
		"zstd":                   {bzImage(t, packZstd(t, enterable)), enterable},
		"without the entry":      {bzImage(t, packGzip(t, other)), nil},
		"packed in another way":  {unknown, nil},
		"no kernel":              {[]byte("no kernel"), nil},
		"an old protocol":        {old, nil},
		"a payload past the end": {beyond, nil},
		"something else packed":  {bzImage(t, packGzip(t, []byte("no ELF"))), nil},
	} {
		t.Run(name, func(t *testing.T) {
			file, _, err := images.Pack(t.Context(), images.VMLinux, kernelTree(t, c.kernel), t.TempDir(), "d", time.Unix(0, 0), nil)
			if err != nil {
				t.Fatal(err)
			}
			want := c.want
			if want == nil {
				want = c.kernel
			}
			if got := read(t, file); got != string(want) {
				t.Errorf("got %d bytes, want %d others", len(got), len(want))
			}
		})
	}
}

func TestBrokenKernelIsToldSo(t *testing.T) {
	packed := packGzip(t, bytes.Repeat([]byte("kernel"), 1000))
	_, _, err := images.Pack(t.Context(), images.VMLinux, kernelTree(t, bzImage(t, packed[:len(packed)/2])), t.TempDir(), "d", time.Unix(0, 0), nil)
	if err == nil {
		t.Error("got no error from half a kernel")
	}
}

// As a program's output is copied: the writer may not read for itself, past its limit.
func TestWhatAKernelUnpacksToIsBounded(t *testing.T) {
	for size, fits := range map[int]bool{1000: true, 1001: false} {
		_, err := io.Copy(images.KeepAtMost(1000), io.LimitReader(bytes.NewReader(make([]byte, size)), int64(size)))
		if (err == nil) != fits {
			t.Errorf("of %d bytes where 1000 are allowed: got %v", size, err)
		}
	}
}

func kernelTree(t *testing.T, kernel []byte) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeReg, Name: "./boot/vmlinuz-6.1", Mode: 0o644, Size: int64(len(kernel))},
		{Typeflag: tar.TypeSymlink, Name: "./vmlinuz", Linkname: "boot/vmlinuz-6.1", Mode: 0o777},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write(kernel); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "tree.tar")
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// elfKernel is an ELF file with one Xen note of the kind given, behind another.
func elfKernel(t *testing.T, kind uint32) []byte {
	t.Helper()
	var notes bytes.Buffer
	for _, k := range []uint32{6, kind} {
		write(t, &notes, []uint32{4, 6, k})
		notes.WriteString("Xen\x00linux\x00\x00\x00")
	}
	const headers = 64 + 56
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1
	var b bytes.Buffer
	write(t, &b, h)
	write(t, &b, elf.Prog64{Type: uint32(elf.PT_NOTE), Off: headers, Filesz: uint64(notes.Len()), Memsz: uint64(notes.Len()), Align: 4})
	b.Write(notes.Bytes())
	return b.Bytes()
}

func write(t *testing.T, b *bytes.Buffer, data any) {
	t.Helper()
	if err := binary.Write(b, binary.LittleEndian, data); err != nil {
		t.Fatal(err)
	}
}

// bzImage wraps a payload as Linux does: one more sector of real-mode code, then 64 bytes of something else.
func bzImage(t *testing.T, payload []byte) []byte {
	t.Helper()
	b := make([]byte, 2*512+64)
	b[0x1f1] = 1
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x206:], 0x020f)
	binary.LittleEndian.PutUint32(b[0x248:], 64)
	binary.LittleEndian.PutUint32(b[0x24c:], uint32(len(payload)))
	return append(append(b, payload...), "code behind"...)
}

func packXZ(t *testing.T, kernel []byte) []byte {
	t.Helper()
	cmd := exec.Command("xz", "--check=crc32", "--stdout")
	cmd.Stdin = bytes.NewReader(kernel)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return binary.LittleEndian.AppendUint32(out, uint32(len(kernel)))
}

func packGzip(t *testing.T, kernel []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(kernel); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packZstd(t *testing.T, kernel []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return binary.LittleEndian.AppendUint32(w.EncodeAll(kernel, nil), uint32(len(kernel)))
}
