// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// The disk: a GPT with a BIOS boot partition (GRUB's second stage, as it is), an EFI system partition and, last so that it can grow, the
// root file system. Sizes are those of firmware: FAT32 needs more than 32 MiB to be FAT32 (Microsoft's fatgen103), and some UEFI firmware
// takes nothing else.
const (
	sectorSize = 512
	blockSize  = 4096
	mebibyte   = 1 << 20

	biosStart = 1 * mebibyte
	biosSize  = 1 * mebibyte
	espStart  = biosStart + biosSize
	espSize   = 40 * mebibyte
	rootStart = espStart + espSize
	tailSize  = 1 * mebibyte // the second partition table, and alignment

	diskUnit    = 64 * mebibyte
	journalSize = 64 * mebibyte // the file system grows on the machine, its journal does not

	rootLabel = "evenkeel-root" // KernelArgs name it
)

// Partition types: UEFI 2.10, 5.3.3; the BIOS boot partition is GRUB's; root for x86-64 is of the Discoverable Partitions Specification.
const (
	typeBIOSBoot = "21686148-6449-6E6F-744E-656564454649"
	typeESP      = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
	typeRoot     = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
)

// mke2fsConf stands in the place of the host's /etc/mke2fs.conf, so that one tree makes one file system wherever it is packed, and one
// that every kernel and boot loader of the known releases reads.
const mke2fsConf = `[defaults]
	base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
	default_mntopts = acl,user_xattr
	enable_periodic_fsck = 0
	blocksize = 4096
	inode_size = 256
[fs_types]
	ext4 = {
		features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
	}
`

func (k packing) rawDisk(ctx context.Context) (packed, error) { return k.disk(ctx, Raw) }

func (k packing) qcow2Disk(ctx context.Context) (packed, error) {
	if err := needTools("qemu-img"); err != nil {
		return packed{}, err
	}
	if k.raw == "" {
		return k.disk(ctx, QCOW2)
	}
	info, err := os.Stat(k.raw)
	if err != nil {
		return packed{}, err
	}
	k.step(0, 1, "qcow2")
	out := filepath.Join(k.work, "disk.qcow2")
	if err := k.tool(ctx, "qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", k.raw, out); err != nil {
		return packed{}, fmt.Errorf("cannot convert the disk: %w", err)
	}
	k.step(1, 1, "qcow2")
	return packed{out, info.Size()}, nil
}

// disk makes a disk of the tree and keeps it as format.
func (k packing) disk(ctx context.Context, format Format) (packed, error) {
	if err := needTools("sfdisk", "mke2fs", "mkfs.vfat", "mmd", "mcopy", "grub-mkimage"); err != nil {
		return packed{}, err
	}
	k.step(0, diskSteps, "measure")
	tree, err := summarize(k.tree)
	if err != nil {
		return packed{}, err
	}
	size := tree.diskSize()
	head := filepath.Join(k.work, "head.raw")
	if err := k.emptyDisk(ctx, head, size); err != nil {
		return packed{}, fmt.Errorf("cannot partition the disk: %w", err)
	}
	k.step(1, diskSteps, "boot loader")
	if err := k.bootLoader(ctx, head); err != nil {
		return packed{}, fmt.Errorf("cannot lay the boot loader: %w", err)
	}
	if err := k.rootFileSystem(ctx, format, size, tree); err != nil {
		return packed{}, fmt.Errorf("cannot make the disk: %w", err)
	}
	k.step(diskSteps, diskSteps, "disk")
	return packed{filepath.Join(k.work, "disk."+string(format)), size}, nil
}

// diskSize leaves a quarter of the tree's size free, for the time before the file system has grown to the machine's disk.
func (s treeSummary) diskSize() int64 {
	root := s.bytes + s.inodes*256
	root += root/4 + journalSize + 32*mebibyte
	return roundUp(rootStart+root+tailSize, diskUnit)
}

func (k packing) emptyDisk(ctx context.Context, disk string, size int64) error {
	f, err := os.Create(disk)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	var table strings.Builder
	fmt.Fprintf(&table, "label: gpt\nlabel-id: %s\nunit: sectors\n", k.uuid("disk"))
	part := func(name, kind string, start, size int64) {
		fmt.Fprintf(&table, "start=%d, size=%d, type=%s, name=%s, uuid=%s\n", start/sectorSize, size/sectorSize, kind, name, k.uuid("partition "+name))
	}
	part("bios", typeBIOSBoot, biosStart, biosSize)
	part("esp", typeESP, espStart, espSize)
	part("root", typeRoot, rootStart, size-tailSize-rootStart)
	box := k.box()
	box.stdin = strings.NewReader(table.String())
	return box.run(ctx, "sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", disk)
}

// diskSteps are measuring, the boot loader, and what scripts/disk.sh tells.
const diskSteps = 5

//go:embed scripts/disk.sh
var diskScript string

// rootFileSystem unpacks the tree and lets mke2fs take it up, both as root of a user namespace where the user is not root, and in memory
// where there is room: both are done with once the disk is written.
func (k packing) rootFileSystem(ctx context.Context, format Format, size int64, tree treeSummary) error {
	if err := os.WriteFile(filepath.Join(k.work, "mke2fs.conf"), []byte(mke2fsConf), 0o644); err != nil {
		return err
	}
	partition := size - tailSize - rootStart
	inodes := max(partition/16384, tree.inodes+tree.inodes/4+1024)
	done := 1
	box := k.box()
	box.line = func(text string) {
		if what, found := strings.CutPrefix(text, "evenkeel: "); found {
			done++
			k.step(done, diskSteps, what)
		}
	}
	memory := ""
	if k.memory != nil {
		memory = k.memory(tree.bytes + size)
	}
	return box.run(ctx, "sh", "-c", diskScript, "disk.sh", memory, k.tree, string(format), strconv.FormatInt(partition/blockSize, 10),
		"-q", "-F", "-t", "ext4", "-L", rootLabel, "-U", k.uuid("root"), "-b", strconv.Itoa(blockSize),
		"-N", strconv.FormatInt(inodes, 10), "-J", fmt.Sprintf("size=%d", journalSize/mebibyte), "-e", "remount-ro", "-m", "1",
		// The file is new and so all zeros: nothing is left for the machine to zero later.
		"-E", fmt.Sprintf("offset=%d,hash_seed=%s,root_owner=0:0,nodiscard,lazy_itable_init=0,lazy_journal_init=1", rootStart, k.uuid("hash seed")))
}

// box is where the tools run. They take the time for what they make from SOURCE_DATE_EPOCH (mtools, mke2fs from 1.47.1) or
// E2FSPROGS_FAKE_TIME (mke2fs).
func (k packing) box() sandbox {
	at := strconv.FormatInt(k.newest.Unix(), 10)
	return sandbox{dir: k.work, env: toolEnv("SOURCE_DATE_EPOCH="+at, "E2FSPROGS_FAKE_TIME="+at, "MKE2FS_CONFIG="+filepath.Join(k.work, "mke2fs.conf"),
		"MTOOLSRC=/dev/null", "TMPDIR="+k.work)}
}

func (k packing) tool(ctx context.Context, name string, args ...string) error {
	if err := k.box().run(ctx, name, args...); err != nil {
		return fmt.Errorf("%s failed: %w", name, err)
	}
	return nil
}

// needTools says which programs are missing, and the Debian packages that bring them.
func needTools(names ...string) error {
	brought := map[string]string{
		"sfdisk": "fdisk", "mke2fs": "e2fsprogs", "mkfs.vfat": "dosfstools", "mmd": "mtools", "mcopy": "mtools",
		"grub-mkimage": "grub-common", "qemu-img": "qemu-utils",
		"mmdebstrap": "mmdebstrap", "apt-get": "apt", "dpkg-deb": "dpkg", "unshare": "util-linux", "tar": "tar", "xz": "xz-utils",
	}
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if _, err := exec.LookPath("/usr/sbin/" + name); err == nil { // not on a plain user's PATH
			continue
		}
		return fmt.Errorf("%s is missing; install it with: sudo apt-get install %s", name, brought[name])
	}
	return nil
}
