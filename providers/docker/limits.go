// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/docker/docker/api/types/system"
)

// A docker that runs without root (rootless) has what its user was given: control groups, from systemd alone and of version 2 alone, and ports.

// delegate has systemd hand on to users all that a container's limits need; Debian 12's own hands on cpu, memory and pids. It holds at once.
const delegate = "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | " +
	"sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload"

func rootless(info *system.Info) bool {
	return slices.ContainsFunc(info.SecurityOptions, func(o string) bool { return o == "name=rootless" || strings.HasPrefix(o, "name=rootless,") })
}

// unlimited says why the daemon cannot limit a container's memory and processors, and what to do; "" where it can.
func unlimited(info *system.Info) (why, remedy string) {
	var missing []string
	if !info.MemoryLimit {
		missing = append(missing, "memory")
	}
	if !info.CPUSet {
		missing = append(missing, "cpuset")
	}
	const what = "docker cannot limit a container's memory and processors: "
	switch {
	case len(missing) == 0:
		return "", ""
	case rootless(info) && info.CgroupVersion != "2":
		return what + "it runs without root, which control groups of version 1 give nothing to",
			"boot that computer with systemd.unified_cgroup_hierarchy=1 on its kernel command line, or use a docker that root runs"
	case rootless(info) && info.CgroupDriver == "none":
		return what + "it runs without root, and no systemd is there to give it control groups", "use a docker that root runs, or a computer that systemd runs"
	case rootless(info):
		return what + fmt.Sprintf("it runs without root, and its user was not given the control groups %s", strings.Join(missing, ", ")), "on that computer: " + delegate
	}
	return what + fmt.Sprintf("its computer's kernel has no control groups %s", strings.Join(missing, ", ")), "see what is missing: docker info"
}

// here reports whether a daemon without root publishes ports on this computer's loopback, as it does although its bridges are its own.
func (p *provider) here(info *system.Info) bool {
	name, err := os.Hostname()
	return err == nil && rootless(info) && !p.abroad && info.Name == name
}

// allowed refuses what listening cannot find out of a daemon without root: that it may not listen on a low port.
func allowed(hp hostPort) error {
	if hp.port < lowestPort() && !mayBindAny() {
		return fmt.Errorf("docker runs without root and may listen from port %d up (sysctl net.ipv4.ip_unprivileged_port_start)", lowestPort())
	}
	return listening(hp)
}

// lowestPort is the lowest that every user may listen on.
func lowestPort() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		return 0 // the daemon will say
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return n
}

// mayBindAny reports whether the program that listens for such a daemon was given the right to any port, which docker's manual proposes, or cannot be looked at.
func mayBindAny() bool {
	program, err := exec.LookPath("rootlesskit")
	if err != nil {
		return true
	}
	_, err = syscall.Getxattr(program, "security.capability", nil)
	return err == nil
}
