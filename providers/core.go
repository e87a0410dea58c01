// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	gosync "sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/sync"
)

// Core is one environment with all that the verbs need: a plan, and the place it is realized in. Its methods that change something may not run at
// once for one environment and one Owner: whoever names an owner sees to that (the command holds a lock). Runs of other owners are told apart by
// labels.
type Core struct {
	Plan     *envs.Plan
	Plugin   Plugin   // static facts: Traits, Formats
	Provider Provider // opened
	Identity *ssh.Identity
	// Image ensures the image of a recipe path of the plan, with Plugin.Formats. Called once for each recipe that a machine has to be made from,
	// and not at all for a plugin without Formats.
	Image   func(ctx context.Context, recipe string, p Progress) (images.Image, error)
	Secrets envs.Values // of the plan's machines; verbs that settle need them all
	// TLSDir holds the environment's certificate authority, key and all, 0700 and this user's; needed where Plan.TLS. Down removes it.
	TLSDir string
	// CodeDir is where it is kept what code was last synced with local machines; AllowDirty lets a folder that differs from its commit be delivered.
	CodeDir    string
	AllowDirty bool
	// Confirmed is the environment ID that the user gave to let machines of a protected environment be removed.
	Confirmed string
	Owner     string        // user@host, for labels
	Deadline  time.Duration // from a machine's creation to its first SSH answer; 0 means DefaultDeadline
	// SettleDeadline bounds Settle on one machine, the steps of its first boot included; 0 means DefaultSettleDeadline.
	SettleDeadline time.Duration
	Progress       Progress     // optional
	Log            hclog.Logger // optional

	clock func() time.Time // of certificates; nil: this computer's

	gates      gosync.Map // by jump host's address: how many are let through at once
	commitLock gosync.Mutex
	commits    map[string]sync.Commit // by folder: one call delivers one commit to all machines
}

// DefaultDeadline covers a first boot in emulation on a busy machine: 15 s alone, 160 s for three at once on two cores (measured).
const DefaultDeadline = 5 * time.Minute

// DefaultSettleDeadline is for the steps of first boot, which may build a database; all else takes seconds.
const DefaultSettleDeadline = 15 * time.Minute

// undoTime bounds each undo, which runs although its work was cancelled.
const undoTime = 60 * time.Second

// Action is what Up did, or Diff would do, with one machine.
type Action string

const (
	Same    Action = "same"
	Create  Action = "create"
	Start   Action = "start"
	Remake  Action = "remake"  // half-made, or without its final certificate: made anew
	Settle  Action = "settle"  // settings, names, keys, rules or published ports were laid again
	Replace Action = "replace" // spec differs; needs UpOptions.Replace
	Await   Action = "await"   // its place does not say how it is: the provider waits for another run that makes it, or says why not
	Extra   Action = "extra"   // there, but not in the plan; left alone
	Restore Action = "restore" // a data disk was brought back to a snapshot
	Missing Action = "missing" // in the plan, not there, and not ours to make
)

// Change is one machine and what is, or would be, done with it. Reasons are for people: "memory: 512 MiB to 1 GiB".
type Change struct {
	Machine string   `json:"machine"`
	Action  Action   `json:"action"`
	Reasons []string `json:"reasons,omitempty"`
}

// Result is what Up came to. Machines and Changes are sorted by name.
type Result struct {
	Env      string    `json:"env"`
	Changes  []Change  `json:"changes"` // one for each machine, Same included
	Machines []Machine `json:"machines"`
	Pending  bool      `json:"pending"` // something would have to be replaced and was not: exit status 2
	// Code is what came of each folder of code. Conflicts in it are no error: exit status 2.
	Code []CodeResult `json:"code,omitempty"`
}

// Changed reports whether the call did anything.
func (r *Result) Changed() bool {
	for _, c := range r.Changes {
		if c.Action != Same && c.Action != Extra && c.Action != Missing && (c.Action != Replace || !r.Pending) {
			return true
		}
	}
	return false
}

// held is what a place holds of an environment, by role. Of two machines of one role the one that serves is in now, the other in spare: a
// replacement is in progress, or died.
type held struct {
	now, spare map[string]Machine

	there   bool      // the environment exists: it has machines, or data disks are left of it
	expires time.Time // zero: never
}

// all is every machine under the name of its role, sorted by it; where there are two, the one that serves comes first.
func (h held) all() []Machine {
	var all []Machine
	for _, role := range sortedKeys(h.now) {
		all = append(all, h.now[role].inRole())
		if s, ok := h.spare[role]; ok {
			all = append(all, s.inRole())
		}
	}
	return all
}

// of is every machine in one of the roles of list.
func (h held) of(list []envs.Machine) []Machine {
	var all []Machine
	for _, m := range list {
		if there, ok := h.now[m.Name]; ok {
			all = append(all, there)
		}
		if there, ok := h.spare[m.Name]; ok {
			all = append(all, there)
		}
	}
	return all
}

// found is what the place holds of the environment, after the question whose it is was settled.
func (c *Core) found(ctx context.Context) (held, error) {
	list, err := c.Provider.ListMachines(ctx, c.Plan.Env)
	if err != nil {
		return held{}, err
	}
	have := held{now: map[string]Machine{}, spare: map[string]Machine{}}
	for _, m := range list {
		if m.Host.Given() { // nobody's, and only read
			have.add(m)
			continue
		}
		project := m.Labels[LabelProject]
		if project == "" && m.State != Partial && m.State != Unknown {
			project = "(none)" // a whole machine that says nothing of whose it is was not made by us
		}
		if err := c.owned("its machine "+m.Name, project); err != nil {
			return held{}, err
		}
		have.add(m)
	}
	if len(list) > 0 {
		have.there, have.expires = true, expiryOf(list)
		return have, nil
	}
	// What is left of another project's environment, its data disks say, is not ours either.
	left, err := c.left(ctx)
	if len(left.Data) > 0 {
		have.there, have.expires = true, left.Expires
	}
	return have, err
}

// left is the environment as the place lists it, data disks included; the zero EnvInfo where there is nothing of it.
func (c *Core) left(ctx context.Context) (EnvInfo, error) {
	envs, err := c.Provider.ListEnvs(ctx)
	if err != nil {
		return EnvInfo{}, err
	}
	for _, e := range envs {
		if e.Env == c.Plan.Env {
			return e, c.owned("what is left of it", e.Project)
		}
	}
	return EnvInfo{}, nil
}

// owned refuses what another project made.
func (c *Core) owned(what, project string) error {
	if project == "" || project == c.Plan.Project {
		return nil
	}
	return &Error{
		Code: Conflict, Op: "use", Subject: "environment " + c.Plan.Env,
		Err:  fmt.Errorf("it belongs to another project: %s has project id %s, this env.yaml has %s", what, project, c.Plan.Project),
		Hint: "give this project another name, or use --as",
	}
}

// pick resolves machine and kind names against the plan; none means all. Unknown ones are Invalid.
func (c *Core) pick(names []string) ([]envs.Machine, error) {
	if len(names) == 0 {
		return c.Plan.Machines, nil
	}
	wanted := map[string]bool{}
	for _, n := range names {
		known := false
		for _, m := range c.Plan.Machines {
			if m.Name == n || m.Kind == n {
				wanted[m.Name], known = true, true
			}
		}
		if at := c.Plan.External[n]; !known && at != "" {
			return nil, &Error{Code: Invalid, Op: "find", Subject: "machine " + n, Err: fmt.Errorf("it is external in environment %s (%s): no machine is made of it", c.Plan.Env, at)}
		}
		if !known {
			return nil, &Error{
				Code: Invalid, Op: "find", Subject: "machine " + n,
				Err: fmt.Errorf("environment %s has no machine or kind of that name; it has %s", c.Plan.Env, strings.Join(c.machineNames(), ", ")),
			}
		}
	}
	var picked []envs.Machine
	for _, m := range c.Plan.Machines {
		if wanted[m.Name] {
			picked = append(picked, m)
		}
	}
	return picked, nil
}

// pickFound is pick, with what the place holds. Unknown names are refused before the place is asked.
func (c *Core) pickFound(ctx context.Context, names []string) ([]envs.Machine, held, error) {
	if c.Plugin.Traits.ReadOnly {
		return c.pickExisting(ctx, names)
	}
	picked, err := c.pick(names)
	if err != nil {
		return nil, held{}, err
	}
	have, err := c.found(ctx)
	return picked, have, err
}

// Knows is an Invalid error where one of names is neither a machine nor a kind of the plan, before anything is asked or written.
func (c *Core) Knows(names []string) error {
	_, err := c.pick(names)
	return err
}

func (c *Core) machineNames() []string {
	var names []string
	for _, m := range c.Plan.Machines {
		names = append(names, m.Name)
	}
	return names
}

func (c *Core) planned(name string) (envs.Machine, bool) {
	i := slices.IndexFunc(c.Plan.Machines, func(m envs.Machine) bool { return m.Name == name })
	if i < 0 {
		return envs.Machine{}, false
	}
	return c.Plan.Machines[i], true
}

func (c *Core) deadline() time.Duration {
	if c.Deadline > 0 {
		return c.Deadline
	}
	return DefaultDeadline
}

func (c *Core) settleDeadline() time.Duration {
	if c.SettleDeadline > 0 {
		return c.SettleDeadline
	}
	return DefaultSettleDeadline
}

func (c *Core) now() time.Time {
	if c.clock != nil {
		return c.clock()
	}
	return time.Now()
}

func (c *Core) log() hclog.Logger {
	if c.Log == nil {
		return hclog.NewNullLogger()
	}
	return c.Log
}

// spec is what m is to be made of. Labels are complete but for the host CA and the image's digest, which making it adds.
func (c *Core) spec(m envs.Machine) Spec {
	s := Spec{
		Env: c.Plan.Env, Name: m.Name, CPUs: m.CPUs, Memory: m.Memory, Disk: m.Disk, ImageKey: m.ImageKey,
		Publish: publish(m),
	}
	if recipe := c.Plan.Recipes[m.Image]; recipe != nil && c.Plugin.Traits.HostKernel {
		s.Systemd = recipe.Lock.Version("systemd")
	}
	for _, d := range m.Data {
		s.Data = append(s.Data, Data(d))
	}
	s.Labels = Labels{
		LabelProject:  c.Plan.Project,
		LabelEnv:      s.Env,
		LabelName:     s.Name,
		LabelSpec:     s.Digest(),
		LabelImageKey: s.ImageKey,
		LabelOwner:    c.owner(),
		LabelCreated:  time.Now().UTC().Format(time.RFC3339),
		LabelSize:     sizeOf(s),
	}
	return s
}

var notLabel = lazyregexp.New(`[^A-Za-z0-9 +=._:/@-]`)

func (c *Core) owner() string {
	o := notLabel.ReplaceAllString(c.Owner, "-")
	return o[:min(len(o), maxLabel)]
}

func publish(m envs.Machine) []Port {
	var ports []Port
	for _, p := range m.Publish {
		ports = append(ports, Port{Port: p.Port, Proto: p.Proto, HostPort: p.HostPort})
	}
	return ports
}

// undo is a context for taking back what ctx's work made, although ctx may be cancelled.
func undo(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), undoTime)
}
