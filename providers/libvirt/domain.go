// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"fmt"

	"libvirt.org/go/libvirtxml"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
)

// seedSerial is how the guest finds its seed disk (images/doc.go). Where cloud-init is to lay the seed no disk has it.
const seedSerial = "evenkeel-seed"

// PCI slots of the network cards that libvirt does not know of; it fills the bus from slot 1 upwards.
const (
	outsideSlot = "0x10"
	privateSlot = "0x11"
)

// PCI slots of what every machine has, on the board itself. Left to libvirt, each gets a port for hotplugging, and each port costs the guest
// time at boot.
const (
	diskSlot = iota + 2
	seedSlot
	randomSlot
	cardSlot
)

func onBoard(slot uint) *libvirtxml.DomainAddress {
	var domain, bus, function uint
	return &libvirtxml.DomainAddress{PCI: &libvirtxml.DomainAddressPCI{Domain: &domain, Bus: &bus, Slot: &slot, Function: &function}}
}

// guest is all that a domain's definition is made of.
type guest struct {
	uuid   string
	spec   providers.Spec
	record record
	image  image
	pool   *pool
	data   []plannedDisk
	kvm    bool
	cloud  bool // cloud-init lays the seed
	wire   wire
}

// wire is how guests of an environment are joined: a libvirt network, or sockets in a folder where there is no root.
type wire struct {
	network string
	sockets string
}

func (g guest) volume(kind string) string {
	return volumeName(g.spec.Env, g.spec.Name, g.uuid, kind)
}

// define renders the domain. Nothing secret is in it: the seed is a file only QEMU may read.
func (g guest) define() (string, error) {
	metadata, err := g.record.metadata()
	if err != nil {
		return "", err
	}
	d := libvirtxml.Domain{
		Type:       "qemu",
		Name:       domainName(g.spec.Env, g.spec.Name),
		UUID:       g.uuid,
		Metadata:   &libvirtxml.DomainMetadata{XML: metadata},
		Memory:     &libvirtxml.DomainMemory{Value: uint(g.spec.Memory >> 10), Unit: "KiB"},
		VCPU:       &libvirtxml.DomainVCPU{Value: uint(g.spec.CPUs)},
		CPU:        emulatedCPU(),
		OnPoweroff: "destroy", OnReboot: "restart", OnCrash: "destroy",
		OS: &libvirtxml.DomainOS{
			Type:    &libvirtxml.DomainOSType{Arch: "x86_64", Machine: "q35", Type: "hvm"},
			Kernel:  g.pool.path(g.image.volume(string(g.kernel()))),
			Initrd:  g.pool.path(g.image.volume(string(images.Initrd))),
			Cmdline: images.KernelArgs,
		},
		Features:        &libvirtxml.DomainFeatureList{ACPI: &libvirtxml.DomainFeature{}, APIC: &libvirtxml.DomainFeatureAPIC{}},
		Clock:           &libvirtxml.DomainClock{Offset: "utc"},
		Devices:         g.devices(),
		QEMUCommandline: g.commandline(),
	}
	if g.kvm {
		d.Type, d.CPU = "kvm", &libvirtxml.DomainCPU{Mode: "host-passthrough"}
	}
	return d.Marshal()
}

// kernel is the one that starts sooner in emulation, and elsewhere the one that picks its addresses at random.
func (g guest) kernel() images.Format {
	if g.kvm {
		return images.Kernel
	}
	return images.VMLinux
}

// emulatedCPU is QEMU's plain 64-bit processor: what newer ones add, emulation only does slower. A boot until SSH answers cost 27 s of
// processor time with it, and 61 s with QEMU's "max" (QEMU 7.2, Debian 12, one CPU).
func emulatedCPU() *libvirtxml.DomainCPU {
	return &libvirtxml.DomainCPU{Mode: "custom", Match: "exact", Model: &libvirtxml.DomainCPUModel{Fallback: "forbid", Value: "qemu64"}}
}

func (g guest) devices() *libvirtxml.DomainDeviceList {
	port := uint(0)
	l := &libvirtxml.DomainDeviceList{
		Disks: []libvirtxml.DomainDisk{
			{
				Device: "disk",
				// The default cache mode honours the guest's flushes, so a machine survives a crash of this computer ("unsafe" boots no
				// faster); unmap gives back what the guest deletes.
				Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "qcow2", Discard: "unmap"},
				Source: fileSource(g.pool.path(g.volume(diskVolume))),
				Target: &libvirtxml.DomainDiskTarget{Dev: "vda", Bus: "virtio"}, Address: onBoard(diskSlot),
			},
			{
				Device: "disk", ReadOnly: &libvirtxml.DomainDiskReadOnly{}, Serial: seedSerial,
				Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "raw"},
				Source: fileSource(g.pool.path(g.volume(seedVolume))),
				Target: &libvirtxml.DomainDiskTarget{Dev: "vdb", Bus: "virtio"}, Address: onBoard(seedSlot),
			},
		},
		Controllers: []libvirtxml.DomainController{{Type: "usb", Model: "none"}},
		Serials: []libvirtxml.DomainSerial{{
			Source: &libvirtxml.DomainChardevSource{Pty: &libvirtxml.DomainChardevSourcePty{}},
			Target: &libvirtxml.DomainSerialTarget{Port: &port},
			Log:    &libvirtxml.DomainChardevLog{File: g.pool.path(g.volume(consoleVolume)), Append: "on"},
		}},
		MemBalloon: &libvirtxml.DomainMemBalloon{Model: "none"},
		RNGs: []libvirtxml.DomainRNG{{
			Model:   "virtio",
			Backend: &libvirtxml.DomainRNGBackend{Random: &libvirtxml.DomainRNGBackendRandom{Device: "/dev/urandom"}},
			Address: onBoard(randomSlot),
		}},
	}
	l.Disks = append(l.Disks, g.domainDisks()...)
	if g.cloud {
		l.Disks[1].Serial = "" // cloud-init goes by the file system's label
	}
	if g.wire.network != "" {
		l.Interfaces = []libvirtxml.DomainInterface{{
			MAC:    &libvirtxml.DomainInterfaceMAC{Address: g.privateMAC()},
			Source: &libvirtxml.DomainInterfaceSource{Network: &libvirtxml.DomainInterfaceSourceNetwork{Network: g.wire.network}},
			Model:  &libvirtxml.DomainInterfaceModel{Type: "virtio"},
			ROM:    &libvirtxml.DomainROM{Enabled: "no"}, Address: onBoard(cardSlot),
		}}
	}
	return l
}

func fileSource(path string) *libvirtxml.DomainDiskSource {
	return &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: path}}
}

func (g guest) outsideMAC() string { return mac("outside", g.spec.Env, g.record.Slot) }
func (g guest) privateMAC() string { return mac("private", g.spec.Env, g.record.Slot) }

// commandline adds the network cards that libvirt cannot describe: QEMU's user network with forwards from loopback, which need no process of
// ours, and, without root, a socket to the environment's switch.
func (g guest) commandline() *libvirtxml.DomainQEMUCommandline {
	args := []string{
		"-netdev", outsideNetdev(g.record.Ports),
		"-device", "virtio-net-pci,netdev=" + outsideID + ",mac=" + g.outsideMAC() + ",romfile=,bus=pcie.0,addr=" + outsideSlot,
	}
	if g.wire.sockets != "" {
		args = append(args,
			"-netdev", dgram("prv0", guestSocket(g.wire.sockets, g.record.Slot), switchSocket(g.wire.sockets, g.record.Slot)),
			"-device", "virtio-net-pci,netdev=prv0,mac="+g.privateMAC()+",romfile=,bus=pcie.0,addr="+privateSlot)
	}
	return qemuArgs(args)
}

func qemuArgs(args []string) *libvirtxml.DomainQEMUCommandline {
	c := &libvirtxml.DomainQEMUCommandline{}
	for _, a := range args {
		c.Args = append(c.Args, libvirtxml.DomainQEMUCommandlineArg{Value: a})
	}
	return c
}

// nics is the guest's side of it.
func (g guest) nics() []providers.NIC {
	return []providers.NIC{
		{MAC: g.outsideMAC(), Address: "10.0.2.15/24", Gateway: "10.0.2.2", DNS: []string{"10.0.2.3"}},
		{MAC: g.privateMAC(), Address: g.record.Address},
	}
}

// amend changes a definition's record and forwards, and nothing else that it says.
func amend(text string, r record) (string, error) {
	var d libvirtxml.Domain
	if err := d.Unmarshal(text); err != nil {
		return "", fmt.Errorf("definition of machine %s: %w", r.Name, err)
	}
	metadata, err := r.metadata()
	if err != nil {
		return "", err
	}
	d.Metadata = &libvirtxml.DomainMetadata{XML: metadata}
	if d.QEMUCommandline == nil || len(d.QEMUCommandline.Args) < 2 {
		return "", fmt.Errorf("definition of machine %s: its QEMU arguments are gone", r.Name)
	}
	d.QEMUCommandline.Args[1].Value = outsideNetdev(r.Ports)
	return d.Marshal()
}
