// SPDX-License-Identifier: Apache-2.0

package libvirt_test

import (
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/providers/libvirt"
)

func TestVirtualizationIsReadFromTheFlags(t *testing.T) {
	for text, want := range map[string]bool{
		"processor\t: 0\nflags\t\t: fpu vme vmx sse\n":         true,
		"processor\t: 0\nflags\t\t: fpu svm\n":                 true,
		"processor\t: 0\nflags\t\t: fpu hypervisor svm_lock\n": false,
		"vmx flags\t: vnmi\nmodel name\t: vmx svm\n":           false,
		"": false,
	} {
		if got := libvirt.Virtualizes(strings.NewReader(text)); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
