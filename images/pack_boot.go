// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// GRUB's modules that are needed until grub.cfg has booted the kernel. All are part of the two boot images; none lies in the tree.
var grubModules = []string{"part_gpt", "ext2", "normal", "configfile", "linux", "serial", "terminal", "echo", "test", "reboot"}

// grubPrefix is where GRUB finds grub.cfg: on the third partition of whatever disk it was itself started from.
const grubPrefix = "(,gpt3)/boot/grub"

// Where GRUB keeps what is patched below: grub-core/boot/i386/pc/boot.S and diskboot.S (GRUB 2.06), as grub-bios-setup does it.
const (
	bootCodeSize    = 440   // of the boot sector; the partition table's part begins behind it
	bootCoreSector  = 0x5c  // boot.img: where the core begins on the disk, u64
	bootDriveCheck  = 0x66  // boot.img: a jump for BIOSes that pass a wrong drive; two NOPs trust the BIOS
	coreRestSector  = 0x1f4 // core.img's first sector: where its second lies, u64
	grubBIOSModules = "/usr/lib/grub/i386-pc"
	grubEFIModules  = "/usr/lib/grub/x86_64-efi"
)

func (k packing) bootLoader(ctx context.Context, disk string) (err error) {
	for dir, pkg := range map[string]string{grubBIOSModules: "grub-pc-bin", grubEFIModules: "grub-efi-amd64-bin"} {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is missing; install it with: sudo apt-get install %s", dir, pkg)
		}
	}
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := k.forBIOS(ctx, f); err != nil {
		return err
	}
	return k.forUEFI(ctx, f)
}

// forBIOS lays the boot sector, and the core in the partition made for it.
func (k packing) forBIOS(ctx context.Context, disk io.WriterAt) error {
	name := filepath.Join(k.work, "core.img")
	args := append([]string{"-O", "i386-pc", "-d", grubBIOSModules, "-p", grubPrefix, "-o", name, "biosdisk"}, grubModules...)
	if err := k.tool(ctx, "grub-mkimage", args...); err != nil {
		return err
	}
	core, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	boot, err := os.ReadFile(filepath.Join(grubBIOSModules, "boot.img"))
	if err != nil {
		return err
	}
	if err := patchBIOS(boot, core); err != nil {
		return err
	}
	if _, err := disk.WriteAt(boot[:bootCodeSize], 0); err != nil {
		return err
	}
	_, err = disk.WriteAt(core, biosStart)
	return err
}

// patchBIOS tells boot sector and core where on the disk the core lies.
func patchBIOS(boot, core []byte) error {
	if len(boot) != sectorSize {
		return fmt.Errorf("GRUB's boot.img has %d bytes; wanted are %d", len(boot), sectorSize)
	}
	if len(core) <= sectorSize || len(core) > biosSize {
		return fmt.Errorf("GRUB's core.img has %d bytes; wanted are more than %d and at most %d", len(core), sectorSize, biosSize)
	}
	const first = biosStart / sectorSize
	binary.LittleEndian.PutUint64(boot[bootCoreSector:], first)
	boot[bootDriveCheck], boot[bootDriveCheck+1] = 0x90, 0x90
	binary.LittleEndian.PutUint64(core[coreRestSector:], first+1)
	return nil
}

// forUEFI lays the EFI system partition with GRUB at the path firmware looks at when no boot entry names another.
func (k packing) forUEFI(ctx context.Context, disk *os.File) error {
	loader := filepath.Join(k.work, "BOOTX64.EFI")
	args := append([]string{"-O", "x86_64-efi", "-d", grubEFIModules, "-p", grubPrefix, "-o", loader, "efi_gop", "all_video"}, grubModules...)
	if err := k.tool(ctx, "grub-mkimage", args...); err != nil {
		return err
	}
	if err := os.Chtimes(loader, k.newest, k.newest); err != nil {
		return err
	}
	esp := filepath.Join(k.work, "esp.img")
	volume := strings.ReplaceAll(k.uuid("esp"), "-", "")[:8]
	for _, cmd := range [][]string{
		{"mkfs.vfat", "-F", "32", "-s", "1", "-n", "ESP", "-i", volume, "--invariant", "-C", esp, fmt.Sprint(espSize / 1024)},
		{"mmd", "-i", esp, "::/EFI", "::/EFI/BOOT"},
		{"mcopy", "-m", "-i", esp, loader, "::/EFI/BOOT/BOOTX64.EFI"},
	} {
		if err := k.tool(ctx, cmd[0], cmd[1:]...); err != nil {
			return err
		}
	}
	return copySparse(disk, espStart, esp)
}

// copySparse writes the file named at offset of disk and leaves out what is zero: the disk is new and holds zeros there.
func copySparse(disk io.WriterAt, offset int64, name string) error {
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	buf, zero := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(in, buf)
		if n > 0 && string(buf[:n]) != string(zero[:n]) {
			if _, err := disk.WriteAt(buf[:n], offset); err != nil {
				return err
			}
		}
		offset += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
