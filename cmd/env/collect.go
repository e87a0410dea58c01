// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/parity/facts"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// collectOptions say what is read of machines.
type collectOptions struct {
	groups   []collectors.Group // nil: all
	parallel int                // machines at once; 0: facts' default
	deadline time.Duration      // of one machine; 0: facts' default
	cache    facts.Cache        // nil: every body travels
	shared   *facts.Shared      // with other calls that go on meanwhile; nil: nothing
}

// collect reads machines of an opened place (placeOptions.identity) and gives each one's snapshot to take: one call at a time, in the order in which they come. A machine
// that cannot be reached has a snapshot that says so; one that does not exist has none. machines are those of Core.Status. It returns take's error, which ends it, or ctx's.
func (c *call) collect(ctx context.Context, p *place, machines []providers.Status, o collectOptions, take func(*parity.Snapshot) error) error {
	key, err := c.maskKey()
	if err != nil {
		return err
	}
	var list []facts.Machine
	for _, m := range machines {
		if m.State == "" {
			continue
		}
		list = append(list, facts.Machine{
			Subject: subjectOf(p, m),
			Dial:    func(ctx context.Context) (*ssh.Client, error) { return dialToRead(ctx, p, m.Machine) },
		})
	}
	return facts.Collect(ctx, list, facts.Options{
		Groups: o.groups, Parallel: o.parallel, Deadline: o.deadline, Key: key, Cache: o.cache, Shared: o.shared, Parser: parserOf(thisVersion()),
		Warn: func(err error) { c.log().Warn("facts are read anew", "error", err) },
	}, take)
}

// dialToRead says with a failure what to do about it: it is shown where nobody has the error any longer.
func dialToRead(ctx context.Context, p *place, m providers.Machine) (*ssh.Client, error) {
	client, err := p.Dial(ctx, m, "")
	if errors.Is(err, ssh.ErrUntrusted) {
		err = fmt.Errorf("untrusted: %w", err)
	}
	if e, ok := errors.AsType[*providers.Error](err); ok && e.Hint != "" {
		err = fmt.Errorf("%w; hint: %s", err, e.Hint)
	}
	return client, err
}

// subjectOf is what our records say of a machine.
func subjectOf(p *place, m providers.Status) parity.Subject {
	return parity.Subject{
		Project: p.Plan.Project, Env: p.Plan.Env, Tier: p.Plan.Tier, Name: m.Role(), Kind: m.Kind,
		ImageKey: m.Labels[providers.LabelImageKey], ImageDigest: m.Labels[providers.LabelImageDigest], Created: m.Created, HostKernel: p.Plugin.Traits.HostKernel,
	}
}

// maskKey is the key that masks secrets in snapshots: of $EVENKEEL_MASK_KEY_FILE, which a team shares whose snapshots are to be compared with one another, else one made for this
// user.
func (c *call) maskKey() ([]byte, error) {
	file := c.getenv("EVENKEEL_MASK_KEY_FILE")
	if file != "" {
		return facts.LoadKey(c.path(file))
	}
	state, err := c.stateDir()
	if err != nil {
		return nil, err
	}
	return facts.LoadKey(filepath.Join(state, "parity", "mask.key"))
}

// parserOf tells this build's parsers from those of others.
func parserOf(v version) string {
	name := v.Version + " " + v.Revision
	if v.Revision == "" || v.Modified {
		if info, err := os.Stat("/proc/self/exe"); err == nil {
			name += fmt.Sprintf(" %d %d", info.Size(), info.ModTime().UnixNano())
		}
	}
	return name
}
