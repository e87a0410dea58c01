// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"fmt"
	"strings"
	"syscall"

	"github.com/docker/docker/api/types/system"

	"github.com/evenkeel/evenkeel/providers"
)

// wantedSpace is what an image and a few machines take.
const wantedSpace = 4 << 30

// Diagnose checks the place itself. It makes nothing. That the daemon answers and lets this user in is what Open has found out.
func (p *provider) Diagnose(ctx context.Context) ([]providers.Finding, error) {
	info, err := p.Info(ctx)
	if err != nil {
		return nil, wrap("examine", "docker at "+p.address(), err)
	}
	findings := []providers.Finding{
		sound("docker %s answers at %s, with API %s", info.ServerVersion, p.address(), p.ClientVersion()),
		examineGroups(info), examineLimits(info), examineForwarding(info), examineSecurity(info),
	}
	if !p.abroad {
		findings = append(findings, examineSpace(info.DockerRootDir))
	}
	return findings, nil
}

func sound(format string, a ...any) providers.Finding {
	return providers.Finding{OK: true, What: fmt.Sprintf(format, a...)}
}

func amiss(remedy, format string, a ...any) providers.Finding {
	return providers.Finding{What: fmt.Sprintf(format, a...), Remedy: remedy}
}

func examineGroups(info system.Info) providers.Finding {
	if info.CgroupVersion == "2" {
		return sound("control groups of version 2: every systemd starts")
	}
	return sound("control groups of version 1: systemd up to 255 starts (debian:12, ubuntu:24.04)")
}

func examineLimits(info system.Info) providers.Finding {
	if why, remedy := unlimited(&info); why != "" {
		return amiss(remedy, "%s", why)
	}
	return sound("docker limits memory and processors of containers: %d processors, %d MiB", info.NCPU, info.MemTotal>>20)
}

func examineForwarding(info system.Info) providers.Finding {
	if !info.IPv4Forwarding {
		return amiss("sudo sysctl -w net.ipv4.ip_forward=1", "the kernel forwards no packets, so machines reach nothing outside")
	}
	return sound("the kernel forwards packets between networks")
}

func examineSecurity(info system.Info) providers.Finding {
	var names []string
	for _, o := range info.SecurityOptions {
		name, _, _ := strings.Cut(strings.TrimPrefix(o, "name="), ",")
		names = append(names, name)
	}
	return sound("machines are kept in by: capabilities, %s", strings.Join(names, ", "))
}

func examineSpace(dir string) providers.Finding {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return sound("disk space of %s cannot be seen from here", dir) // the daemon's own file system
	}
	available := fs.Bavail * uint64(fs.Bsize)
	if available < wantedSpace {
		return amiss("evenkeel image prune, docker system df", "%d MiB are free in %s, %d are wanted", available>>20, dir, wantedSpace>>20)
	}
	return sound("%d GiB are free in %s", available>>30, dir)
}
