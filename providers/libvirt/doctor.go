// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/evenkeel/evenkeel/providers"
)

// wantedSpace is what an image and a few machines take.
const wantedSpace = 4 << 30

// Diagnose checks the place itself. It makes nothing. That the daemon answers and lets this user in is what Open has found out.
func (p *provider) Diagnose(ctx context.Context) ([]providers.Finding, error) {
	var findings []providers.Finding
	for _, examine := range []func() (providers.Finding, error){
		p.examineDaemon, p.examineQEMU, p.examineAccelerator, p.examineLog, p.examineNetworks, p.examinePool, p.examineSpace,
	} {
		if err := ctx.Err(); err != nil {
			return nil, wrap("examine", p.config.URI, err)
		}
		f, err := examine()
		if err != nil {
			return nil, wrap("examine", p.config.URI, err)
		}
		findings = append(findings, f)
	}
	return findings, nil
}

func sound(format string, a ...any) (providers.Finding, error) {
	return providers.Finding{OK: true, What: fmt.Sprintf(format, a...)}, nil
}

func amiss(remedy, format string, a ...any) (providers.Finding, error) {
	return providers.Finding{What: fmt.Sprintf(format, a...), Remedy: remedy}, nil
}

// version is libvirt's way to write one: 1000000 * major + 1000 * minor + release.
func version(n uint32) string { return fmt.Sprintf("%d.%d.%d", n/1000000, n/1000%1000, n%1000) }

func (p *provider) examineDaemon() (providers.Finding, error) {
	n, err := p.conn.GetLibVersion()
	if err != nil {
		return amiss(startDaemon(p.config.URI), "libvirt does not answer at %s: %v", p.config.URI, plain(err))
	}
	return sound("libvirt %s answers at %s", version(n), p.config.URI)
}

func (p *provider) examineQEMU() (providers.Finding, error) {
	n, err := p.conn.GetVersion()
	if err == nil {
		_, err = p.conn.GetDomainCapabilities("", "x86_64", "q35", "qemu", 0)
	}
	if err != nil {
		return amiss("sudo apt-get install qemu-system-x86", "QEMU cannot be used: %v", plain(err))
	}
	return sound("QEMU %s runs x86_64 guests", version(n))
}

// examineAccelerator finds emulation sound where nothing can be done about it.
func (p *provider) examineAccelerator() (providers.Finding, error) {
	info, err := os.Stat("/dev/kvm")
	if err == nil && !p.config.session() && info.Mode()&0o006 == 0 && !groupMayUse(info) {
		return amiss("sudo chgrp kvm /dev/kvm && sudo chmod 0660 /dev/kvm",
			"QEMU's user may not open /dev/kvm (mode %04o): libvirt then examines QEMU again and again, a minute for each start", info.Mode().Perm())
	}
	ok, why := p.accelerator()
	if ok {
		return sound("KVM: machines run on the processor itself")
	}
	if f, e := os.Open("/proc/cpuinfo"); e == nil {
		defer func() { _ = f.Close() }() // read only
		if virtualizes(f) {
			return amiss("sudo modprobe -a kvm_intel kvm_amd; sudo usermod -aG kvm $USER, then log in again", "the processor has KVM, but it cannot be used: %s", why)
		}
	}
	return sound("emulation, several times slower than KVM: %s", why)
}

// groupMayUse reports whether a group other than root's has the device.
func groupMayUse(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return !ok || s.Gid != 0 && info.Mode()&0o060 == 0o060
}

func (p *provider) examineLog() (providers.Finding, error) {
	if p.config.session() {
		for _, name := range []string{"virtlogd", "/usr/sbin/virtlogd"} {
			if _, err := exec.LookPath(name); err == nil {
				return sound("virtlogd is there to keep consoles")
			}
		}
		return amiss("sudo apt-get install libvirt-daemon", "there is no virtlogd to keep consoles")
	}
	const socket = "/run/libvirt/virtlogd-sock"
	c, err := net.Dial("unix", socket)
	if err == nil {
		_ = c.Close() // nothing was said
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) { // only root may speak to it; being there is enough
		return amiss("sudo systemctl start virtlogd.socket; without systemd: sudo virtlogd -d", "virtlogd, which keeps consoles, does not listen at %s: %v", socket, cause(err))
	}
	return sound("virtlogd listens to keep consoles")
}

func (p *provider) examineNetworks() (providers.Finding, error) {
	if p.config.session() {
		dir, err := socketDir("a.a")
		if err != nil {
			return amiss("export XDG_RUNTIME_DIR=/run/user/$(id -u)", "private networks have no folder for their sockets: %v", err)
		}
		return sound("private networks are made of sockets in %s", filepath.Dir(dir))
	}
	if _, err := p.conn.ListAllNetworks(0); err != nil {
		return amiss("sudo apt-get install libvirt-daemon-driver-network libvirt-daemon-system", "libvirt has no networks: %v", plain(err))
	}
	return sound("libvirt makes private networks")
}

func (p *provider) examinePool() (providers.Finding, error) {
	pool, err := p.existingPool()
	if err != nil {
		return amiss("virsh -c "+p.config.URI+" pool-start "+p.config.Pool, "storage pool %s cannot be used: %v", p.config.Pool, errors.Unwrap(err))
	}
	if pool == nil {
		if p.config.Pool != defaultPool {
			return amiss("virsh -c "+p.config.URI+" pool-list --all, or leave out pool: in config", "there is no storage pool %s", p.config.Pool)
		}
		return sound("storage pool %s will be made when it is needed", defaultPool)
	}
	if !p.config.session() {
		for dir := pool.dir; dir != "/"; dir = filepath.Dir(dir) {
			if info, err := os.Stat(dir); err == nil && info.Mode()&0o001 == 0 {
				return amiss("sudo chmod o+x "+dir, "QEMU's user may not enter %s, which storage pool %s is in", dir, p.config.Pool)
			}
		}
	}
	return sound("storage pool %s is in %s", p.config.Pool, pool.dir)
}

func (p *provider) examineSpace() (providers.Finding, error) {
	pool, err := p.existingPool()
	if err != nil || pool == nil {
		return sound("disk space is not known before there is a pool")
	}
	var fs syscall.Statfs_t // libvirt's own figure is as old as the last refresh
	if err := syscall.Statfs(pool.dir, &fs); err != nil {
		return amiss("ls -ld "+pool.dir, "disk space of %s cannot be read: %v", pool.dir, err)
	}
	available := fs.Bavail * uint64(fs.Bsize)
	if available < wantedSpace {
		return amiss("evenkeel image prune, or free space in "+pool.dir, "%d MiB are free in %s, %d are wanted", available>>20, pool.dir, wantedSpace>>20)
	}
	return sound("%d GiB are free in %s", available>>30, pool.dir)
}
