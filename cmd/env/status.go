// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/session"
)

func (a *App) statusVerb() verb {
	return verb{
		name: "status", about: "show the environment's machines and where their ports are",
		more: "Without --check it reads the place's records and contacts no machine. With --check the exit status is 0 where all is as defined, " +
			"2 where a machine is missing, stopped, different or not ready, or the environment has expired, and 3 where that is not known of one: it could not be asked, or its secrets could not be read here.",
		flags: []cli.Flag{
			boolFlag("check", "contact each machine: certificate, settings, health"),
			boolFlag("settings", "show instead what settings and secrets the definition gives each machine, and where each is said; secrets are not shown"),
		},
		run: runStatus,
	}
}

// statusReport is what `status --json` prints. docs/json.md describes it.
type statusReport struct {
	Env      string `json:"env"`
	Tier     string `json:"tier"`
	Provider string `json:"provider"`
	File     string `json:"file"`
	Local    string `json:"local,omitempty"`
	// Protected: whatever removes a machine asks for Env.
	Protected bool              `json:"protected,omitempty"`
	External  map[string]string `json:"external,omitempty"` // host:port by kind
	Expires   time.Time         `json:"expires,omitzero"`   // never where it is missing
	Expired   bool              `json:"expired,omitempty"`
	Machines  []statusLine      `json:"machines"`
}

type statusLine struct {
	machineLine
	Kind     string `json:"kind,omitempty"`
	Planned  bool   `json:"planned"`
	Differs  bool   `json:"differs"`
	ImageKey string `json:"image_key,omitempty"`
	Owner    string `json:"owner,omitempty"`
	Ready    *bool  `json:"ready,omitempty"` // only with --check
	Reason   string `json:"reason,omitempty"`

	Unreachable bool `json:"unreachable,omitempty"`

	Commits map[string]string `json:"commits,omitempty"` // only with --check, and elsewhere than on local tiers
}

func runStatus(ctx context.Context, c *call) error {
	if err := c.noArgs(); err != nil {
		return err
	}
	check := c.flag.Bool("check")
	if c.flag.Bool("settings") {
		if check {
			return usagef("--settings and --check exclude each other")
		}
		return c.statusSettings()
	}
	o := placeOptions{identity: check}
	if check {
		o.secrets = session.IfReadable
	}
	p, err := c.open(ctx, o)
	if err != nil {
		return err
	}
	defer p.close()
	list, err := p.Status(ctx, check)
	if err != nil {
		return err
	}
	expires, err := p.Expires(ctx)
	if err != nil {
		return err
	}
	r := p.report(list)
	r.Expires, r.Expired = expires, !expires.IsZero() && !expires.After(time.Now())
	if c.json() {
		err = c.printJSON(r)
	} else {
		err = c.printStatus(p, r, list, check)
	}
	if err != nil || !check {
		return err
	}
	if r.Expired {
		return exitStatus(exitDiffers)
	}
	return statusOf(list)
}

func (p *place) report(list []providers.Status) statusReport {
	r := statusReport{Env: p.Plan.Env, Tier: p.Plan.Tier, Provider: p.Plan.Provider, File: p.Definition.File, Local: p.Plan.Local,
		Protected: p.Plan.Protected, External: p.Plan.External, Machines: []statusLine{}}
	for _, s := range list {
		r.Machines = append(r.Machines, statusLine{
			machineLine: lineOf(s.Machine), Kind: s.Kind, Planned: s.Planned, Differs: s.Differs,
			ImageKey: s.Labels[providers.LabelImageKey], Owner: s.Labels[providers.LabelOwner], Ready: s.Ready, Reason: s.Reason,
			Unreachable: s.Unreachable, Commits: s.Commits,
		})
	}
	return r
}

// statusOf is the exit status of a check: what differs weighs more than what is not known.
func statusOf(list []providers.Status) error {
	differs, unknown := false, false
	for _, s := range list {
		switch {
		case s.State == providers.Unknown, s.Unreachable:
			unknown = true
		case !s.Planned, s.State != providers.Running, s.Differs, s.Ready != nil && !*s.Ready:
			differs = true
		case s.Ready == nil: // its secrets were not read here
			unknown = true
		}
	}
	switch {
	case differs:
		return exitStatus(exitDiffers)
	case unknown:
		return exitStatus(exitIncomplete)
	}
	return nil
}

func (c *call) printStatus(p *place, r statusReport, list []providers.Status, check bool) error {
	ends := ""
	switch {
	case r.Expired:
		ends = ", expired " + age(r.Expires) + " ago: `evenkeel down` removes it with its data, `evenkeel gc` all that has expired"
	case !r.Expires.IsZero():
		ends = ", expires in " + strings.TrimSuffix(max(time.Until(r.Expires).Round(time.Minute), time.Minute).String(), "0s")
	}
	if err := c.printf("%s on %s%s%s\n", p.Plan.Env, p.Plan.Provider, protected(p.Plan), ends); err != nil {
		return err
	}
	t := newTable("MACHINE", "STATE", "ADDRESS", "AGE", "PUBLISHED", "REMARK")
	for _, s := range list {
		t.add(s.Name, stateText(s, check), s.Address, age(s.Created), published(s.Machine), remark(s))
	}
	if err := t.print(c.Stdout); err != nil {
		return err
	}
	for _, s := range list {
		for _, to := range sorted(s.Commits) {
			if err := c.printf("%s: %s holds commit %s\n", s.Name, to, cmp.Or(s.Commits[to], "none")); err != nil {
				return err
			}
		}
	}
	return c.printPlanNotes(p.Plan)
}

func stateText(s providers.Status, check bool) string {
	switch {
	case s.State == "":
		return "absent"
	case check && s.Ready != nil && *s.Ready:
		return "ready"
	}
	return string(s.State)
}

func remark(s providers.Status) string {
	switch {
	case s.Reason != "":
		return s.Reason
	case s.State == providers.Partial:
		return "half-made; `evenkeel up` remakes it"
	case s.State != "" && !s.Planned:
		return "not in the definition"
	case s.Differs:
		return "differs from the definition; `evenkeel plan` says how"
	}
	return ""
}
