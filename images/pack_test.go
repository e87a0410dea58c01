// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/progress"
)

// capNetRaw is security.capability for cap_net_raw=ep, in the kernel's form (linux/capability.h, revision 2).
const capNetRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// smallTree is a root tree with one of everything.
func smallTree(t *testing.T, more ...*tar.Header) string {
	t.Helper()
	entries := append([]*tar.Header{
		{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755},
		{Typeflag: tar.TypeDir, Name: "./boot/", Mode: 0o755},
		{Typeflag: tar.TypeReg, Name: "./boot/vmlinuz-6.1", Mode: 0o644},
		{Typeflag: tar.TypeReg, Name: "./boot/initrd.img-6.1", Mode: 0o644},
		{Typeflag: tar.TypeSymlink, Name: "./vmlinuz", Linkname: "boot/vmlinuz-6.1", Mode: 0o777},
		{Typeflag: tar.TypeSymlink, Name: "./initrd.img", Linkname: "/boot/initrd.img-6.1", Mode: 0o777},
		{Typeflag: tar.TypeDir, Name: "./home/", Mode: 0o755},
		{Typeflag: tar.TypeReg, Name: "./home/own", Mode: 0o4750, Uid: 900, Gid: 901},
		{Typeflag: tar.TypeLink, Name: "./home/other", Linkname: "./home/own", Uid: 900, Gid: 901, Mode: 0o4750},
		{Typeflag: tar.TypeReg, Name: "./ping", Mode: 0o755, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": capNetRaw}},
	}, more...)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		h.Format, h.ModTime = tar.FormatPAX, time.Unix(1_600_000_000, 0)
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(h.Name)); err != nil {
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

func TestKernelAndInitrdAreTheOnesTheBootLoaderTakes(t *testing.T) {
	tree := smallTree(t)
	for f, want := range map[images.Format]string{images.Kernel: "./boot/vmlinuz-6.1", images.Initrd: "./boot/initrd.img-6.1"} {
		file, _, err := images.Pack(t.Context(), f, tree, t.TempDir(), "d", time.Unix(0, 0), nil)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if got := read(t, file); got != want {
			t.Errorf("%s: got the content of %q, want that of %q", f, got, want)
		}
	}
}

func TestTreeWithoutKernelIsToldSo(t *testing.T) {
	name := filepath.Join(t.TempDir(), "tree.tar")
	if err := os.WriteFile(name, make([]byte, 1024), 0o644); err != nil {
		t.Fatal(err)
	}
	_, _, err := images.Pack(t.Context(), images.Kernel, name, t.TempDir(), "d", time.Unix(0, 0), nil)
	if err == nil || !strings.Contains(err.Error(), "is a kernel installed?") {
		t.Errorf("got error %v, want one that asks for a kernel", err)
	}
}

func TestDiskHoldsTheTreeAsItIs(t *testing.T) {
	dir := t.TempDir()
	var last progress.Event
	disk, size, err := images.Pack(t.Context(), images.Raw, smallTree(t), dir, "digest", time.Unix(1_700_000_000, 0), func(e progress.Event) { last = e })
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(disk); err != nil || info.Size() != size || size%(64<<20) != 0 {
		t.Errorf("disk: got %v, %v; want %d bytes, a multiple of 64 MiB", info, err, size)
	}
	if last.Stage != "pack" || last.Done != last.Total || last.Total == 0 {
		t.Errorf("last progress: got %+v, want the end of stage pack", last)
	}
	root := disk + "?offset=44040192" // 42 MiB: where the third partition begins
	command(t, "/usr/sbin/e2fsck", "-fn", root)
	for what, want := range map[string][]string{
		"stat /home/own":                      {"Mode:  04750", "User:   900", "Group:   901", "Links: 2", "mtime: 0x5f5e1000"},
		"stat /vmlinuz":                       {`Fast link dest: "boot/vmlinuz-6.1"`},
		"ea_get -x /ping security.capability": {"01 00 00 02 00 20 00 00"},
		"cat /home/other":                     {"./home/own"},
		"show_super_stats -h":                 {"evenkeel-root", "Errors behavior:          Remount read-only"},
	} {
		out, err := exec.Command("/usr/sbin/debugfs", "-R", what, root).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", what, err, out)
		}
		for _, w := range want {
			if !strings.Contains(string(out), w) {
				t.Errorf("%s: got\n%s\nwant %q in it", what, out, w)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "disk", "*")); left != nil {
		t.Errorf("the unpacked tree is left at %s", left)
	}
}

func TestDiskStartsUnderBIOSAndUEFI(t *testing.T) {
	disk, _, err := images.Pack(t.Context(), images.Raw, smallTree(t), t.TempDir(), "digest", time.Unix(1_700_000_000, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	boot, core := make([]byte, 512), make([]byte, 512)
	if _, err := f.ReadAt(boot, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(core, 1<<20); err != nil {
		t.Fatal(err)
	}
	if at := binary.LittleEndian.Uint64(boot[0x5c:]); at != 2048 {
		t.Errorf("boot sector: the core is looked for at sector %d, want 2048", at)
	}
	if at := binary.LittleEndian.Uint64(core[0x1f4:]); at != 2049 {
		t.Errorf("core: its rest is looked for at sector %d, want 2049", at)
	}
	if boot[510] != 0x55 || boot[511] != 0xaa || boot[450] != 0xee {
		t.Errorf("boot sector: got signature %x and partition type %x, want 55aa and ee", boot[510:], boot[450])
	}
	out, err := exec.Command("mdir", "-b", "-i", disk+"@@2M", "::/EFI/BOOT").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "BOOTX64.EFI") {
		t.Errorf("EFI system partition: got %v\n%s\nwant BOOTX64.EFI", err, out)
	}
	table, err := exec.Command("/usr/sbin/sfdisk", "--dump", disk).CombinedOutput()
	if err != nil || strings.Count(string(table), "start=") != 3 || !strings.Contains(string(table), `name="root"`) {
		t.Errorf("partitions: got %v\n%s\nwant bios, esp, root", err, table)
	}
}

func TestCancelledPackingLeavesNoTree(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	_, _, err := images.Pack(ctx, images.Raw, smallTree(t), dir, "digest", time.Unix(0, 0), func(e progress.Event) {
		if e.Detail == "unpack" {
			cancel(why)
		}
	})
	if !errors.Is(err, why) {
		t.Errorf("got error %v, want %v", err, why)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "disk", "*")); left != nil {
		t.Errorf("the unpacked tree is left at %s", left)
	}
}
