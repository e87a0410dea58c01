// SPDX-License-Identifier: Apache-2.0

package docker

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"

	"github.com/evenkeel/evenkeel/providers"
)

//go:embed init.sh
var initScript string

const (
	// stopSignal has systemd halt (systemd(1), SIGRTMIN+3).
	stopSignal = "SIGRTMIN+3"
	sshPort    = "22"
	// consoleSize bounds what is kept of a console.
	consoleSize = "2m"
)

// capabilities are all that a machine's first process has; ARCHITECTURE.md says what each is for. SYS_ADMIN is given up by init.sh before systemd runs.
var capabilities = []string{
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW", "SETGID", "SETPCAP", "SETUID",
	"SYS_ADMIN", "SYS_CHROOT", "SYS_PTRACE",
}

// guest is a machine to be.
type guest struct {
	spec    providers.Spec
	image   string // ID
	network network.Summary
	address string
	data    []plannedDisk
	host    *system.Info
}

// configs are what the machine's container is created with.
func (g guest) configs() (*container.Config, *container.HostConfig, *network.NetworkingConfig) {
	grace := int(grace.Seconds())
	c := &container.Config{
		Image: g.image, Hostname: g.spec.Seed.Hostname, Labels: machineLabels(g.spec),
		Entrypoint: []string{"/bin/sh", "-c", initScript}, Cmd: []string{},
		// With a terminal as its console systemd says there what it starts, as on a machine's.
		Tty: true, StopSignal: stopSignal, StopTimeout: &grace,
	}
	h := &container.HostConfig{
		NetworkMode: container.NetworkMode(handle(g.network)),
		CapDrop:     []string{"ALL"}, CapAdd: capabilities,
		SecurityOpt:  securityOptions(g.host.SecurityOptions),
		CgroupnsMode: container.CgroupnsModePrivate,
		Tmpfs: map[string]string{
			// As systemd mounts them; it leaves alone what is mounted.
			"/run":      "rw,nosuid,nodev,exec,mode=755,size=" + strconv.FormatInt(g.spec.Memory/5, 10),
			"/run/lock": "rw,nosuid,nodev,noexec,mode=1777,size=5m",
		},
		ShmSize:   g.spec.Memory / 2, // the kernel's own default on a machine
		Mounts:    mounts(g.spec, g.data),
		LogConfig: container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": consoleSize, "max-file": "1"}},
		Resources: container.Resources{Memory: g.spec.Memory, CpusetCpus: cpuset(g.spec.CPUs, g.host.NCPU, hashOf(g.spec.Env, g.spec.Name))},
	}
	if g.host.SwapLimit {
		h.MemorySwap = g.spec.Memory // none beside it
	}
	return c, h, &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{handle(g.network): endpointAt(g.address)}}
}

func endpointAt(address string) *network.EndpointSettings {
	return &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: address}}
}

// securityOptions: AppArmor's profile for containers forbids every mount, also the one of init.sh. The kernel's own rules and the filter of system
// calls stay.
func securityOptions(daemons []string) []string {
	for _, o := range daemons {
		if strings.HasPrefix(o, "name=apparmor") {
			return []string{"apparmor=unconfined"}
		}
	}
	return nil
}

// cpuset names n processors of the computer's, which is what programs in the machine count. A quota of time would limit as well, and be seen by few.
func cpuset(n, have int, from uint32) string {
	if have <= 0 || n >= have {
		return "" // all of them
	}
	var words []string
	for i := range n {
		words = append(words, strconv.Itoa((int(from%uint32(have))+i)%have))
	}
	return strings.Join(words, ",")
}

//go:embed forward.sh
var forwardScript string

// forwards are what the container is created with that forwards ports to the machine. It can do nothing else.
func (p *provider) forwards(m box, address string, n network.Summary, ports []port) (*container.Config, *container.HostConfig, *network.NetworkingConfig) {
	labels := ownLabels(kindForwards, m.env(), coreLabels(m.Labels))
	labels[labelName], labels[labelMachine], labels[labelPorts] = m.name(), m.ID, portsText(ports)
	c := &container.Config{
		Image: m.ImageID, Labels: labels, ExposedPorts: exposed(ports), User: "0:0", WorkingDir: "/",
		Entrypoint: append([]string{"/bin/sh", "-c", forwardScript, "forwards", address}, words(ports)...), Cmd: []string{},
	}
	pids := int64(8)
	h := &container.HostConfig{
		NetworkMode: container.NetworkMode(n.ID), PortBindings: bindings(ports),
		CapDrop: []string{"ALL"}, CapAdd: []string{"NET_ADMIN"}, SecurityOpt: []string{"no-new-privileges"}, ReadonlyRootfs: true,
		Sysctls:   map[string]string{"net.ipv4.ip_forward": "1"},
		LogConfig: container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "64k", "max-file": "1"}},
		Resources: container.Resources{Memory: 32 << 20, PidsLimit: &pids},
	}
	return c, h, &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{n.ID: {}}}
}

func words(ports []port) []string {
	var w []string
	for _, p := range ports {
		w = append(w, fmt.Sprintf("%s:%d", p.Proto, p.Inside))
	}
	return w
}
