// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/providers"
)

// SuspendMachine follows the contract but for one thing: what is kept does not outlive this computer's restart, or the end of the machine's process.
func (p *provider) SuspendMachine(ctx context.Context, id string) error {
	err := func() error {
		r, unlock, err := p.hold(ctx, "suspend_machine", id)
		if err != nil {
			return err
		}
		defer unlock()
		s, running, err := readStatus(p.world.folder(r))
		switch {
		case err != nil:
			return err
		case !running || !s.Ready:
			return fail(providers.Conflict, "it is stopped")
		case s.Suspended:
			return nil
		}
		_, err = p.suspend(ctx, r, true)
		return err
	}()
	return wrap("suspend", "machine "+id, err)
}

// ResumeMachine follows the contract.
func (p *provider) ResumeMachine(ctx context.Context, id string) (providers.Machine, error) {
	m, err := func() (providers.Machine, error) {
		r, unlock, err := p.hold(ctx, "resume_machine", id)
		if err != nil {
			return providers.Machine{}, err
		}
		defer unlock()
		s, running, err := readStatus(p.world.folder(r))
		switch {
		case err != nil:
			return providers.Machine{}, err
		case !running || !s.Ready:
			return providers.Machine{}, fail(providers.Conflict, "it is stopped")
		}
		if r, err = p.bring(ctx, r); err != nil {
			return providers.Machine{}, err
		}
		return p.describe(r)
	}()
	return m, wrap("resume", "machine "+id, err)
}

// suspend makes a running machine still, or makes it go on. After failure the record is as it was.
func (p *provider) suspend(ctx context.Context, r record, still bool) (record, error) {
	was := r.Suspended
	r.Suspended = still
	r.Generation++
	if err := p.world.replace(r); err != nil {
		return r, err
	}
	_, err := p.await(ctx, r)
	if err != nil {
		r.Suspended, r.Generation = was, r.Generation+1
		err = undone(err, errors.Join(p.world.replace(r), p.notify(r)))
	}
	return r, err
}

// find is a machine by name and what it says of itself; running is false where there is none.
func (p *provider) find(env, name string) (r record, s status, running bool, err error) {
	r, err = p.world.readRecord(env, name)
	if errors.Is(err, fs.ErrNotExist) {
		return r, s, false, nil
	}
	if err == nil {
		s, running, err = readStatus(p.world.folder(r))
	}
	return r, s, running, err
}

func freezeFile(folder string) string { return filepath.Join(folder, "freeze") }

// freeze makes a running machine still until thaw is called or this process ends, in whatever manner: the machine's process waits for the lock that
// is held here. Its machine must be locked.
func (p *provider) freeze(ctx context.Context, env, name string) (thaw func(), err error) {
	r, s, running, err := p.find(env, name)
	if err != nil || !running || s.Suspended {
		return func() {}, err
	}
	folder := p.world.folder(r)
	f, err := os.OpenFile(freezeFile(folder), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	thaw = func() { _ = f.Close() }
	word := nonce() // not to take the stillness of an earlier call, which may be about to end, for ours
	for deadline := time.Now().Add(spawnLimit); ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) // the machine's process may look at this very moment
		if err == nil {
			if err = os.WriteFile(freezeFile(folder), []byte(word), 0o600); err == nil {
				s.signal(syscall.SIGHUP)
			}
		}
		if err == nil || errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
			err = sleep(ctx, 5*time.Millisecond)
		}
		if err == nil {
			s, running, err = readStatus(folder)
		}
		if err == nil && running && s.Frozen != word && time.Now().After(deadline) {
			err = fail(providers.Unavailable, "its machine's process does not answer")
		}
		if err != nil {
			thaw()
			return nil, err
		}
		if !running || s.Frozen == word {
			return thaw, nil
		}
	}
}
