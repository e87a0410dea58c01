// SPDX-License-Identifier: Apache-2.0

package real_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// engine is a virtual machine whose kernel has control groups of version 2, with docker on it.
const engine = `evenkeel: 1
name: realengine
id: "e17a1e"
image: images/engine.yaml
machines: {engine: {cpus: 2, memory: 3GiB, disk: 16GiB, stateless: true, health: {exec: "docker version", within: 600s}}}
tiers: {laptop: {provider: libvirt}}
`

const engineRecipe = `from: debian:12
packages: [docker.io, iptables]
services: {docker: enabled}
firstboot: [{shell: files/join}]
`

// inner is a container on it.
const inner = `evenkeel: 1
name: realinner
id: "1ace55"
image: images/box.yaml
machines: {box: {memory: 512MiB, stateless: true, data: [{name: files, size: 64MiB, mount: /srv/files}]}}
tiers: {inner: {provider: docker, config: {host: "ssh://engine-1.realengine.laptop"}}}
`

// TestContainersOnControlGroupsOfVersion2 runs docker in a virtual machine of our own, reached by ssh with the configuration that we print: systemd starts as it does on
// version 1, with as little. First contact and all else travels over the daemon, since the machine has no address that can be reached.
func TestContainersOnControlGroupsOfVersion2(t *testing.T) {
	outer := newSite(t, func(string) string { return engine })
	within := newSite(t, func(string) string { return inner })
	for name, text := range map[string]string{
		filepath.Join(outer.dir, "images/engine.yaml"): engineRecipe,
		filepath.Join(outer.dir, "images/files/join"):  "#!/bin/sh\nusermod -aG docker evenkeel\n",
		filepath.Join(within.dir, "images/box.yaml"):   "from: debian:12\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		outer.run(0, "down", "--data")
		outer.wantNothing("realengine.laptop")
	})
	outer.run(0, "up")
	within.env = append(within.env, "PATH="+sshKnowing(t, outer.run(0, "ssh-config"))+":"+os.Getenv("PATH"))
	if out := within.run(0, "doctor", "--tier", "inner"); !strings.Contains(out, "control groups of version 2") {
		t.Errorf("doctor says\n%s", out)
	}
	within.run(0, "up")
	for range 2 {
		got := within.run(0, "ssh", "box-1", "--", "stat -fc %T /sys/fs/cgroup; systemctl is-system-running --wait; cat /sys/fs/cgroup/memory.max; nproc; "+
			"grep CapBnd /proc/1/status | tr -d '[:space:]'; echo; sudo -n nft list table inet evenkeel | grep -c policy.drop; grep -c ' /srv/files ' /proc/self/mountinfo")
		// The capabilities are those that ARCHITECTURE.md names, without SYS_ADMIN.
		if want := "cgroup2fs\nrunning\n536870912\n1\nCapBnd:00000000200c35fb\n2\n1\n"; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		within.run(0, "stop")
		within.run(0, "start")
	}
	within.run(0, "down", "--data")
	if out := outer.run(0, "ssh", "engine-1", "--", "docker ps -aq; docker volume ls -q; docker network ls -q --filter type=custom"); out != "" {
		t.Errorf("left behind on the engine:\n%s", out)
	}
}

// sshKnowing makes a folder whose ssh has the configuration.
func sshKnowing(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"config": config, "ssh": "#!/bin/sh\nexec /usr/bin/ssh -F " + dir + "/config \"$@\"\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
