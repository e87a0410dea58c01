// SPDX-License-Identifier: Apache-2.0

// Package guest is what every image holds beyond its recipe: the packages, files, units and the login user that the rest of the project
// relies on. The files themselves lie under files/, at the paths they have in the image. It builds nothing; its one rule: the same for
// every recipe and every place.
package guest

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// KernelArgs is the one kernel command line (see images.KernelArgs). Writable from the start: with nothing in fstab there is no second
// mount to make it so.
const KernelArgs = "root=LABEL=evenkeel-root rw console=tty0 console=ttyS0,115200 net.ifnames=0 quiet"

// StepsDir holds the recipe's firstboot steps in the image; they run in the order of their names and must be executable.
const StepsDir = "/usr/lib/evenkeel/firstboot.d"

// File is one file, folder or symbolic link of the image, owned by root. Times are the builder's.
type File struct {
	Path string      // absolute, clean
	Mode fs.FileMode // type and permissions: 0, fs.ModeDir or fs.ModeSymlink with the bits of chmod
	Link string      // a symbolic link's target
	Data []byte      // a regular file's content
}

//go:embed files
var embedded embed.FS

// Files lists what the image holds, parents first, sorted by path. A file replaces what a package brought at its path, links included.
func Files() []File {
	list := []File{
		{Path: "/etc/evenkeel", Mode: fs.ModeDir | 0o755},
		{Path: "/etc/evenkeel/authorized_keys", Mode: fs.ModeDir | 0o755},
		{Path: "/etc/evenkeel/nft", Mode: fs.ModeDir | 0o755},
		{Path: "/usr/lib/evenkeel", Mode: fs.ModeDir | 0o755},
		{Path: StepsDir, Mode: fs.ModeDir | 0o755},
		{Path: "/var/lib/evenkeel", Mode: fs.ModeDir | 0o755},
		// The resolver's own file, unless the seed or a container's engine brings a plain one.
		{Path: "/etc/resolv.conf", Mode: fs.ModeSymlink | 0o777, Link: "../run/systemd/resolve/stub-resolv.conf"},
		// As young as /usr, these two tell systemd that nothing has to be rebuilt at first boot (systemd-update-done.service(8)).
		{Path: "/etc/.updated", Mode: 0o644},
		{Path: "/var/.updated", Mode: 0o644},
	}
	for _, name := range idleGenerators {
		list = append(list, File{Path: "/etc/systemd/system-generators/systemd-" + name + "-generator", Mode: fs.ModeSymlink | 0o777, Link: "/dev/null"})
	}
	err := fs.WalkDir(embedded, "files", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := embedded.ReadFile(name)
		if err != nil {
			return err
		}
		path := strings.TrimPrefix(name, "files")
		data = bytes.ReplaceAll(data, []byte("@KERNEL_ARGS@"), []byte(KernelArgs))
		list = append(list, File{Path: path, Mode: mode(path, data), Data: data})
		return nil
	})
	if err != nil {
		panic(fmt.Sprintf("guest: embedded files: %v", err)) // a programmer's error: they are part of the binary
	}
	slices.SortFunc(list, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// idleGenerators are systemd's that have nothing to generate for the disk every image has (see package images), each a process of every boot:
// partitions found by their types, integrity and verity of disks, waking from hibernation, updates while offline.
var idleGenerators = []string{"gpt-auto", "hibernate-resume", "integritysetup", "system-update", "veritysetup"}

func mode(path string, data []byte) fs.FileMode {
	switch {
	case bytes.HasPrefix(data, []byte("#!")):
		return 0o755
	case strings.HasPrefix(path, "/etc/sudoers.d/"):
		return 0o440 // sudo(8) passes over files that others may read or write
	}
	return 0o644
}

// Packages are the packages every image of a release ("debian:12") holds beside the essential and required ones; they are to be
// installed with their dependencies and without recommendations.
func Packages(release string) []string {
	list := []string{
		"ca-certificates", "cloud-guest-utils", "cloud-init", "dbus", "e2fsprogs", "fdisk", "initramfs-tools", "iproute2", "iputils-ping",
		"kmod", "netbase", "nftables", "openssh-server", "procps", "sudo", "systemd", "systemd-sysv", "systemd-timesyncd", "udev", "zstd",
	}
	if strings.HasPrefix(release, "ubuntu:") {
		list = append(list, "linux-image-generic")
	} else {
		list = append(list, "linux-image-amd64")
	}
	if release != "ubuntu:22.04" { // there it is part of the package systemd
		list = append(list, "systemd-resolved")
	}
	slices.Sort(list)
	return list
}

// Services are the units to enable and to mask in every image. A unit to mask need not exist.
func Services() (enable, mask []string) {
	enable = []string{
		"evenkeel-seed.service", "evenkeel-data.service", "evenkeel-grow.service", "evenkeel-firstboot.service", "evenkeel-external.timer",
		"evenkeel-coldplug.path", "evenkeel-coldplug.timer",
		"nftables.service", "ssh.service", "systemd-networkd.service", "systemd-resolved.service", "systemd-timesyncd.service",
	}
	mask = []string{
		// Software comes with the image.
		"apt-daily.service", "apt-daily.timer", "apt-daily-upgrade.service", "apt-daily-upgrade.timer", "unattended-upgrades.service",
		"dpkg-db-backup.service", "dpkg-db-backup.timer", "motd-news.service", "motd-news.timer",
		// The host key is the seed's or the machine's own, never one nobody vouched for; and sshd runs from the start.
		"sshd-keygen.service", "ssh.socket",
		// For LVM snapshots, which the image has none of.
		"e2scrub_all.timer", "e2scrub_reap.service",
		// File systems and modules that are there when asked for, but that every boot would wait for.
		"modprobe@configfs.service", "modprobe@dm_mod.service", "modprobe@drm.service", "modprobe@fuse.service", "modprobe@loop.service",
		"sys-fs-fuse-connections.mount", "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
		"proc-sys-fs-binfmt_misc.automount", "systemd-binfmt.service",
		// The boot's entry in wtmp, which the journal has too, and for which sysinit.target would wait.
		"systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
		// Network configuration from the kernel command line.
		"systemd-network-generator.service",
	}
	return enable, mask
}

// User is an account every image has.
type User struct {
	Name, Home, Shell string
	ID                int // user and group
	// Password is the shadow field: no password matches it, yet the account is not locked, which PAM would refuse keys for.
	Password string
}

// Login is the core's way in. Its number lies between those that packages take from either end (Debian policy 9.2.2).
func Login() User {
	return User{Name: "evenkeel", Home: "/home/evenkeel", Shell: "/bin/bash", ID: 900, Password: "*"}
}

// Digest is 64 hex digits over all of the above for a release: part of the image key.
func Digest(release string) string {
	enable, mask := Services()
	h := sha256.New()
	// The error can only be of a type that JSON has no form for.
	_ = json.NewEncoder(h).Encode([]any{Packages(release), Files(), enable, mask, Login(), StepsDir})
	return hex.EncodeToString(h.Sum(nil))
}
