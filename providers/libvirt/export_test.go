// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"time"

	"github.com/hashicorp/go-hclog"
	lv "libvirt.org/go/libvirt"

	"github.com/evenkeel/evenkeel/providers"
)

type (
	Config   = config
	Record   = record
	Port     = port
	HostPort = hostPort
	Claim    = claim
	Phase    = phase
)

const (
	Making   = making
	Made     = made
	Removing = removing
)

var (
	ParseConfig       = parseConfig
	DefaultURI        = defaultURI
	ParseName         = parseName
	ParseRef          = parseRef
	ParseImageVolume  = parseImageVolume
	VolumeName        = volumeName
	VolumeOwner       = volumeOwner
	BridgeName        = bridgeName
	MAC               = mac
	UUIDOf            = uuidOf
	NewUUID           = newUUID
	AddressOf         = addressOf
	Slots             = slots
	NewRecord         = newRecord
	ParseDescription  = parseDescription
	Amend             = amend
	ChoosePorts       = choosePorts
	Listening         = listening
	LostPort          = lostPort
	Forwards          = forwards
	Virtualizes       = virtualizes
	FirstUnprivileged = firstUnprivileged
	QCOW2Size         = qcow2Size
	Wrap              = wrap
	ConnectError      = connectError
	Connect           = connect
	BackupXML         = backupXML
	AimDisks          = aimDisks
)

func (r record) Partial() bool { return r.partial() }

// Define renders a machine's definition in a pool in dir; of network and sockets one is "".
func Define(uuid string, spec providers.Spec, ref providers.ImageRef, r Record, dir string, kvm bool, network, sockets string) (string, error) {
	i, _ := parseRef(ref)
	var data []plannedDisk
	for _, d := range spec.Data {
		data = append(data, plannedDisk{name: d.Name, size: d.Size, generation: generation{providers.DataRef{Env: spec.Env, Machine: spec.Name, Name: d.Name}, 1}})
	}
	return guest{
		uuid: uuid, spec: spec, record: r, image: i, pool: &pool{dir: dir}, data: data, kvm: kvm, wire: wire{network, sockets},
	}.define()
}

// Switch renders the definition of an environment's switch.
func Switch(env, sockets string) (string, error) {
	return switchXML(networkRecord{Env: env, Project: "7f3a9c", Owner: "jo@host", Made: "2026-01-02T03:04:05Z", Sockets: sockets})
}

// ChooseSlot chooses among n where the given ones are taken.
func ChooseSlot(taken []int, n, try int) (int, error) {
	var others []domain
	for _, s := range taken {
		others = append(others, domain{uuid: "other", record: record{Slot: s}})
	}
	return chooseSlot(others, "mine", n, try)
}

func (i image) Ref() providers.ImageRef   { return i.ref() }
func (i image) Volume(kind string) string { return i.volume(kind) }

func NewHostPort(proto string, port int) HostPort { return hostPort{proto, port} }

// Seed renders a machine's seed disk.
func Seed(uuid string, spec providers.Spec, r Record, cloud bool) ([]byte, error) {
	return guest{uuid: uuid, spec: spec, record: r, cloud: cloud}.seed()
}

func DataVolume(d providers.DataRef, number int) string { return generation{d, number}.volume() }

func DataMark(d providers.DataRef, number int, project string, expires time.Time) string {
	return generation{d, number}.mark(origin{project, expires})
}

func ParseGeneration(name string) (d providers.DataRef, number int, project string, expires time.Time, mark, ok bool) {
	g, from, mark, ok := parseGeneration(name)
	return g.disk, g.number, from.project, from.expires, mark, ok
}

// DataState says what the names of volumes mean for a disk.
func DataState(names []string, d providers.DataRef) (current, top int, older, broken []string) {
	s := dataDisks(names)[d]
	return s.current.number, s.top, s.older, s.broken
}

// SnapshotNames are the names of a snapshot's volume and of its mark.
func SnapshotNames(d providers.DataRef, name string, taken int64) []string {
	s := snapshot{d, name, taken}
	return []string{s.volume(), s.mark()}
}

func Snapshots(names []string, env string) []providers.Snapshot {
	var list []providers.Snapshot
	for _, s := range snapshots(names, env) {
		list = append(list, providers.Snapshot{Disk: s.disk, Name: s.name, Taken: s.time()})
	}
	return list
}

// Takeable says whether the first disk of spec may be one of that size and project.
func Takeable(spec providers.Spec, have int64, project string) error {
	d := plannedDisk{name: spec.Data[0].Name, size: wholeBlocks(spec.Data[0].Size), have: have}
	return wrap("take", "disk", takeable(d, dataDisk{origin: origin{project: project}}, spec))
}

// OpenMock opens libvirt's own stand-in, which keeps domains and volumes in this process's memory and runs nothing. conn sees the same.
func OpenMock() (p providers.Provider, conn *lv.Connect, err error) {
	conn, err = lv.NewConnect("test:///default")
	if err != nil {
		return nil, nil, err
	}
	c, err := parseConfig([]byte(`{"uri": "qemu:///system", "pool": "default-pool"}`))
	return &provider{conn: conn, config: c, log: hclog.NewNullLogger(), backups: make(chan struct{}, 1)}, conn, err
}
