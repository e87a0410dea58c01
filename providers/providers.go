// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/internal/progress"
)

type (
	// Problem is one thing wrong with what a person wrote.
	Problem = problem.Problem
	// Progress receives what a Put is doing; it may be nil, and is safe for concurrent use.
	Progress = progress.Func
	// Event is one step told to Progress.
	Event = progress.Event
)

// Plugin is a provider not yet opened; static facts are data.
type Plugin struct {
	Name    string
	Formats []images.Format // what it boots from, all of them are handed to PutImage
	Traits  Traits
	// Open decodes config strictly (unknown keys are Invalid) and connects. The Provider outlives ctx, which bounds Open only.
	Open func(ctx context.Context, config json.RawMessage, log hclog.Logger) (Provider, error)
}

// Traits are what holds for every machine of a provider.
type Traits struct {
	Local      bool `json:"local"`       // machines run on this computer: ports are published on loopback
	HostKernel bool `json:"host_kernel"` // machines run the host's kernel (containers)
	// ReadOnly: machines were there before us. They are listed, each with its Host, for every environment ID; all else but Check, which finds a problem with
	// every spec, and ListEnvs, which finds none, is Unsupported.
	ReadOnly bool `json:"read_only"`
}

// Provider realizes machines in one place. Every method is idempotent and safe for concurrent use; the place is the only
// record, there is no state but labels. Errors are *Error. A probe that failed is an error, never "absent".
type Provider interface {
	// Check reports what PutMachine would refuse, without creating anything.
	Check(ctx context.Context, spec Spec) ([]Problem, error)
	// PutImage makes the image available in the place. Repeated, it finds what is there. Two at once make one.
	// After failure or cancel nothing half-made can be taken for the image.
	PutImage(ctx context.Context, img images.Image, p Progress) (ImageRef, error)
	// PutMachine creates the machine spec describes and returns once it runs and its SSH endpoint is known (not: answers).
	// A machine of that environment and name with an equal Spec.Digest is returned as it is (started if it was stopped), with its
	// own labels, after its published ports were brought to spec.Publish; one with another digest is Conflict; a Partial one is made
	// anew; one whose project label differs is Conflict. Two at once make one. After failure or cancel no machine is left: the
	// call returns when undo is done.
	PutMachine(ctx context.Context, spec Spec, img ImageRef, p Progress) (Machine, error)
	// ListMachines lists the machines of one environment by name, Partial ones included.
	ListMachines(ctx context.Context, env string) ([]Machine, error)
	// ListEnvs lists every environment ID for which any object of ours exists, sorted.
	ListEnvs(ctx context.Context) ([]EnvInfo, error)
	// DeleteMachine removes a machine by Machine.ID, running or not, with its own disk but not its data disks. Absent is success.
	DeleteMachine(ctx context.Context, id string) error
	// DeleteEnv removes every object of an environment, data disks too unless keepData. Absent is success.
	DeleteEnv(ctx context.Context, env string, keepData bool) error
	// Close releases the connection; machines go on.
	Close() error
}

// ImageRef is a place's own name for an image, opaque to the core.
type ImageRef string

// Spec is one machine to be. A field is here only because every provider honours it and the conformance suite proves it.
type Spec struct {
	Env    string `json:"env"`    // environment ID, at most 40 characters
	Name   string `json:"name"`   // machine name, a DNS label: web-1
	CPUs   int    `json:"cpus"`   // at least 1
	Memory int64  `json:"memory"` // bytes
	Disk   int64  `json:"disk"`   // bytes; a least size where machines have a part of their host's file system (Traits.HostKernel)
	// Data are disks of this machine that outlive it. A disk is known by (Env, Name, Data.Name): one that exists is attached as it is, grown where
	// it is smaller, and never made blank; one that is absent is made blank. A smaller Size than what is there is Denied.
	// Two machines never hold one disk. Sorted by name.
	Data     []Data `json:"data,omitempty"`
	ImageKey string `json:"image_key"`
	Labels   Labels `json:"labels"`
	Publish  []Port `json:"publish,omitempty"` // ports that local providers forward from loopback; ignored by others
	Seed     Seed   `json:"seed"`              // what first boot needs
	// Systemd is the version of the image's systemd, as dpkg has it; "" where it is not known, or where machines bring a kernel of their own. Where they
	// do not (Traits.HostKernel), Check says by it whether the kernel suits it, before the image is built.
	Systemd string `json:"systemd,omitempty"`
}

// Port is a port of a machine reachable from outside its environment. In a Spec, HostPort 0 lets a local provider choose a free, stable one.
type Port struct {
	Port     int    `json:"port"`
	Proto    string `json:"proto"` // tcp or udp
	HostPort int    `json:"host_port,omitempty"`
}

// Data is a disk that outlives its machine. Where the place has no quotas, Size is a least size.
type Data struct {
	Name  string `json:"name"` // at most 12 of a-z, 0-9 and -
	Size  int64  `json:"size"` // bytes
	Mount string `json:"mount"`
}

// DataRef names a data disk: the only key there is, the same for every client.
type DataRef struct {
	Env     string `json:"env"`
	Machine string `json:"machine"`
	Name    string `json:"name"`
}

// DataDisk is a data disk as the place describes it, attached or not.
type DataDisk struct {
	DataRef
	Size int64 `json:"size"`
}

// State is what the place says of a machine.
type State string

const (
	Running   State = "running"
	Stopped   State = "stopped"
	Suspended State = "suspended"
	Partial   State = "partial" // half-made by a run that died; PutMachine makes it anew
	Unknown   State = "unknown" // the place would not say
)

// Machine is a machine as the place describes it. It is data; verbs take its ID.
type Machine struct {
	ID      string `json:"id"` // the place's own, opaque; a machine made anew has another, so that an undo deletes only its own
	Env     string `json:"env"`
	Name    string `json:"name"`
	State   State  `json:"state"`
	SSH     string `json:"ssh,omitempty"`     // host:port to dial for SSH; empty while unknown or when stopped
	Address string `json:"address,omitempty"` // in the environment's private network
	Ports   []Port `json:"ports,omitempty"`   // published, HostPort filled in; on loopback for local providers
	// Data says where the machine finds its data disks.
	Data    []Attached `json:"data,omitempty"`
	Labels  Labels     `json:"labels"`
	Created time.Time  `json:"created"`
	Host    Host       `json:"host,omitzero"` // of a machine that was there before us
}

// Attached is a data disk as its machine sees it. Device is a path that means this disk and no other at every boot
// (/dev/disk/by-id/...); "" where the place mounts the disk itself, before the machine's first process (containers).
type Attached struct {
	Name   string `json:"name"`
	Device string `json:"device,omitempty"`
}

// EnvInfo is one environment found in a place.
type EnvInfo struct {
	Env      string `json:"env"`
	Project  string `json:"project,omitempty"`
	Owner    string `json:"owner,omitempty"`
	Machines int    `json:"machines"`
	// Data are its data disks, attached or left by `down`, by machine and name.
	Data    []DataDisk `json:"data,omitempty"`
	Partial bool       `json:"partial"`          // holds something half-made
	Created time.Time  `json:"created,omitzero"` // of the oldest object
	// Expires is Expiry of its machines and its data disks, of which each keeps the one that it was made with (LabelExpires).
	Expires time.Time `json:"expires,omitzero"` // zero: never
}
