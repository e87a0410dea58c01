// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"io"
	"net"
	"time"
)

// Optional abilities. A provider that has one implements the interface; callers find it with As. The plugin client implements all of
// them and answers As from the handshake, so an ability is never declared by hand.
type (
	// Starter stops and starts machines by ID. Both are idempotent. Stop asks the machine first and takes the power after a grace
	// period of 30 s; Start returns the machine with its SSH endpoint known. Ports, addresses and labels survive.
	Starter interface {
		StopMachine(ctx context.Context, id string) error
		StartMachine(ctx context.Context, id string) (Machine, error)
	}
	// Suspender keeps and restores a machine's memory, across a restart of the place's own host. Both are idempotent; a stopped machine is not
	// suspended (Conflict). Ports, addresses, labels and data disks survive, the machine's clock does not: the core sets it. A suspended machine can
	// be deleted like any other, its kept memory goes with it.
	Suspender interface {
		SuspendMachine(ctx context.Context, id string) error
		ResumeMachine(ctx context.Context, id string) (Machine, error)
	}
	// Snapshotter keeps points in time of data disks. They outlive their machine as the disk does: DeleteEnv takes them with the disks.
	Snapshotter interface {
		// SaveSnapshot keeps d as it is now, running machine or not, as after a loss of power: one point in time, which a journal makes whole. name
		// is a label value of at most 32 of [a-z0-9-]; one that exists is Conflict. After failure or cancel nothing is left of it.
		SaveSnapshot(ctx context.Context, d DataRef, name string) (Snapshot, error)
		// ListSnapshots lists those of an environment by disk, oldest first; half-made ones are not among them.
		ListSnapshots(ctx context.Context, env string) ([]Snapshot, error)
		// RestoreSnapshot brings d back to name. A machine that runs, or is suspended, with the disk is Conflict. After failure the disk is what it was
		// before, or what the snapshot holds, never between. The snapshot stays.
		RestoreSnapshot(ctx context.Context, d DataRef, name string) error
		// DeleteSnapshot: absent is success.
		DeleteSnapshot(ctx context.Context, d DataRef, name string) error
	}
	// Consoler reads the console's kept output: the last max bytes at most. It is untrusted text.
	Consoler interface {
		Console(ctx context.Context, id string, max int64) ([]byte, error)
	}
	// ImagePruner lists images in the place and removes those that no machine uses. Removing an absent one is success, one in use is Conflict.
	ImagePruner interface {
		ListImages(ctx context.Context) ([]StoredImage, error)
		DeleteImage(ctx context.Context, ref ImageRef) error
	}
	// Doctor checks the place itself. Every Finding that is not OK says what to type.
	Doctor interface {
		Diagnose(ctx context.Context) ([]Finding, error)
	}
	// Dialer opens a byte stream to a machine's SSH port where no address can be dialled.
	Dialer interface {
		DialSSH(ctx context.Context, id string) (net.Conn, error)
	}
)

// StoredImage is an image kept in a place.
type StoredImage struct {
	Ref   ImageRef `json:"ref"`
	Key   string   `json:"key"`
	Size  int64    `json:"size"`
	InUse bool     `json:"in_use"`
}

// Snapshot is a kept point in time of a data disk.
type Snapshot struct {
	Disk  DataRef   `json:"disk"`
	Name  string    `json:"name"`
	Taken time.Time `json:"taken"` // UTC, to the second
	Size  int64     `json:"size"`  // bytes it occupies in the place
}

// Finding is one line of `evenkeel doctor`.
type Finding struct {
	OK     bool   `json:"ok"`
	What   string `json:"what"`             // what was checked, with what was found: "libvirt 9.0.0 answers at qemu:///system"
	Remedy string `json:"remedy,omitempty"` // what to type
}

// Unwrapper is a provider that stands for another; As looks through it.
type Unwrapper interface{ Unwrap() Provider }

// Abler is a provider whose abilities are known only at run time (the plugin client): Can reports whether the far side has the ability
// of that name (Starter, Suspender, Snapshotter, Consoler, ImagePruner, Doctor, Dialer).
type Abler interface{ Can(ability string) bool }

var _ io.Closer = Provider(nil)
