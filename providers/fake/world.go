// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/providers"
)

// world is the directory:
//
//	lock                          byte ranges of it are the locks
//	images/KEY.json               an image
//	failed/OP.N                   the Nth ordered failure of OP happened
//	envs/ENV/network/             the environment's network: lock, status.json
//	envs/ENV/machines/NAME.json   a machine's record: it exists from the moment this file does until it is gone
//	envs/ENV/machines/NAME@NONCE/ its belongings: root (the disk), lock, status.json, console.log, freeze, shims
//	envs/ENV/data/MACHINE@DISK/   a data disk: disk.json, content
//	     ... /snapshots/NAME/     a snapshot of it: snapshot.json, content
type world string

func (w world) env(env string) string          { return filepath.Join(string(w), "envs", env) }
func (w world) network(env string) string      { return filepath.Join(w.env(env), "network") }
func (w world) machines(env string) string     { return filepath.Join(w.env(env), "machines") }
func (w world) record(env, name string) string { return filepath.Join(w.machines(env), name+".json") }
func (w world) folder(r record) string         { return filepath.Join(w.machines(r.Env), path.Base(r.ID)) }
func (w world) images() string                 { return filepath.Join(string(w), "images") }
func (w world) failed(op string, n int) string {
	return filepath.Join(string(w), "failed", fmt.Sprintf("%s.%d", op, n))
}

// record is a machine as it is written down. Nothing in it is secret: the seed's key goes to the machine's disk only.
type record struct {
	ID         string           `json:"id"`
	Env        string           `json:"env"`
	Name       string           `json:"name"`
	Complete   bool             `json:"complete"` // false: PutMachine has not come to its end
	CPUs       int              `json:"cpus"`
	Memory     int64            `json:"memory"`
	Disk       int64            `json:"disk"`
	Data       []providers.Data `json:"data,omitempty"`
	ImageKey   string           `json:"image_key"`
	Digest     string           `json:"digest"` // Spec.Digest
	Labels     providers.Labels `json:"labels"`
	Created    time.Time        `json:"created"`
	Slot       int              `json:"slot"` // address 10.201.0.SLOT
	SSHPort    int              `json:"ssh_port,omitempty"`
	Publish    []providers.Port `json:"publish,omitempty"` // with HostPort once chosen
	Suspended  bool             `json:"suspended,omitempty"`
	Generation int              `json:"generation"` // raised with each change of Publish and Suspended

	HTTP         []int         `json:"http,omitempty"`
	Boot         time.Duration `json:"boot,omitempty"`
	SilentSSH    bool          `json:"silent_ssh,omitempty"`
	WrongHostKey bool          `json:"wrong_host_key,omitempty"`
}

func (r record) address() string { return fmt.Sprintf("10.201.0.%d", r.Slot) }

// readRecord returns fs.ErrNotExist where there is no such machine.
func (w world) readRecord(env, name string) (record, error) {
	var r record
	err := readJSON(w.record(env, name), &r)
	return r, err
}

// create writes a record that must not exist yet; fs.ErrExist where it does.
func (w world) create(r record) error {
	if err := os.MkdirAll(w.machines(r.Env), 0o700); err != nil {
		return err
	}
	temp, err := writeTemp(w.record(r.Env, r.Name), r)
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	return os.Link(temp, w.record(r.Env, r.Name))
}

func (w world) replace(r record) error { return writeJSON(w.record(r.Env, r.Name), r) }

// records lists an environment's machines by name.
func (w world) records(env string) ([]record, error) {
	entries, err := os.ReadDir(w.machines(env))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []record
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || strings.HasPrefix(name, ".") {
			continue
		}
		r, err := w.readRecord(env, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b record) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// lock holds the named part of the world until unlock is called or this process ends. It waits as long as ctx allows. The lock is a byte range
// of one file, so that nothing is left behind; two names may share a range and then wait for each other.
func (w world) lock(ctx context.Context, name string) (unlock func(), err error) {
	if err := os.MkdirAll(string(w), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(string(w), "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	span := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(h.Sum64() & (math.MaxInt64 >> 1)), Len: 1}
	for {
		err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &span)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("cannot lock %s: %w", f.Name(), err)
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	return nil
}

// writeTemp writes v beside path under a name that no reader takes for a record.
func writeTemp(path string, v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// writeJSON replaces path in one step.
func writeJSON(path string, v any) error {
	temp, err := writeTemp(path, v)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		_ = os.Remove(temp)
		return err
	}
	return nil
}
