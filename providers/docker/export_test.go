// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"net/netip"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
)

type (
	Port     = port
	HostPort = hostPort
	Claim    = claim
)

const (
	LabelKind    = labelKind
	LabelEnv     = labelEnv
	LabelName    = labelName
	LabelDisk    = labelDisk
	LabelProject = labelProject
	KindData     = kindData
	KindMark     = kindMark
)

var (
	ParseConfig     = parseConfig
	ImageName       = imageName
	MarkName        = markName
	ParseMark       = parseMark
	PortsText       = portsText
	ParsePorts      = parsePorts
	ChoosePorts     = choosePorts
	Listening       = listening
	CPUSet          = cpuset
	SubnetOf        = subnetOf
	AddressOf       = addressOf
	Bootable        = bootable
	SystemdVersion  = systemdVersion
	SecurityOptions = securityOptions
	ConnectError    = connectError
	Wrap            = wrap
)

// Reconcile says what has to be done so that forwards, each with its ports, come to what is wanted: which go, and what a new one forwards.
func Reconcile(have [][]Port, running bool, want []Port) (gone []int, make []Port) {
	var boxes []box
	for i, ports := range have {
		state := container.StateExited
		if running {
			state = container.StateRunning
		}
		boxes = append(boxes, box{container.Summary{ID: string(rune('0' + i)), State: state, Labels: map[string]string{labelPorts: portsText(ports)}}})
	}
	plan := reconcile(boxes, want)
	for _, b := range plan.gone {
		gone = append(gone, int(b.ID[0]-'0'))
	}
	return gone, plan.make
}

// ChooseSlot chooses an address where containers have the given ones.
func ChooseSlot(s netip.Prefix, addresses []string, pick func(int) int) (netip.Addr, error) {
	var others []box
	for i, a := range addresses {
		others = append(others, box{container.Summary{ID: string(rune('a' + i)), NetworkSettings: &container.NetworkSettingsSummary{
			Networks: map[string]*network.EndpointSettings{"n": endpointAt(a)},
		}}})
	}
	return chooseSlot(s, others, "mine", pick)
}

// Disks says what volumes mean: for each data disk, by its reference, the size, 0 where it is none.
func Disks(volumes []*volume.Volume) map[string]int64 {
	sizes := map[string]int64{}
	for _, d := range disksOf(volumes) {
		sizes[d.volume] = d.size
	}
	return sizes
}

// Takeable says whether a disk may be one of that size and project.
func Takeable(have, want int64, was, is string) error {
	return wrap("take", "disk", takeable(plannedDisk{Data: providers.Data{Name: "pg", Size: want}, have: have}, was, is))
}

// Guest renders what a machine's container is created with, and its seed.
func Guest(spec providers.Spec, memory int64, cpus int) (*container.Config, *container.HostConfig, []byte, error) {
	g := guest{
		spec: spec, image: "sha256:00", address: "10.214.3.2",
		network: network.Summary{ID: "n", IPAM: network.IPAM{Config: []network.IPAMConfig{{Subnet: "10.214.3.0/24"}}}},
		host:    &system.Info{MemTotal: memory, NCPU: cpus, SwapLimit: true},
	}
	for _, d := range spec.Data {
		g.data = append(g.data, plannedDisk{Data: d, volume: "evenkeel-data_x"})
	}
	c, h, _ := g.configs()
	seed, err := g.seed()
	return c, h, seed, err
}

// ImageConfig renders an image's configuration.
func ImageConfig(img images.Image, sum, systemd string) ([]byte, error) {
	return configOf(img, tree{sum: sum, systemd: systemd})
}

// ClaimOf is a port's place on loopback.
func ClaimOf(p Port) HostPort { return hostPort{p.Proto, p.Host} }
