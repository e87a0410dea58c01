// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/providers"
)

// Scratch is a folder of this user's for what the users of a copy read, such as its ssh_config. Close it: then it is gone. One that a killed process left goes with the
// Sweep of a later one, once its copy has expired.
type Scratch struct {
	Dir  string
	lock *os.File
}

// of says, in each of them, what it is for.
type of struct {
	Project string    `json:"project"`
	Env     string    `json:"env"`
	Expires time.Time `json:"expires"`
	// With what its ssh_config is written, anew where a machine was made anew.
	Identity string `json:"identity,omitempty"` // absolute
	Evenkeel string `json:"evenkeel,omitempty"`
}

// recordName is the file in a Scratch that holds an of, and that its process has locked.
const recordName = "copy.json"

// scratchYoung is how old a folder without a record has to be before nobody can be about to write it.
const scratchYoung = time.Hour

// SSHConfigName is the file in a Scratch for `ssh -F`: machines by name.
const SSHConfigName = "ssh_config"

// NewScratch makes one for the environment of s, which is a copy with a TTL, with an ssh_config that leads to machines: WriteSSHConfig, which has said and evenkeel.
func (u User) NewScratch(s *Session, said, evenkeel string, machines []providers.Machine) (_ *Scratch, err error) {
	dir, err := u.scratches()
	if err != nil {
		return nil, err
	}
	named, _, err := u.KeyFiles(said)
	if err != nil {
		return nil, err
	}
	x := &Scratch{}
	if x.Dir, err = os.MkdirTemp(dir, s.Plan.Env+"."); err != nil {
		return nil, fmt.Errorf("cannot make a folder for what is read of %s: %w", s.Plan.Env, err)
	}
	text, err := json.Marshal(of{s.Plan.Project, s.Plan.Env, time.Now().Add(s.Plan.TTL).UTC(), named, evenkeel})
	if err == nil {
		x.lock, err = os.OpenFile(filepath.Join(x.Dir, recordName), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err == nil {
		err = syscall.Flock(int(x.lock.Fd()), syscall.LOCK_EX)
	}
	if err == nil {
		_, err = x.lock.Write(text)
	}
	if err != nil {
		x.Close()
		return nil, fmt.Errorf("cannot write what %s is for: %w", x.Dir, err)
	}
	if err := u.WriteSSHConfig(s, x.Dir, named, evenkeel, machines); err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

// RefreshScratches lets the ssh_config of each Scratch of the environment, whoever has it, lead to its machines as they are now: one that was rebuilt has another authority.
func (u User) RefreshScratches(ctx context.Context, s *Session) error {
	records, err := u.records(s.Plan.Env)
	if err != nil || len(records) == 0 {
		return err
	}
	machines, err := s.Provider.ListMachines(ctx, s.Plan.Env)
	if err != nil {
		return err
	}
	for i := range machines {
		machines[i].Name = machines[i].Role()
	}
	var errs []error
	for _, file := range records {
		var record of
		if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, &record) == nil { // else its process has not come to its ssh_config, or is gone
			errs = append(errs, u.WriteSSHConfig(s, filepath.Dir(file), record.Identity, record.Evenkeel, machines))
		}
	}
	return errors.Join(errs...)
}

// records are those of an environment's scratches.
func (u User) records(env string) ([]string, error) {
	dir, err := u.scratches()
	if err != nil {
		return nil, err
	}
	all, err := filepath.Glob(filepath.Join(dir, "*", recordName))
	return slices.DeleteFunc(all, func(record string) bool {
		name := filepath.Base(filepath.Dir(record))
		return strings.TrimSuffix(name, filepath.Ext(name)) != env
	}), err
}

// Keep leaves the folder to its copy's end: somebody goes on with both.
func (x *Scratch) Keep() {
	if x.lock != nil {
		_ = x.lock.Close() // read only from now on
	}
}

// Close removes the folder.
func (x *Scratch) Close() {
	x.Keep()
	_ = os.RemoveAll(x.Dir) // else Sweep does
}

func (u User) scratches() (string, error) {
	state, err := u.StateDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(state, "copies")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cannot make folder %s: %w", dir, err)
	}
	return dir, nil
}

// Sweep removes what dead processes of this user left on this computer for copies that have expired: their Scratch, and what Forget removes. Several at once are fine.
func (u User) Sweep(now time.Time) error {
	dir, err := u.scratches()
	if err != nil {
		return err
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("cannot look for what dead runs left: %w", err)
	}
	var errs []error
	for _, d := range list {
		errs = append(errs, u.sweepOne(filepath.Join(dir, d.Name()), now))
	}
	return errors.Join(errs...)
}

func (u User) sweepOne(dir string, now time.Time) error {
	f, err := os.Open(filepath.Join(dir, recordName))
	if err != nil {
		info, err := os.Stat(dir)
		if err != nil || now.Sub(info.ModTime()) < scratchYoung {
			return nil // gone meanwhile, or being made
		}
		return os.RemoveAll(dir)
	}
	defer f.Close()
	var record of
	if err := json.NewDecoder(f).Decode(&record); err != nil {
		record.Expires = time.Time{} // half-written: its process died, or is about to go on
		if info, err := f.Stat(); err != nil || now.Sub(info.ModTime()) < scratchYoung {
			return nil
		}
	}
	if now.Before(record.Expires) || syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return nil
	}
	return errors.Join(u.Forget(record.Project, record.Env), os.RemoveAll(dir))
}

// Forget removes what this user keeps of an environment that is gone: its certificate authority, whom OpenSSH believes there, what was synced with it, and each Scratch whose process has ended. Names that are
// no labels, such as other people may have written, have nothing here.
func (u User) Forget(project, env string) error {
	if project == "" || env == "" || strings.ContainsAny(project+env, "/\x00") {
		return nil
	}
	state, err := u.StateDir()
	if err != nil {
		return err
	}
	errs := []error{providers.Forget(tlsDir(state, project, env), state, env)}
	if err := os.Remove(filepath.Join(state, "ssh", env+".known_hosts")); !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	records, err := u.records(env)
	errs = append(errs, err)
	for _, record := range records {
		if unheld(record) {
			errs = append(errs, os.RemoveAll(filepath.Dir(record)))
		}
	}
	return errors.Join(errs...)
}

// unheld reports whether nobody has a Scratch's record locked.
func unheld(record string) bool {
	f, err := os.Open(record)
	if err != nil {
		return false // gone meanwhile
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
