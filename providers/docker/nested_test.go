// SPDX-License-Identifier: Apache-2.0

package docker_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/docker"
	"github.com/evenkeel/evenkeel/test/conformance"
)

// TestDaemonInAContainer runs docker in a privileged container of our own tree, as CI services have it, and a machine in it. The machine has no address that can be
// reached from here.
func TestDaemonInAContainer(t *testing.T) {
	conformance.Require(t, "docker", reach(t))
	outer, err := docker.Plugin().Open(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = outer.Close() })
	ref, err := outer.PutImage(t.Context(), conformance.BuildImage(t, "from: debian:12\npackages: [docker.io, iptables]\n", docker.Plugin().Formats), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // when the container is gone
		if err := outer.(providers.ImagePruner).DeleteImage(context.WithoutCancel(t.Context()), ref); err != nil {
			t.Error(err)
		}
	})
	oneMachine(t, `{"host": "tcp://`+daemonIn(t, ref)+`"}`, "confnested.test", conformance.SmallImage(t, docker.Plugin().Formats))
}

// nestedScript makes writable what an engine within needs, where the engine without has not done so because it was told to by single rights.
const nestedScript = `for m in /sys /sys/fs/cgroup /sys/fs/cgroup/*; do mount -o remount,rw,bind $m 2>/dev/null || :; done
exec dockerd -H tcp://0.0.0.0:2375 --tls=false`

// capabilities are the kernel's but SYS_RESOURCE, which some computers give nobody: a privileged container cannot be had there, and this is nearly one.
var capabilities = strings.Fields("AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE " +
	"MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO " +
	"SYS_TIME SYS_TTY_CONFIG WAKE_ALARM")

// daemonIn starts a privileged container whose first process is dockerd, and returns the address it answers at.
func daemonIn(t *testing.T, ref providers.ImageRef) string {
	t.Helper()
	c := daemon(t)
	start := func(rights container.HostConfig) (string, error) {
		rights.Mounts = []mount.Mount{{Type: mount.TypeVolume, Target: "/var/lib/docker"}} // overlay does not lie on overlay
		made, err := c.ContainerCreate(t.Context(), &container.Config{Image: string(ref), Entrypoint: []string{"/bin/sh", "-c", nestedScript}, Cmd: []string{}}, &rights, nil, nil, "evenkeel-conf-nested")
		if err == nil {
			err = c.ContainerStart(t.Context(), made.ID, container.StartOptions{})
		}
		return made.ID, err
	}
	id, err := start(container.HostConfig{Privileged: true})
	if err != nil && strings.Contains(err.Error(), "unable to apply caps") {
		t.Log("this computer gives nobody all capabilities; docker in docker gets those there are")
		if err := c.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			t.Fatal(err)
		}
		id, err = start(container.HostConfig{
			CapAdd: capabilities, SecurityOpt: []string{"seccomp=unconfined"}, MaskedPaths: []string{}, ReadonlyPaths: []string{}, Resources: container.Resources{DeviceCgroupRules: []string{"a *:* rwm"}},
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			t.Error(err)
		}
		_ = c.Close()
	})
	there, err := c.ContainerInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	address := ""
	for _, e := range there.NetworkSettings.Networks {
		address = net.JoinHostPort(e.IPAddress, "2375")
	}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatalf("the daemon in a container does not listen at %s: %v", address, err)
		}
	}
}
