// SPDX-License-Identifier: Apache-2.0

package images

import "github.com/evenkeel/evenkeel/images/guest"

// Format names an artefact a provider can boot from.
type Format string

const (
	Tar    Format = "tar"    // the root tree, as a tar compressed with zstd
	Raw    Format = "raw"    // a whole disk that boots by itself under BIOS and UEFI
	QCOW2  Format = "qcow2"  // the same disk, sparse
	Kernel Format = "kernel" // the kernel inside the tree, for direct boot
	Initrd Format = "initrd" // its initial RAM disk
	// VMLinux is the same kernel unpacked, where it can be booted so (an ELF file with the entry of PVH), else as it is. Emulation takes seconds
	// to unpack a kernel; but only one that unpacks itself picks its addresses at random (KASLR), so it is not for machines with a processor's help.
	VMLinux Format = "vmlinux"
)

// KernelArgs is the one kernel command line, used by the boot loader on the disk and by direct boot alike. The root file system is
// the third partition of the disk, found by its label so that the disk's name (vda, nvme0n1, xvda) does not matter.
const KernelArgs = guest.KernelArgs

// Image is a built image in the store. It is data: what it names stays on disk until pruned.
type Image struct {
	Key       string              `json:"key"`    // 64 hex digits: recipe, its files, lock, builder version; known without a build
	Digest    string              `json:"digest"` // 64 hex digits: the canonical root tree
	Recipe    string              `json:"recipe"` // the recipe's name: "web" for images/web.yaml
	Release   string              `json:"release"`
	Arch      string              `json:"arch"`      // Debian's word: amd64
	DiskSize  int64               `json:"disk_size"` // virtual size of the disk, bytes; a machine's disk is at least this
	Artefacts map[Format]Artefact `json:"artefacts"`
}

// Artefact is one file of an image, made when first asked for and then kept.
type Artefact struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}
