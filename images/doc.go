// SPDX-License-Identifier: Apache-2.0

// Package images turns a recipe (data) and its lock into one root tree, and the tree into what each place boots.
//
// It knows nothing of machines, tiers or providers. Its one rule: what is built depends on the recipe, its files, the lock and the
// builder's version, and on nothing else.
//
// # What every image holds
//
// Whatever the recipe says, the builder adds what the rest of the project relies on:
//
//   - systemd, systemd-networkd (DHCP on every interface that nothing else configures), openssh-server, sudo, nftables, cloud-init,
//     growpart, a kernel with drivers for virtio, Xen, ENA, NVMe and common servers.
//   - the user "evenkeel" (home /home/evenkeel, shell /bin/bash, password locked) with password-less sudo: the login of the core.
//   - sshd: host key and certificate at /etc/ssh/ssh_host_ed25519_key[-cert.pub] only; AuthorizedKeysFile
//     "/etc/evenkeel/authorized_keys/%u .ssh/authorized_keys"; no passwords, no root login; no host key in the image.
//   - nftables default-deny from boot: established, loopback, ICMP, DHCP and SSH come in, and what /etc/evenkeel/nft/*.nft adds
//     (files that extend chain "input" of table "inet evenkeel").
//   - evenkeel-seed.service, before the network and sshd: finds a virtio disk with serial "evenkeel-seed", unpacks the tar on
//     it over / once (marker /var/lib/evenkeel/seeded), sets the kernel's host name. No such disk: exits at once.
//   - evenkeel-grow.service: grows the third partition and the ext4 file system to the disk, every boot, not in sshd's way.
//   - evenkeel-firstboot.service: runs the recipe's firstboot steps once, in order (marker /var/lib/evenkeel/firstboot.done).
//   - /usr/share/evenkeel/manifest.json: recipe, release, image key, every package and every file of the tree.
//   - no machine-id, random seed, host keys or other identity; unattended-upgrades off.
//
// cloud-init runs only where no seed disk is there ("cloud-init=disabled" on the kernel command line, or the marker file
// /etc/cloud/cloud-init.disabled laid by the seed, switch it off).
package images
