// SPDX-License-Identifier: Apache-2.0

package libvirt_test

import (
	"bytes"
	"testing"

	"github.com/evenkeel/evenkeel/providers/libvirt"
)

// header is what `qemu-img create -f qcow2 x 1G` begins with.
var header = []byte("QFI\xfb\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x40\x00\x00\x00")

func TestDiskSizeIsReadFromTheDisk(t *testing.T) {
	if got, err := libvirt.QCOW2Size(header); got != 1<<30 || err != nil {
		t.Errorf("got %d, %v, want 1 GiB", got, err)
	}
	for what, b := range map[string][]byte{
		"nothing":       nil,
		"half a header": header[:31],
		"raw bytes":     make([]byte, 32),
		"no size":       append(bytes.Clone(header[:24]), 0, 0, 0, 0, 0, 0, 0, 0),
		"absurd size":   append(bytes.Clone(header[:24]), 255, 0, 0, 0, 0, 0, 0, 0),
	} {
		if got, err := libvirt.QCOW2Size(b); err == nil {
			t.Errorf("%s: got %d, want an error", what, got)
		}
	}
}

func FuzzDiskSizeNeverPanics(f *testing.F) {
	f.Add(header)
	f.Fuzz(func(t *testing.T, b []byte) {
		if size, err := libvirt.QCOW2Size(b); err == nil && size <= 0 {
			t.Errorf("%x: got size %d", b, size)
		}
	})
}
