// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// place is an environment with its provider opened: what most verbs work on. Close it.
type place struct {
	*providers.Core
	def      *envs.Definition
	launched *plugin.Launched
	lock     *envLock
}

// placeOptions say how a verb works on an environment.
type placeOptions struct {
	change   bool   // it changes the environment: two of us must not at once
	locked   bool   // a missing image lock is a problem
	images   bool   // it makes machines: missing locks are written, missing images built
	undoes   bool   // interrupted, it takes back what it did
	replaces bool   // but for machines it has removed
	identity bool   // it logs in to machines
	removes  string // what it may do that a protected environment asks its ID for, "replace machines": "" for nothing
	secrets  need
	progress providers.Progress
}

// open loads the definition, plans the tier and opens its provider.
func (c *call) open(ctx context.Context, o placeOptions) (*place, error) {
	def, plan, err := c.plan(o.locked)
	if err != nil {
		return nil, err
	}
	return c.openPlan(ctx, def, plan, o)
}

func (c *call) openPlan(ctx context.Context, def *envs.Definition, plan *envs.Plan, o placeOptions) (_ *place, err error) {
	p := &place{def: def}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if o.change && envs.ReadOnly(plan.Provider) { // before a secret is read, or a lock written
		return nil, readOnly(plan)
	}
	values, err := c.secrets(ctx, def, plan, o.secrets)
	if err != nil {
		return nil, err
	}
	var hold *os.File
	if o.change {
		if p.lock, err = c.lockEnv(ctx, plan.Env); err != nil {
			return nil, err
		}
		hold = p.lock.file
	}
	log := c.log()
	if p.launched, err = plugin.Launch(ctx, plan.Provider, hold, log); err != nil {
		return nil, err
	}
	if err := checkLocal(def, plan, p.launched.Traits.Local); err != nil {
		return nil, err
	}
	if o.change && p.launched.Traits.ReadOnly {
		return nil, readOnly(plan)
	}
	config, err := c.placeConfig(ctx, def, plan)
	if err != nil {
		return nil, err
	}
	provider, err := p.launched.Open(ctx, config, log)
	if err != nil {
		return nil, err
	}
	p.Core = &providers.Core{
		Plan: plan, Plugin: p.launched.Plugin, Provider: providers.Retry(provider), Owner: c.owner(), Progress: o.progress, Log: log,
		Secrets: values,
	}
	if p.CodeDir, err = c.stateDir(); err != nil {
		return nil, err
	}
	p.TLSDir = filepath.Join(p.CodeDir, "tls", plan.Project+"-"+plan.Env)
	if o.identity {
		if p.Identity, err = c.identity(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// readOnly is the refusal of verbs that change something where machines are only read.
func readOnly(plan *envs.Plan) error {
	return providers.ReadOnlyError(plan.Provider, "change", "environment "+plan.Env)
}

func (p *place) close() {
	if p.Core != nil {
		_ = p.Provider.Close() // the process ends next
	}
	if p.launched != nil {
		_ = p.launched.Close() // its work is done, or its failure told
	}
	if p.lock != nil {
		p.lock.release()
	}
}

// identity is who we are to machines.
func (c *call) identity() (*ssh.Identity, error) {
	file, generated, err := c.keyFiles()
	if err != nil {
		return nil, err
	}
	return ssh.LoadIdentity(file, generated)
}

// keyFiles are where our private keys lie: one that was named, "" for none, and the one made for this user.
func (c *call) keyFiles() (named, generated string, err error) {
	named = c.flag.String("identity")
	if named == "" {
		named = c.getenv("EVENKEEL_SSH_KEY_FILE")
	}
	if named != "" {
		named = c.path(named)
	}
	generated, err = c.generatedKey()
	return named, generated, err
}

// generatedKey is where the key made for this user lies.
func (a *App) generatedKey() (string, error) {
	state, err := a.stateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(state, "ssh", "id_ed25519"), nil
}

// owner is user@host, for the labels.
func (a *App) owner() string {
	name := a.getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return name + "@" + host
}

// deadline is how long a machine may take to its first answer: --within, else $EVENKEEL_BOOT_DEADLINE, else the core's default.
func (c *call) deadline() (time.Duration, error) {
	text, from := c.flag.String("within"), "--within"
	if text == "" {
		text, from = c.getenv("EVENKEEL_BOOT_DEADLINE"), "EVENKEEL_BOOT_DEADLINE"
	}
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, usagef("%s: got %q; allowed is a time like 90s or 10m", from, text)
	}
	return d, nil
}

// machine finds the machine that word names: itself, or its kind where that has only one.
func (p *place) machine(ctx context.Context, word string) (providers.Machine, error) {
	list, err := p.Status(ctx, false)
	if err != nil {
		return providers.Machine{}, err
	}
	var found []providers.Status
	for _, s := range list {
		if s.Name == word {
			found = []providers.Status{s}
			break
		}
		if s.Planned && s.Kind == word || word == "" {
			found = append(found, s)
		}
	}
	switch {
	case len(found) == 0:
		return providers.Machine{}, usagef("cannot find machine %q: environment %s has %s", word, p.Plan.Env, names(list))
	case len(found) > 1:
		return providers.Machine{}, usagef("cannot tell which machine is meant: environment %s has %s", p.Plan.Env, names(found))
	case found[0].State == "" && p.Plugin.Traits.ReadOnly:
		return providers.Machine{}, usagef("cannot reach machine %s: provider %s does not list it", found[0].Name, p.Plan.Provider)
	case found[0].State == "":
		return providers.Machine{}, &usageError{text: fmt.Sprintf("cannot reach machine %s: it does not exist yet", found[0].Name), hint: "evenkeel up"}
	}
	return found[0].Machine, nil
}

func names(list []providers.Status) string {
	var all []string
	for _, s := range list {
		all = append(all, s.Name)
	}
	return listed(all)
}

// isCancel says that err comes from an interruption.
func isCancel(err error) bool { return errors.Is(err, context.Canceled) }
