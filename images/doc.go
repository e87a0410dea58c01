// SPDX-License-Identifier: Apache-2.0

// Package images turns a recipe (data) and its lock into one root tree, and the tree into what each place boots.
//
// It knows nothing of machines, tiers or providers. Its one rule: what is built depends on the recipe, its files, the lock and the
// builder's version, and on nothing else.
//
// # How an image is built
//
// WriteLock asks the signed archives once, through a private apt, and writes down every package file by its hash. Build needs no network but
// to get those files: from the store, the team's store, the archive, the archive's snapshot service, in this order, each checked by its
// hash. Then two stages, each as root in namespaces of its own, without network, in memory where there is room:
//
//   - the base: what mmdebstrap makes of the packages every image needs, with package guest's files and the initrd. Recipes whose locks
//     agree in it share it. A recipe may start from a tree built elsewhere instead (base: a tar, known by its hash): then the base is that
//     tree with what it lacks of the same packages, files and settings (given.go, scripts/given.sh).
//   - the recipe: its early files, packages, files, users, services and provision steps over the base (scripts/recipe.sh). What they bring
//     runs as root of the tree and of nothing else: without the rights to mount, to make devices, to leave the tree or to set the kernel.
//
// The tree leaves the sandbox as a tar, which is cleaned of what belongs to the build or to one machine (scrub.go), gets its manifest and its
// digest on the way into the store. What stands in the store is complete; a killed build leaves no mount, no process, and a temporary
// folder that the next OpenStore removes.
//
// # What every image holds
//
// Whatever the recipe says, the builder adds what the rest of the project relies on; package guest has it, file by file:
//
//   - systemd, systemd-networkd (DHCP on every real interface that nothing else configures), openssh-server, sudo, nftables, cloud-init,
//     a kernel with drivers for virtio, Xen, ENA, NVMe and common servers.
//   - the user "evenkeel" (uid 900, home /home/evenkeel, shell /bin/bash, no password matches) with password-less sudo: the login of the
//     core.
//   - sshd: host key and certificate at /etc/ssh/ssh_host_ed25519_key[-cert.pub] only; AuthorizedKeysFile
//     "/etc/evenkeel/authorized_keys/%u .ssh/authorized_keys"; no passwords, no root login; no host key in the image. The unit is
//     ssh.service; nothing makes a host key that is missing, and without one sshd does not start.
//   - nftables.service, before the network: default-deny from boot. Established, loopback, ICMP, DHCP and SSH come in, and what
//     /etc/evenkeel/nft/*.nft adds (files of "add rule inet evenkeel input ..."). "nft -f /etc/nftables.conf" replaces table
//     "inet evenkeel", and no other, in one transaction. Where the added files do not load, the default stands alone and the unit fails.
//   - evenkeel-seed.service, before the network and sshd: finds a virtio-blk disk with serial "evenkeel-seed", unpacks the tar on
//     it over / once (marker /var/lib/evenkeel/seeded), sets the kernel's host name. No such disk, or a container: not run. The tar's
//     /etc/machine-id is passed over: the id is in use by then, and a virtual machine takes it from its firmware's UUID.
//   - evenkeel-grow.service: grows the third partition and the ext4 file system to the disk, every boot, after sshd started; not in
//     containers.
//   - evenkeel-data.service, before every ordinary service: for each line "NAME DEVICE MOUNT" of /etc/evenkeel/data it mounts the ext4 file
//     system labelled ek-NAME at MOUNT and grows it to its disk. A blank disk is formatted, once, and filled with what the image has at
//     MOUNT, owner and mode included; a killed format is begun anew. A disk that holds anything else is refused and left as it is. Where
//     a disk cannot be mounted the unit fails, and MOUNT is an empty read-only file system, so that no service writes beside its data.
//     Not in containers, whose place mounts the disks and fills a blank one itself.
//   - evenkeel-firstboot.service: runs the recipe's firstboot steps once each, in order (marker /var/lib/evenkeel/firstboot.done), after
//     the root has grown. A step that fails stops the rest; the next start goes on from it. The marker is on the machine's own disk, so the
//     steps run again on a machine that was rebuilt, whose data disks hold what its predecessor left: a step that makes data has to
//     look first whether it is there.
//   - evenkeel-external.timer: where there is an /etc/evenkeel/external, looks up every minute the hosts that stand for kinds of machines,
//     by the script that came with it.
//   - /etc/resolv.conf is the link to systemd-resolved's stub. Where the seed or a container's engine put a plain file in its place,
//     that file is all there is, and resolved does not run.
//   - the initial RAM disk has two ways. Where the root lies on a virtio disk: one modprobe, one mount, no udev. Wherever that way meets what it
//     does not know (another disk or bus, two roots, an error noted in the file system, an unknown word on the command line):
//     initramfs-tools' own, from the start, with the drivers of clouds and servers.
//   - seeded machines on virtio start systemd-resolved after sshd, and udev's coldplug of other devices (evenkeel-coldplug.service) once somebody
//     made /run/evenkeel-settled, or ten seconds later. What needs
//     names is ordered after nss-lookup.target, as everywhere.
//   - no /etc/fstab: KernelArgs name the root file system, mounted writable from the start; its journal makes it whole after a crash.
//   - /usr/share/evenkeel/manifest.json: recipe, release, image key, every package and every file of the tree.
//   - no machine-id (an empty /etc/machine-id), random seed, host keys or other identity; unattended-upgrades off.
//
// cloud-init runs only where no seed was laid and no seed disk is there. Our /etc/systemd/system-generators/cloud-init-generator stands
// before cloud-init's own generator of that name and decides, so the kernel command line is one for all and a seeded boot starts no
// process of it. Data sources: NoCloud, ConfigDrive, OpenStack, Ec2.
//
// # What the disk is
//
// A GPT: BIOS boot partition, EFI system partition (40 MiB, FAT32, \EFI\BOOT\BOOTX64.EFI), and last the ext4 root labelled
// "evenkeel-root". It boots by itself under BIOS and UEFI (without Secure Boot) from any bus, or directly with Kernel, Initrd and
// KernelArgs; both ways take the kernel that the tree's /vmlinuz leads to. A machine's disk may be larger: the root grows into it.
package images
