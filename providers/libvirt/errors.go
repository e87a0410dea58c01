// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	lv "libvirt.org/go/libvirt"

	"github.com/evenkeel/evenkeel/providers"
)

// wrap makes err the provider's error, once: nil stays nil, and an error that is one already stays as it is.
func wrap(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*providers.Error](err); ok {
		return err
	}
	code, hint := classify(err)
	return &providers.Error{Code: code, Op: op, Subject: subject, Hint: hint, Err: plain(err)}
}

func fail(code providers.Code, format string, a ...any) error {
	return &coded{code, fmt.Errorf(format, a...), ""}
}

// coded is an error of our own on its way to wrap.
type coded struct {
	code providers.Code
	err  error
	hint string
}

func (c *coded) Error() string { return c.err.Error() }
func (c *coded) Unwrap() error { return c.err }

var binding = regexp.MustCompile(`virError\(Code=\d+, Domain=\d+, Message='((?s:.*?))'\)`)

// plain cuts the binding's wrapping of libvirt's errors down to libvirt's message.
func plain(err error) error {
	text := binding.ReplaceAllString(err.Error(), "$1")
	if text = strings.TrimSpace(text); text == err.Error() {
		return err
	}
	return &reworded{text, err}
}

// reworded is an error with another text.
type reworded struct {
	text string
	err  error
}

func (r *reworded) Error() string { return r.text }
func (r *reworded) Unwrap() error { return r.err }

// is reports whether libvirt said one of the codes.
func is(err error, codes ...lv.ErrorNumber) bool {
	e, ok := errors.AsType[lv.Error](err)
	if !ok {
		return false
	}
	for _, c := range codes {
		if e.Code == c {
			return true
		}
	}
	return false
}

// classify judges by libvirt's code first; where that is only "system error" or "internal error", the message holds errno's or QEMU's text.
func classify(err error) (providers.Code, string) {
	if c, ok := errors.AsType[*coded](err); ok {
		return c.code, c.hint
	}
	says := func(s ...string) bool {
		for _, t := range s {
			if strings.Contains(err.Error(), t) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return providers.Unavailable, ""
	case is(err, lv.ERR_AUTH_FAILED, lv.ERR_AUTH_CANCELLED, lv.ERR_AUTH_UNAVAILABLE, lv.ERR_ACCESS_DENIED, lv.ERR_OPERATION_DENIED):
		return providers.Denied, ""
	case says("No space left on device", "Disk quota exceeded"):
		return providers.Exhausted, "free disk space, or remove unused images: evenkeel image prune"
	case says("Cannot allocate memory", "cannot set up guest memory"):
		return providers.Exhausted, "stop other machines, or lower memory: in env.yaml"
	case says("Permission denied", "permission denied"):
		return providers.Denied, "look at what is not permitted: evenkeel doctor"
	case says(`Failed to get "write" lock`, `Failed to get shared "write" lock`):
		return providers.Conflict, "another machine or program has the disk open: look with sudo fuser -v at the file that is named"
	case is(err, lv.ERR_NO_DOMAIN, lv.ERR_NO_STORAGE_VOL, lv.ERR_NO_STORAGE_POOL, lv.ERR_NO_NETWORK):
		return providers.NotFound, ""
	case is(err, lv.ERR_DOM_EXIST, lv.ERR_NETWORK_EXIST, lv.ERR_STORAGE_VOL_EXIST):
		return providers.Conflict, ""
	case is(err, lv.ERR_NO_CONNECT, lv.ERR_RPC, lv.ERR_NO_SERVER, lv.ERR_OPERATION_TIMEOUT, lv.ERR_INVALID_CONN, lv.ERR_RESOURCE_BUSY),
		says("Failed to connect socket", "client socket is closed", "Connection reset by peer"):
		return providers.Unavailable, "see whether libvirt's daemon runs: evenkeel doctor"
	case is(err, lv.ERR_CONFIG_UNSUPPORTED, lv.ERR_NO_SUPPORT, lv.ERR_OPERATION_UNSUPPORTED, lv.ERR_ARGUMENT_UNSUPPORTED):
		return providers.Unsupported, ""
	}
	return providers.Internal, ""
}

// connectError explains why there is no connection.
func connectError(uri string, err error) error {
	e := &providers.Error{Op: "connect to", Subject: uri, Err: plain(err)}
	e.Code, e.Hint = classify(err)
	// Whoever is neither root nor in the group is let in by polkit, which is asked over the system's message bus.
	unasked := strings.Contains(err.Error(), "Unable to get system bus connection")
	switch {
	case e.Code == providers.Denied || unasked:
		e.Code = providers.Denied
		if uri == sessionURI {
			break // it asks nobody's leave: what was denied is a file or folder, which the cause names
		}
		e.Hint = "sudo usermod -aG libvirt $USER, then log in again; or without root: config: {uri: " + sessionURI + "}"
	case errors.Is(err, errSilent):
		e.Code, e.Hint = providers.Unavailable, "see what keeps it busy, or start it anew: sudo systemctl restart libvirtd; without systemd: sudo pkill -x libvirtd && sudo libvirtd -d"
	case e.Code == providers.Internal, e.Code == providers.Unavailable:
		e.Code, e.Hint = providers.Unavailable, startDaemon(uri)
	}
	return e
}

// startDaemon is what to type where the daemon does not answer.
func startDaemon(uri string) string {
	if uri == sessionURI {
		return "install libvirt's daemon, which starts by itself for a user: sudo apt-get install libvirt-daemon"
	}
	return "sudo systemctl start libvirtd; without systemd: sudo virtlogd -d && sudo libvirtd -d"
}
