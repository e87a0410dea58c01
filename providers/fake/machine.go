// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/evenkeel/evenkeel/providers"
)

const (
	undoLimit = 60 * time.Second
	lastSlot  = 254
)

// Check reports what PutMachine would refuse.
func (p *provider) Check(ctx context.Context, spec providers.Spec) ([]providers.Problem, error) {
	if err := p.begin(ctx, "check"); err != nil {
		return nil, wrap("check", "machine "+spec.Name, err)
	}
	if err := refuse(spec); err != nil {
		return []providers.Problem{{Severity: "error", Path: "machines." + spec.Name, Message: err.Error()}}, nil
	}
	name, err := p.world.unfit(spec)
	if e, ok := errors.AsType[*providers.Error](err); ok {
		return []providers.Problem{{Severity: "error", Path: "machines." + spec.Name + ".data." + name, Message: e.Err.Error(), Hint: e.Hint}}, nil
	}
	return nil, wrap("check", "machine "+spec.Name, err)
}

func refuse(spec providers.Spec) error {
	if err := spec.Validate(); err != nil {
		return err
	}
	switch {
	case spec.CPUs > 512:
		return fmt.Errorf("cpus is %d, at most 512 are allowed", spec.CPUs)
	case spec.Memory > 16<<40:
		return fmt.Errorf("memory is %d bytes, at most 16 TiB are allowed", spec.Memory)
	case spec.Disk > 1<<50:
		return fmt.Errorf("disk is %d bytes, at most 1 PiB is allowed", spec.Disk)
	}
	for _, port := range spec.Publish {
		switch {
		case port.Port < 1 || port.Port > 65535 || port.HostPort < 0 || port.HostPort > 65535:
			return fmt.Errorf("cannot publish port %d on %d: a port is 1 to 65535", port.Port, port.HostPort)
		case port.Proto != "tcp" && port.Proto != "udp":
			return fmt.Errorf("cannot publish port %d of protocol %q: allowed are tcp and udp", port.Port, port.Proto)
		}
	}
	return nil
}

// PutMachine follows the contract. The record is the machine: it is made first, as one half-made, and completed last.
func (p *provider) PutMachine(ctx context.Context, spec providers.Spec, img providers.ImageRef, progress providers.Progress) (providers.Machine, error) {
	m, err := p.putMachine(ctx, spec, img, progress)
	return m, wrap("create", "machine "+spec.Name, err)
}

func (p *provider) putMachine(ctx context.Context, spec providers.Spec, img providers.ImageRef, progress providers.Progress) (_ providers.Machine, err error) {
	none := providers.Machine{}
	if err := refuse(spec); err != nil {
		return none, fail(providers.Invalid, "%w", err)
	}
	half := time.Duration(p.config.Latency["put_machine"]) / 2
	if err := sleep(ctx, half); err != nil {
		return none, err
	}
	unlock, err := p.world.lock(ctx, "machine "+spec.Env+"/"+spec.Name)
	if err != nil {
		return none, err
	}
	defer unlock()
	if _, err := p.world.unfit(spec); err != nil {
		return none, err
	}

	old, err := p.world.readRecord(spec.Env, spec.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return none, err
	case old.Labels[providers.LabelProject] != spec.Labels[providers.LabelProject]:
		return none, fail(providers.Conflict, "a machine of project %q has this name in %s", old.Labels[providers.LabelProject], spec.Env)
	case old.Complete && old.Digest != spec.Digest():
		return none, fail(providers.Conflict, "it exists with another specification (%.12s, not %.12s)", old.Digest, spec.Digest())
	case old.Complete:
		return p.bringUp(ctx, old, spec.Publish)
	default:
		if err := p.remove(ctx, old); err != nil {
			return none, err
		}
	}

	progress.Emit(providers.Event{Subject: spec.Name, Stage: "create"})
	r, err := p.enter(ctx, spec, img)
	if err != nil {
		return none, err
	}
	var made []providers.DataRef
	defer func() {
		if err != nil {
			err = undone(err, p.undo(ctx, r, made))
		}
	}()
	if made, err = p.world.putDisks(spec); err != nil {
		return none, err
	}
	if err := errors.Join(p.failure("put_machine"), sleep(ctx, half)); err != nil {
		return none, err
	}
	if err := layDisk(p.world.folder(r), spec); err != nil {
		return none, err
	}
	progress.Emit(providers.Event{Subject: spec.Name, Stage: "boot"})
	if r, err = p.start(ctx, r); err != nil {
		return none, err
	}
	r.Complete = true
	if err := p.world.replace(r); err != nil {
		return none, err
	}
	return p.describe(r)
}

// enter makes the record of a machine that does not exist, with an address of its own. No image in use can be deleted meanwhile.
func (p *provider) enter(ctx context.Context, spec providers.Spec, img providers.ImageRef) (record, error) {
	r := record{ID: spec.Env + "/" + spec.Name + "@" + nonce(), Env: spec.Env, Name: spec.Name, CPUs: spec.CPUs, Memory: spec.Memory, Disk: spec.Disk, Data: spec.Data,
		ImageKey: spec.ImageKey, Digest: spec.Digest(), Labels: spec.Labels, Created: time.Now().UTC(), Publish: sorted(spec.Publish), HTTP: p.config.HTTP,
		Boot: time.Duration(p.config.Boot), SilentSSH: p.config.SilentSSH, WrongHostKey: p.config.WrongHostKey}
	unlockImages, err := p.world.lock(ctx, "images")
	if err != nil {
		return r, err
	}
	defer unlockImages()
	if _, err := p.world.readImage(string(img)); err != nil {
		return r, err
	}
	unlock, err := p.world.lock(ctx, "env "+spec.Env)
	if err != nil {
		return r, err
	}
	defer unlock()
	if r.Slot, err = p.freeSlot(spec.Env); err != nil {
		return r, err
	}
	return r, p.world.create(r)
}

func (p *provider) freeSlot(env string) (int, error) {
	others, err := p.world.records(env)
	if err != nil {
		return 0, err
	}
	for slot := 2; slot <= lastSlot; slot++ {
		if !slices.ContainsFunc(others, func(o record) bool { return o.Slot == slot }) {
			return slot, nil
		}
	}
	return 0, fail(providers.Exhausted, "environment %s has %d machines; its network holds no more", env, len(others))
}

// bringUp makes a complete machine run and publish what is wanted.
func (p *provider) bringUp(ctx context.Context, r record, publish []providers.Port) (providers.Machine, error) {
	if err := p.failure("put_machine"); err != nil {
		return providers.Machine{}, err
	}
	old := r
	r.Publish = keepHostPorts(sorted(publish), old.Publish)
	changed := !slices.Equal(r.Publish, old.Publish)
	if changed {
		r.Generation++
		if err := p.world.replace(r); err != nil {
			return providers.Machine{}, err
		}
	}
	r, err := p.bring(ctx, r)
	if err != nil && changed {
		r.Publish, r.Generation = old.Publish, r.Generation+1
		err = undone(err, errors.Join(p.world.replace(r), p.notify(r)))
	}
	if err != nil {
		return providers.Machine{}, err
	}
	return p.describe(r)
}

// describe is the machine as anybody sees it.
func (p *provider) describe(r record) (providers.Machine, error) {
	m := providers.Machine{ID: r.ID, Env: r.Env, Name: r.Name, State: providers.Stopped, Address: r.address(), Ports: r.Publish, Labels: r.Labels, Created: r.Created}
	for _, d := range r.Data {
		m.Data = append(m.Data, providers.Attached{Name: d.Name}) // mounted from outside
	}
	s, running, err := readStatus(p.world.folder(r))
	switch {
	case err != nil:
		return m, err
	case !r.Complete:
		m.State = providers.Partial
	case running && s.Suspended:
		m.State = providers.Suspended
	case running && s.Ready:
		m.State, m.SSH, m.Ports = providers.Running, net.JoinHostPort("127.0.0.1", strconv.Itoa(s.SSHPort)), s.Publish
	}
	return m, nil
}

var idForm = regexp.MustCompile(`^([a-z0-9.-]+)/([a-z0-9-]+)@[0-9a-f]{8}$`)

func parseID(id string) (env, name string, ok bool) {
	parts := idForm.FindStringSubmatch(id)
	if parts == nil || (providers.Spec{Env: parts[1], Name: parts[2], CPUs: 1, Memory: 1 << 30}).Validate() != nil {
		return "", "", false
	}
	return parts[1], parts[2], true
}

// nonce tells a machine from an earlier one of its name.
func nonce() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func sorted(ports []providers.Port) []providers.Port {
	list := slices.Clone(ports)
	slices.SortFunc(list, func(a, b providers.Port) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Proto, b.Proto))
	})
	return list
}

// keepHostPorts fills the free choices of wanted with what is published already.
func keepHostPorts(wanted, present []providers.Port) []providers.Port {
	for i, w := range wanted {
		for _, have := range present {
			if w.HostPort == 0 && have.Port == w.Port && have.Proto == w.Proto {
				wanted[i].HostPort = have.HostPort
			}
		}
	}
	return wanted
}
