// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/providers"
)

// StartMachine follows the contract.
func (p *provider) StartMachine(ctx context.Context, id string) (providers.Machine, error) {
	m, err := func() (providers.Machine, error) {
		r, unlock, err := p.hold(ctx, "start_machine", id)
		if err != nil {
			return providers.Machine{}, err
		}
		defer unlock()
		if r, err = p.bring(ctx, r); err != nil {
			return providers.Machine{}, err
		}
		return p.describe(r)
	}()
	return m, wrap("start", "machine "+id, err)
}

// StopMachine follows the contract.
func (p *provider) StopMachine(ctx context.Context, id string) error {
	err := func() error {
		r, unlock, err := p.hold(ctx, "stop_machine", id)
		if err != nil {
			return err
		}
		defer unlock()
		return endProcess(p.world.folder(r))
	}()
	return wrap("stop", "machine "+id, err)
}

// hold locks the complete machine of an ID.
func (p *provider) hold(ctx context.Context, op, id string) (record, func(), error) {
	if err := p.begin(ctx, op); err != nil {
		return record{}, nil, err
	}
	env, name, ok := parseID(id)
	if !ok {
		return record{}, nil, fail(providers.NotFound, "no machine has this ID")
	}
	unlock, err := p.world.lock(ctx, "machine "+env+"/"+name)
	if err != nil {
		return record{}, nil, err
	}
	r, err := p.world.readRecord(env, name)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && r.ID != id:
		err = fail(providers.NotFound, "no machine has this ID")
	case err == nil && !r.Complete:
		err = fail(providers.Conflict, "it is half-made")
	}
	if err != nil {
		unlock()
		return record{}, nil, err
	}
	return r, unlock, nil
}

// bring starts r where it does not run, lets it go on where it is suspended, or waits until what runs has r's generation in force.
func (p *provider) bring(ctx context.Context, r record) (record, error) {
	s, running, err := readStatus(p.world.folder(r))
	if err != nil {
		return r, err
	}
	if !running || !s.Ready {
		return p.start(ctx, r)
	}
	if r.Suspended {
		if r, err = p.suspend(ctx, r, false); err != nil {
			return r, err
		}
	}
	if s, err = p.await(ctx, r); err != nil {
		return r, err
	}
	return p.note(r, s)
}

// await waits until the machine's process has r's generation in force.
func (p *provider) await(ctx context.Context, r record) (status, error) {
	for deadline := time.Now().Add(spawnLimit); ; {
		s, running, err := readStatus(p.world.folder(r))
		switch {
		case err != nil:
			return s, err
		case !running:
			return s, fail(providers.Unavailable, "its process ended")
		case s.Generation >= r.Generation && s.Failure != nil:
			return s, fail(s.Failure.Code, "%s", s.Failure.Message)
		case s.Generation >= r.Generation:
			return s, nil
		case time.Now().After(deadline):
			return s, fail(providers.Unavailable, "its process does not answer")
		}
		s.signal(syscall.SIGHUP)
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return s, err
		}
	}
}

// start runs a machine's processes and notes the ports they chose. After failure none of them is left.
func (p *provider) start(ctx context.Context, r record) (record, error) {
	folder := p.world.folder(r)
	if err := endProcess(folder); err != nil { // one that was still starting when its starter died
		return r, err
	}
	if r.Suspended { // what it had in memory is lost with its process
		r.Suspended = false
		if err := p.world.replace(r); err != nil {
			return r, err
		}
	}
	network, err := p.ensureNetwork(ctx, r.Env)
	if err != nil {
		return r, err
	}
	p.log.Debug("starting", "machine", r.ID)
	enter := []string{"nsenter", "-t", strconv.Itoa(network.PID), "-U", "--preserve-credentials", "--"}
	err = spawn(enter, roleMachine, string(p.world), r.ID)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return r, undone(err, endProcess(folder))
	}
	s, running, err := readStatus(folder)
	if err == nil && !running {
		err = fail(providers.Unavailable, "it ended right after its start")
	}
	if err != nil {
		return r, err
	}
	return p.note(r, s)
}

// note writes down the ports a running machine has.
func (p *provider) note(r record, s status) (record, error) {
	if r.SSHPort == s.SSHPort && slices.Equal(r.Publish, s.Publish) {
		return r, nil
	}
	r.SSHPort, r.Publish = s.SSHPort, s.Publish
	return r, p.world.replace(r)
}

// notify tells a running machine that its record changed.
func (p *provider) notify(r record) error {
	s, running, err := readStatus(p.world.folder(r))
	if running {
		s.signal(syscall.SIGHUP)
	}
	return err
}
