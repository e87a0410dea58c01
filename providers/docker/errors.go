// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

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

// plain cuts the client's wrapping down to the daemon's words, in one line.
func plain(err error) error {
	text := strings.TrimSpace(strings.ReplaceAll(err.Error(), "Error response from daemon: ", ""))
	text = strings.Join(strings.Fields(text), " ")
	if text == err.Error() {
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

// says reports whether err's text holds one of the words. The daemon has one status for most of what goes wrong.
func says(err error, words ...string) bool {
	for _, w := range words {
		if strings.Contains(err.Error(), w) {
			return true
		}
	}
	return false
}

// classify judges by the words first where the daemon's status is only "something went wrong".
func classify(err error) (providers.Code, string) {
	if c, ok := errors.AsType[*coded](err); ok {
		return c.code, c.hint
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return providers.Unavailable, ""
	case says(err, "no space left on device", "disk quota exceeded"):
		return providers.Exhausted, "free disk space: evenkeel image prune, docker system df"
	case says(err, "cannot expose privileged port"): // where Check could not know
		return providers.Denied, "pin a port from 1024 up under publish:, or on docker's computer: sudo sysctl -w net.ipv4.ip_unprivileged_port_start=80"
	case says(err, "unable to apply cgroup configuration: unable to start unit"):
		return providers.Unsupported, "docker without root asks systemd for control groups over its user's bus: sudo apt-get install dbus-user-session, then systemctl --user restart docker"
	case says(err, "cannot allocate memory"):
		return providers.Exhausted, "stop other machines, or lower memory: in env.yaml"
	case says(err, "port is already allocated", "address already in use"):
		return providers.Conflict, "stop what listens there (ss -lntup), or pin another port under publish:"
	case says(err, "could not find an available", "all predefined address pools have been fully subnetted"):
		return providers.Exhausted, "remove environments that are not needed: evenkeel gc"
	case client.IsErrConnectionFailed(err), isRefused(err):
		return providers.Unavailable, startDaemon
	case errdefs.IsNotFound(err):
		return providers.NotFound, ""
	case errdefs.IsConflict(err), errdefs.IsAlreadyExists(err):
		return providers.Conflict, ""
	case errdefs.IsPermissionDenied(err), errdefs.IsUnauthorized(err):
		return providers.Denied, ""
	case errdefs.IsUnavailable(err):
		return providers.Unavailable, startDaemon
	case errdefs.IsNotImplemented(err):
		return providers.Unsupported, ""
	}
	return providers.Internal, ""
}

func isRefused(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || says(err, "EOF", "connection reset by peer")
}

func absent(socket string) bool {
	_, err := os.Stat(socket)
	return errors.Is(err, fs.ErrNotExist)
}

const startDaemon = "sudo systemctl start docker; without systemd: sudo sh -c 'setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &'"

// connectError explains why there is no connection.
func connectError(address string, err error) error {
	e := &providers.Error{Op: "connect to", Subject: "docker at " + address, Err: plain(err)}
	e.Code, e.Hint = classify(err)
	switch {
	case says(err, "permission denied") && !strings.Contains(address, "://"):
		e.Code, e.Hint = providers.Denied, "sudo usermod -aG docker $USER, then log in again"
	case strings.HasPrefix(address, "ssh://"):
		e.Code, e.Hint = providers.Unavailable, "see whether this works: ssh "+strings.TrimPrefix(address, "ssh://")+" docker version"
	case !strings.Contains(address, "://") && absent(address):
		e.Code, e.Hint = providers.Unavailable, "install docker: sudo apt-get install docker.io; where it is, "+startDaemon
	case e.Code == providers.Internal:
		e.Code, e.Hint = providers.Unavailable, startDaemon
	}
	own := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "docker.sock") // where a docker without root listens
	if "unix://"+address == defaultHost && (absent(address) || e.Code == providers.Denied) && filepath.IsAbs(own) && !absent(own) {
		e.Hint = "your own docker listens elsewhere: export DOCKER_HOST=unix://" + own
	}
	return e
}
