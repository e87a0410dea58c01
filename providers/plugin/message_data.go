// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

// Data disks and their snapshots: values to messages and back.

func toData(d providers.Data) *proto.Data {
	return &proto.Data{Name: text(d.Name), Size: d.Size, Mount: text(d.Mount)}
}

func fromData(d *proto.Data) providers.Data {
	return providers.Data{Name: d.GetName(), Size: d.GetSize(), Mount: d.GetMount()}
}

func toMount(m providers.Mount) *proto.Mount {
	return &proto.Mount{Name: text(m.Name), Device: text(m.Device), Mount: text(m.Mount)}
}

func fromMount(m *proto.Mount) providers.Mount {
	return providers.Mount{Name: m.GetName(), Device: m.GetDevice(), Mount: m.GetMount()}
}

func toAttached(a providers.Attached) *proto.Attached {
	return &proto.Attached{Name: text(a.Name), Device: text(a.Device)}
}

var (
	dataName = lazyregexp.New(`^[a-z][a-z0-9-]*$`)
	device   = lazyregexp.New(`^/dev/[A-Za-z0-9/._:+-]+$`)
)

// fromAttached leaves out, with an error, what is no data disk: names and devices become words of a file on the machine.
func fromAttached(list []*proto.Attached) (kept []providers.Attached, err error) {
	for _, a := range list {
		if name, dev := a.GetName(), a.GetDevice(); !dataName.MatchString(name) || dev != "" && !device.MatchString(dev) {
			err = errors.Join(err, fmt.Errorf("data disk %.20q on device %.60q is none", name, dev))
			continue
		}
		kept = append(kept, providers.Attached{Name: text(a.GetName()), Device: text(a.GetDevice())})
	}
	return kept, err
}

func toDataRef(d providers.DataRef) *proto.DataRef {
	return &proto.DataRef{Env: text(d.Env), Machine: text(d.Machine), Name: text(d.Name)}
}

func fromDataRef(d *proto.DataRef) providers.DataRef {
	return providers.DataRef{Env: text(d.GetEnv()), Machine: text(d.GetMachine()), Name: text(d.GetName())}
}

func toDataDisk(d providers.DataDisk) *proto.DataDisk {
	return &proto.DataDisk{Disk: toDataRef(d.DataRef), Size: d.Size}
}

func fromDataDisk(d *proto.DataDisk) providers.DataDisk {
	return providers.DataDisk{DataRef: fromDataRef(d.GetDisk()), Size: d.GetSize()}
}

func toSnapshot(s providers.Snapshot) *proto.Snapshot {
	return &proto.Snapshot{Disk: toDataRef(s.Disk), Name: text(s.Name), Taken: toTime(s.Taken), Size: s.Size}
}

func fromSnapshot(s *proto.Snapshot) providers.Snapshot {
	return providers.Snapshot{Disk: fromDataRef(s.GetDisk()), Name: text(s.GetName()), Taken: fromTime(s.GetTaken()), Size: s.GetSize()}
}
