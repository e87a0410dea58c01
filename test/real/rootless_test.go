// SPDX-License-Identifier: Apache-2.0

package real_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rootlessEngine is a virtual machine on which docker runs as a plain user's, by the packages of Debian 12 and the user's own systemd.
const rootlessEngine = `evenkeel: 1
name: realrootless
id: "e17a1f"
image: images/engine.yaml
access: {user: ci}
machines: {engine: {cpus: 2, memory: 4GiB, disk: 16GiB, stateless: true}}
tiers: {laptop: {provider: libvirt}}
`

const rootlessRecipe = `from: debian:12
packages: [docker.io, iptables, rootlesskit, slirp4netns, uidmap, dbus-user-session, git]
services: {docker: disabled}
users: {ci: {shell: /bin/bash}}
files: {/etc/systemd/user/docker.service: {source: files/docker.service, mode: "0644"}}
firstboot: [{shell: files/linger}]
`

// rootlessUnit is what docker's dockerd-rootless-setuptool.sh writes, but that it says when it is ready.
const rootlessUnit = `[Service]
Environment=PATH=/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/usr/share/docker.io/contrib/dockerd-rootless.sh
Type=notify
NotifyAccess=all
KillMode=mixed
Delegate=yes
TimeoutStartSec=600
[Install]
WantedBy=default.target
`

const rootlessInner = `evenkeel: 1
name: realinner
id: "1ace56"
image: images/base.yaml
machines: {box: {memory: 512MiB, stateless: true, data: [{name: files, size: 64MiB, mount: /srv/files}]}}
tiers: {inner: {provider: docker, config: {host: "ssh://engine-1.realrootless.laptop/run/user/1000/docker.sock"}}}
`

// TestContainersWithoutRoot: a docker that a plain user runs is refused while it cannot limit memory and processors; what doctor then says to type makes it do; machines on it
// are as those of a docker of root's; and the whole suite passes, as the plain user, on its computer.
func TestContainersWithoutRoot(t *testing.T) {
	outer := newSite(t, func(string) string { return rootlessEngine })
	within := newSite(t, func(string) string { return rootlessInner })
	for name, text := range map[string]string{
		filepath.Join(outer.dir, "images/engine.yaml"):          rootlessRecipe,
		filepath.Join(outer.dir, "images/files/docker.service"): rootlessUnit,
		filepath.Join(outer.dir, "images/files/linger"):         "#!/bin/sh\nloginctl enable-linger ci\n",
		filepath.Join(within.dir, "images/base.yaml"):           "from: debian:12\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		outer.run(0, "down", "--data")
		outer.wantNothing("realrootless.laptop")
	})
	outer.run(0, "up")
	onEngine := func(line string) string { t.Helper(); return outer.run(0, "ssh", "engine-1", "--", line) }
	onEngine("XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user enable --now docker")
	within.env = append(within.env, "PATH="+sshKnowing(t, outer.run(0, "ssh-config"))+":"+os.Getenv("PATH"))

	// systemd of Debian 12 gives users cpu, memory and pids.
	if out, said, status := within.try("up"); status != 1 || !strings.Contains(said, "was not given the control groups cpuset") || strings.Contains(said, "unpack") {
		t.Errorf("up where cpuset is missing: status %d, want a refusal before anything is built\n%s%s", status, out, said)
	}
	out, _, _ := within.try("doctor", "--tier", "inner")
	_, remedy, ok := strings.Cut(out, "type: on that computer: ")
	if remedy, _, _ = strings.Cut(remedy, "\n"); !ok {
		t.Fatalf("doctor has no remedy:\n%s", out)
	}
	outer.run(0, "ssh", "--user", "evenkeel", "engine-1", "--", remedy)
	if out, said, status := within.try("doctor", "--tier", "inner"); status != 0 {
		t.Errorf("doctor, after what it said was typed: status %d\n%s%s", status, out, said)
	}

	within.run(0, "up")
	for range 2 {
		got := within.run(0, "ssh", "box-1", "--", "stat -fc %T /sys/fs/cgroup; systemctl is-system-running --wait; cat /sys/fs/cgroup/memory.max; nproc; "+
			"grep CapBnd /proc/1/status | tr -d '[:space:]'; echo; sudo -n nft list table inet evenkeel | grep -c policy.drop; grep -c ' /srv/files ' /proc/self/mountinfo; tr -s ' ' </proc/1/uid_map")
		// Root of the machine is the plain user, 1000; all else is nobody's on the computer.
		if want := "cgroup2fs\nrunning\n536870912\n1\nCapBnd:00000000200c35fb\n2\n1\n 0 1000 1\n 1 100000 65536\n"; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		within.run(0, "stop")
		within.run(0, "start")
	}
	within.run(0, "down", "--data")

	suite, store := buildSuite(t), imageOf(within)
	cache := ".cache/evenkeel/images/" + filepath.Base(store)
	onEngine("mkdir -p " + cache)
	outer.run(0, "cp", suite, "engine-1:docker.test")
	for _, name := range []string{"image.json", "tree.tar.zst"} {
		outer.run(0, "cp", filepath.Join(store, name), "engine-1:"+cache+"/"+name)
	}
	out, said, status := outer.try("ssh", "engine-1", "--", "DOCKER_HOST=unix:///run/user/$(id -u)/docker.sock EVENKEEL_TEST_REAL=1 EVENKEEL_TEST_REQUIRE=docker "+
		"EVENKEEL_TEST_IMAGE="+filepath.Base(store)+" ./docker.test -test.v -test.timeout 40m -test.run 'TestConformance$'")
	if status != 0 || !strings.Contains(out, "--- PASS: TestConformance ") {
		t.Errorf("the suite on a docker without root: status %d\n%s%s", status, out, said)
	}
	if out := onEngine("export DOCKER_HOST=unix:///run/user/$(id -u)/docker.sock; docker ps -aq; docker volume ls -q; docker network ls -q --filter type=custom"); out != "" {
		t.Errorf("left behind on the engine:\n%s", out)
	}
}

// buildSuite builds the docker provider's tests as one static program.
func buildSuite(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "docker.test")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", file, "./providers/docker")
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the suite: %v\n%s", err, out)
	}
	return file
}

// imageOf is the folder of the site's one image in the user's store.
func imageOf(s *site) string {
	s.t.Helper()
	var image struct {
		Artefacts map[string]struct{ Path string }
	}
	text := s.run(0, "image", "show", "base", "--json")
	if err := json.Unmarshal([]byte(text), &image); err != nil || image.Artefacts["tar"].Path == "" {
		s.t.Fatalf("cannot find the image: %v\n%s", err, text)
	}
	return filepath.Dir(image.Artefacts["tar"].Path)
}
