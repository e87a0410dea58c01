// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"io"
	"net"
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
	// Suspender keeps and restores a machine's memory.
	Suspender interface {
		SuspendMachine(ctx context.Context, id string) error
		ResumeMachine(ctx context.Context, id string) (Machine, error)
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

// Finding is one line of `env doctor`.
type Finding struct {
	OK     bool   `json:"ok"`
	What   string `json:"what"`             // what was checked, with what was found: "libvirt 9.0.0 answers at qemu:///system"
	Remedy string `json:"remedy,omitempty"` // what to type
}

// Unwrapper is a provider that stands for another; As looks through it.
type Unwrapper interface{ Unwrap() Provider }

// Abler is a provider whose abilities are known only at run time (the plugin client): Can reports whether the far side has the ability
// of that name (Starter, Suspender, Consoler, ImagePruner, Doctor, Dialer).
type Abler interface{ Can(ability string) bool }

var _ io.Closer = Provider(nil)
