// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

var errTODO = errors.New("not written yet")

// Core is one environment with all that the verbs need. The zero value of each optional field is usable.
type Core struct {
	Plan     *envs.Plan
	Plugin   Plugin   // static facts: Traits, Formats
	Provider Provider // opened
	Identity *ssh.Identity
	Image    func(ctx context.Context, recipe string, p Progress) (images.Image, error) // ensures the image of a recipe path of the plan, with Plugin.Formats
	Owner    string                                                                     // user@host, for labels
	Deadline time.Duration                                                              // from a machine's creation to its first SSH answer; 0 means 5 min
	Progress Progress                                                                   // optional
	Log      hclog.Logger                                                               // optional
}

// UpOptions say what Up may do.
type UpOptions struct {
	Only    []string // machine or kind names; empty: all
	Replace bool     // replace machines whose spec differs
}

// Action is what Up did, or Diff would do, with one machine.
type Action string

const (
	Same    Action = "same"
	Create  Action = "create"
	Start   Action = "start"
	Remake  Action = "remake"  // half-made, or without its final certificate: made anew
	Settle  Action = "settle"  // settings, names, keys or rules were laid again
	Replace Action = "replace" // spec differs; needs UpOptions.Replace
	Extra   Action = "extra"   // there, but not in the plan; left alone
)

// Change is one machine and what is, or would be, done with it. Reasons are for people: "memory: 512 MiB to 1 GiB".
type Change struct {
	Machine string   `json:"machine"`
	Action  Action   `json:"action"`
	Reasons []string `json:"reasons,omitempty"`
}

// Result is what Up came to. Machines are sorted by name.
type Result struct {
	Env      string    `json:"env"`
	Changes  []Change  `json:"changes"` // one for each machine, Same included
	Machines []Machine `json:"machines"`
	Pending  bool      `json:"pending"` // something would have to be replaced and was not: exit status 2
}

// Changed reports whether Up did anything.
func (r *Result) Changed() bool {
	for _, c := range r.Changes {
		if c.Action != Same && c.Action != Extra && !(c.Action == Replace && r.Pending) {
			return true
		}
	}
	return false
}

// Diff says what Up would do, from the place's records alone (no machine is contacted), and changes nothing.
func (c *Core) Diff(ctx context.Context) ([]Change, error) { return nil, errTODO }

// Up makes the plan's machines exist, run, hold their final host certificate, settled and healthy. It creates and settles; it destroys nothing
// but half-made machines, unless o.Replace. After failure or cancel what this call created is gone and what was there is as it was.
func (c *Core) Up(ctx context.Context, o UpOptions) (*Result, error) { return nil, errTODO }

// Rebuild replaces the named machines (or kinds) by new ones from the current image, one at a time, each healthy before the next.
// What it refuses: an unknown name, a machine that is not stateless (unless destroyData), the only machine of its kind (unless allowDowntime).
func (c *Core) Rebuild(ctx context.Context, names []string, allowDowntime, destroyData bool) (*Result, error) {
	return nil, errTODO
}

// Down removes the environment, data disks too unless keepData. Absent is success. It returns what was removed.
func (c *Core) Down(ctx context.Context, keepData bool) ([]Machine, error) { return nil, errTODO }

// Stop stops machines (all where names is empty); Start starts them and ends with Settle on every running machine.
func (c *Core) Stop(ctx context.Context, names []string) ([]Machine, error) { return nil, errTODO }
func (c *Core) Start(ctx context.Context, names []string) (*Result, error)  { return nil, errTODO }

// Status is one machine as `env status` shows it.
type Status struct {
	Machine
	Kind    string `json:"kind"`
	Planned bool   `json:"planned"`          // in the plan
	Drifted bool   `json:"drifted"`          // spec digest differs from the plan's
	Ready   *bool  `json:"ready,omitempty"`  // nil: not asked (only with check)
	Reason  string `json:"reason,omitempty"` // why it is not ready
}

// Status lists planned and actual machines by name. With check every running machine is contacted: certificate, settled digest, health.
// Planned machines that do not exist have State "".
func (c *Core) Status(ctx context.Context, check bool) ([]Status, error) { return nil, errTODO }

// Dial opens a verified connection to a machine as user ("": the core's own login).
func (c *Core) Dial(ctx context.Context, m Machine, user string) (*ssh.Client, error) {
	return nil, errTODO
}

// Garbage is one environment that GC would remove, and why.
type Garbage struct {
	EnvInfo
	Reason string `json:"reason"` // "expired 3h ago", "incomplete since 2h"
}

// ListGarbage finds what dead runs left in a place: expired environments, and half-made ones older than an hour. It changes nothing.
func ListGarbage(ctx context.Context, p Provider, now time.Time) ([]Garbage, error) {
	return nil, errTODO
}

// Collect removes one piece of garbage: of an expired environment everything, of an incomplete one only what is half-made.
func Collect(ctx context.Context, p Provider, g Garbage) error { return errTODO }
