// SPDX-License-Identifier: Apache-2.0

package libvirt_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	lv "libvirt.org/go/libvirt"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/libvirt"
)

// TestSilentDaemonIsNotWaitedForForEver has a daemon that takes connections and says nothing.
func TestSilentDaemonIsNotWaitedForForEver(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	silent := errors.New("silent")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, silent)
	defer cancel()
	conn, err := libvirt.Connect(ctx, "qemu+unix:///session?socket="+socket)
	if !errors.Is(err, silent) {
		t.Errorf("got %v, %v, want to be told that nobody answers", conn, err)
	}
}

func TestErrorsHaveCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want providers.Code
	}{
		{lv.Error{Code: lv.ERR_AUTH_UNAVAILABLE, Message: "no polkit agent available"}, providers.Denied},
		{lv.Error{Code: lv.ERR_SYSTEM_ERROR, Message: "Failed to connect socket to '/run/libvirt/libvirt-sock': Permission denied"}, providers.Denied},
		{lv.Error{Code: lv.ERR_SYSTEM_ERROR, Message: "Failed to connect socket to '/run/libvirt/libvirt-sock': No such file or directory"}, providers.Unavailable},
		{lv.Error{Code: lv.ERR_RPC, Message: "client socket is closed"}, providers.Unavailable},
		{lv.Error{Code: lv.ERR_NO_DOMAIN, Message: "Domain not found"}, providers.NotFound},
		{lv.Error{Code: lv.ERR_INTERNAL_ERROR, Message: "process exited: cannot set up guest memory 'pc.ram': Cannot allocate memory"}, providers.Exhausted},
		{lv.Error{Code: lv.ERR_SYSTEM_ERROR, Message: "cannot write: No space left on device"}, providers.Exhausted},
		{lv.Error{Code: lv.ERR_INTERNAL_ERROR, Message: "qemu-img: Could not open '/x': Failed to get shared \"write\" lock\nIs another process using the image [/x]?"}, providers.Conflict},
		{lv.Error{Code: lv.ERR_CONFIG_UNSUPPORTED, Message: "no"}, providers.Unsupported},
		{fmt.Errorf("seed: %w", lv.Error{Code: lv.ERR_STORAGE_VOL_EXIST, Message: "exists"}), providers.Conflict},
		{context.Canceled, providers.Unavailable},
		{errors.New("?"), providers.Internal},
	} {
		err := libvirt.Wrap("create", "machine web-1", c.err)
		if got := providers.CodeOf(err); got != c.want {
			t.Errorf("%v: got code %q, want %q", c.err, got, c.want)
		}
		if !strings.HasPrefix(err.Error(), "cannot create machine web-1: ") || strings.Contains(err.Error(), "virError") {
			t.Errorf("got text %q", err)
		}
		if again := libvirt.Wrap("x", "y", err); !errors.Is(again, err) || again.Error() != err.Error() {
			t.Errorf("wrapped twice: %v", again)
		}
	}
	if libvirt.Wrap("create", "machine", nil) != nil {
		t.Error("nil is wrapped")
	}
}

func TestConnectionErrorsSayWhatToType(t *testing.T) {
	for _, c := range []struct {
		uri  string
		err  error
		code providers.Code
		hint string
	}{
		{"qemu:///system", lv.Error{Code: lv.ERR_SYSTEM_ERROR, Message: "Failed to connect socket: Permission denied"}, providers.Denied, "usermod -aG libvirt"},
		{"qemu:///system", lv.Error{Code: lv.ERR_INTERNAL_ERROR, Message: "Unable to get system bus connection: Could not connect"}, providers.Denied, "usermod -aG libvirt"},
		{"qemu:///system", lv.Error{Code: lv.ERR_SYSTEM_ERROR, Message: "Failed to connect socket: No such file or directory"}, providers.Unavailable, "systemctl start libvirtd"},
		{"qemu:///session", lv.Error{Code: lv.ERR_INTERNAL_ERROR, Message: "Unable to find 'libvirtd' binary"}, providers.Unavailable, "apt-get install"},
	} {
		e, ok := errors.AsType[*providers.Error](libvirt.ConnectError(c.uri, c.err))
		if !ok || e.Code != c.code || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%v: got %+v, want code %q and a hint with %q", c.err, e, c.code, c.hint)
		}
	}
}
