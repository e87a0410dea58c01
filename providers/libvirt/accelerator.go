// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/providers"
)

// accelerated reports whether machines run on the processor itself.
func (p *provider) accelerated() bool {
	ok, _ := p.accelerator()
	return ok
}

// accelerator says why. The processor's own flags are asked, since /dev/kvm exists, and libvirt offers KVM, on some computers that are virtual
// themselves and whose KVM runs no ordinary guest.
func (p *provider) accelerator() (ok bool, why string) {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return false, err.Error()
	}
	defer func() { _ = f.Close() }() // read only
	if !virtualizes(f) {
		return false, "the processor offers neither vmx nor svm"
	}
	if _, err := os.Stat("/dev/kvm"); err != nil {
		return false, "there is no /dev/kvm"
	}
	if !p.config.session() {
		return true, "" // the daemon's QEMU opens it, not we
	}
	kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false, fmt.Sprintf("/dev/kvm: %v", cause(err))
	}
	_ = kvm.Close() // nothing was written
	return true, ""
}

// virtualizes looks for Intel's and AMD's flag in /proc/cpuinfo.
func virtualizes(cpuinfo io.Reader) bool {
	s := bufio.NewScanner(cpuinfo)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		key, flags, _ := strings.Cut(s.Text(), ":")
		if strings.TrimSpace(key) != "flags" {
			continue
		}
		has := strings.Fields(flags)
		if slices.Contains(has, "vmx") || slices.Contains(has, "svm") {
			return true
		}
	}
	return false
}

// sayAccelerator tells once that machines will be slow.
func (p *provider) sayAccelerator(kvm bool, progress providers.Progress) {
	if kvm {
		return
	}
	p.tell.Do(func() {
		_, why := p.accelerator()
		progress.Emit(providers.Event{Stage: "create", Detail: "machines run in emulation, several times slower than with KVM: " + why})
	})
}
