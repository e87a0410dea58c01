// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/session"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// Env is an environment that a test has. Its methods are safe for concurrent use; those that fail end the test that it was given to.
type Env struct {
	t  testing.TB
	of *place
}

// place is an environment that was brought up.
type place struct {
	settings
	user     session.User
	provider string           // "": the plan failed
	s        *session.Session // opened to look at it and to log in
	machines []providers.Machine
	recorder session.Recorder
	why      error            // of a bring-up that failed
	scratch  *session.Scratch // with ssh_config
	config   string
	reach    *session.Reach // to machines that only their provider reaches

	mu      sync.Mutex
	clients map[string]*ssh.Client
}

// Up brings up a copy of the environment that file defines, for t alone, and returns when every machine is healthy; it is removed, with its data, when t and its
// subtests have ended. Where it cannot be brought up t ends with the stage, the reason and the console's last lines. What a killed test leaves expires after the tier's
// ttl, or two hours: `evenkeel gc` removes it.
func Up(t testing.TB, file string, options ...Option) *Env {
	t.Helper()
	p := newPlace(t, options)
	t.Cleanup(func() { p.close() })
	if err := p.bringUp(t, file, ""); err != nil {
		if p.s != nil {
			p.end(t, true)
		}
		p.fail(t, err)
	}
	t.Cleanup(func() { p.end(t, t.Failed()) })
	return &Env{t, p}
}

func newPlace(t testing.TB, options []Option) *place {
	t.Helper()
	findPlugins()
	user, err := session.Here()
	if err != nil {
		t.Fatal(err)
	}
	return &place{settings: settingsOf(options), user: user, clients: map[string]*ssh.Client{}}
}

// removeTime is left of a test's time when its bring-up is given up.
const removeTime = 30 * time.Second

// bringUp makes the copy called as, "" for one that nobody has. p.s is there where something may have been made.
func (p *place) bringUp(t testing.TB, file, as string) error {
	ctx, cancel := context.WithTimeoutCause(t.Context(), p.within, fmt.Errorf("it took longer than %s", p.within))
	defer cancel()
	var takes time.Duration
	if d, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if end, ok := d.Deadline(); ok {
			var stop context.CancelFunc
			ctx, stop = context.WithDeadlineCause(ctx, end.Add(-removeTime), fmt.Errorf("the test's time is nearly over (go test -timeout): the last %s are for what is to be removed", removeTime))
			defer stop()
			takes = time.Until(end)
		}
	}
	var tell providers.Progress
	if testing.Verbose() {
		tell = told(t)
	}
	p.recorder.Start()
	if err := p.user.Sweep(time.Now()); err != nil {
		t.Logf("envtest: what dead runs left on this computer stays: %v", err)
	}
	fresh := session.Fresh{
		Load: func() (*envs.Definition, error) { return load(p.user.Path(file)) }, Tier: p.tier, As: as, Takes: takes, Locked: p.locked,
		Wrote: func(recipe, file string) { t.Logf("envtest: wrote %s, the lock of %s; commit it", file, recipe) },
	}
	_, plan, err := p.user.PlanFresh(fresh, "", session.Options{})
	if err != nil {
		return err
	}
	p.provider = plan.Provider
	s, err := p.user.OpenFresh(ctx, fresh, session.Options{Progress: p.recorder.Tell(tell)})
	if err != nil {
		return err
	}
	p.s = s
	if s.Deadline, err = p.user.BootDeadline("", ""); err != nil {
		return err
	}
	res, err := s.Up(ctx, providers.UpOptions{})
	p.recorder.Stop()
	s.Close()
	if err != nil {
		p.why = err
		return err
	}
	p.machines = res.Machines
	// Open for who logs in, and not for who changes it: a test may do that by the command.
	again, err := p.user.Reopen(ctx, s, session.Options{Identity: true})
	if err != nil {
		return err
	}
	p.s = again
	if p.reach, p.machines, err = again.Reach(ctx, p.machines); err != nil {
		return err
	}
	evenkeel, err := exec.LookPath("evenkeel")
	if err != nil {
		evenkeel = "" // machines that only it could reach are left out
	}
	if p.scratch, err = p.user.NewScratch(again, "", evenkeel, p.machines); err != nil {
		return err
	}
	p.config = filepath.Join(p.scratch.Dir, session.SSHConfigName)
	return nil
}

// told shows each stage of each machine once.
func told(t testing.TB) providers.Progress {
	var mu sync.Mutex
	last := map[string]string{}
	return func(e providers.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Stage != "" && last[e.Subject] != e.Stage {
			last[e.Subject] = e.Stage
			t.Logf("envtest: %s: %s", e.Subject, e.Stage)
		}
	}
}

func load(file string) (*envs.Definition, error) {
	def, problems, err := envs.Load(file)
	if err == nil {
		err = problems.Err()
	}
	return def, err
}

// fail ends t with err in full, or skips it where its provider cannot be had and need not be.
func (p *place) fail(t testing.TB, err error) {
	t.Helper()
	text := explain(err)
	missing := false
	if e, ok := errors.AsType[*providers.Error](err); ok && p.s == nil && p.provider != "" {
		missing = slices.Contains([]providers.Code{providers.NotFound, providers.Unavailable, providers.Unsupported, providers.Denied}, e.Code)
		if e.Code == providers.NotFound && e.Hint == "" {
			text += "\n  hint: plugins are found beside an evenkeel on PATH, and in the folders of EVENKEEL_PLUGIN_PATH"
		}
	}
	if p.optional && missing && !slices.Contains(strings.Split(os.Getenv("EVENKEEL_TEST_REQUIRE"), ","), p.provider) {
		t.Skipf("envtest: provider %s cannot be had: %s", p.provider, text)
	}
	t.Fatalf("envtest: %s", text)
}

// end keeps what is to be kept of the environment and removes it.
func (p *place) end(t testing.TB, failed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Minute)
	defer cancel()
	p.forget()
	s, err := p.user.Reopen(ctx, p.s, session.Options{Change: true, Identity: true})
	if err != nil {
		t.Errorf("envtest: environment %s could not be removed; it expires: %s", p.s.Plan.Env, explain(err))
		return
	}
	defer s.Close()
	p.lastWords(ctx, t, s, failed)
	if failed && p.keep {
		t.Logf("envtest: %s is kept until it expires: evenkeel status%s, then evenkeel down, likewise", s.Plan.Env, p.found())
		return
	}
	if _, err := s.Down(ctx, false); err != nil {
		t.Errorf("envtest: environment %s could not be removed; it expires: %s", s.Plan.Env, explain(err))
		return
	}
	if err := p.user.Forget(s.Plan.Project, s.Plan.Env); err != nil {
		t.Errorf("envtest: what is kept of environment %s on this computer is not removed: %v", s.Plan.Env, err)
	}
}

// found are the options by which the command finds the environment.
func (p *place) found() string {
	return fmt.Sprintf(" -f %s --tier %s --as %s", ssh.Quote(p.s.Definition.File), p.s.Plan.Tier, p.s.Copy())
}

// forget closes connections.
func (p *place) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, client := range p.clients {
		_ = client.Close() // nothing is in flight
		delete(p.clients, name)
	}
}

func (p *place) close() {
	p.forget()
	if p.reach != nil {
		p.reach.Close()
	}
	if p.s != nil {
		p.s.Close()
	}
	if p.scratch != nil {
		p.scratch.Close()
	}
}

// ID is the environment's: shop.ci.run-abcdef.
func (e *Env) ID() string { return e.of.s.Plan.Env }

// SSHConfig is a file for `ssh -F`: machines by name. It is there as long as the test.
func (e *Env) SSHConfig() string { return e.of.config }

// Variables are those that `evenkeel run` gives its command, as NAME=VALUE, for programs that a test starts.
func (e *Env) Variables() []string {
	return append(e.of.s.Variables(e.of.machines), "EVENKEEL_SSH_CONFIG="+e.of.config)
}

// Machines are all of the environment, by name.
func (e *Env) Machines() []*Machine {
	var list []*Machine
	for _, m := range e.of.machines {
		list = append(list, &Machine{e, m})
	}
	return list
}

// Machine is the machine of that name, or of that kind where it has only one; the test ends where there is none.
func (e *Env) Machine(name string) *Machine {
	e.t.Helper()
	var found []providers.Machine
	var names []string
	for _, m := range e.of.machines {
		names = append(names, m.Name)
		if m.Name == name {
			return &Machine{e, m}
		}
		if i := slices.IndexFunc(e.of.s.Plan.Machines, func(p envs.Machine) bool { return p.Name == m.Name }); i >= 0 && e.of.s.Plan.Machines[i].Kind == name {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		e.t.Fatalf("envtest: there is no machine %q in %s; there are %s", name, e.ID(), strings.Join(names, ", "))
	}
	return &Machine{e, found[0]}
}

// keepFile writes one artifact, for this user only.
func keepFile(dir, name string, text []byte) error {
	path := filepath.Join(dir, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
