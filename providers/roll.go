// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// RollOptions say how machines may be replaced by new ones.
type RollOptions struct {
	Max           int  // this many at once; 0: one
	AllowDowntime bool // also the last healthy machine of a kind, before its successor serves
	DestroyData   bool // also machines whose own disk may hold data
}

// mayReplace refuses, before anything is touched, what the rules forbid whatever the machines' health: losing data, taking the only machine of its
// kind, a protected environment whose ID was not given. atOnce: nobody asks for continuity.
func (c *Core) mayReplace(list []envs.Machine, have held, o RollOptions, atOnce bool) error {
	if len(list) == 0 {
		return nil
	}
	if err := c.confirmed("replace machines of"); err != nil {
		return err
	}
	var errs []error
	for _, m := range list {
		errs = append(errs, c.mayDestroy(m, o.DestroyData))
		if _, ok := have.spare[m.Name]; ok {
			errs = append(errs, &Error{Code: Conflict, Op: "replace", Subject: "machine " + m.Name, Err: errors.New("two machines have its role: another run is replacing it, or died at it"), Hint: "wait for it to end; what it left is settled by `evenkeel up`, by its owner at once, by others after an hour"})
		}
		if m.Rebuild.Surge && len(m.Data) > 0 {
			errs = append(errs, &Error{Code: Invalid, Op: "replace", Subject: "machine " + m.Name, Err: errors.New("order: surge needs two machines at once, and a data disk is in one only"), Hint: "say order: replace"})
		}
		if !atOnce && !mayPause(m, o) && c.count(m.Kind) == 1 {
			errs = append(errs, &Error{Code: Denied, Op: "rebuild", Subject: "machine " + m.Name, Err: fmt.Errorf("it is the only %s, nothing serves while it is rebuilt", m.Kind), Hint: "add --allow-downtime"})
		}
	}
	return errors.Join(errs...)
}

// mayPause: the kind of m may be without a healthy machine for a while, or is not, since the new one serves before the old goes.
func mayPause(m envs.Machine, o RollOptions) bool {
	return o.AllowDowntime || m.Rebuild.Downtime || m.Rebuild.Surge
}

// mayDestroy refuses to lose what a machine may hold on its own disk. Where data disks are declared, they are what is to be kept.
func (c *Core) mayDestroy(m envs.Machine, destroyData bool) error {
	if m.Stateless || len(m.Data) > 0 || destroyData {
		return nil
	}
	return &Error{
		Code: Denied, Op: "replace", Subject: "machine " + m.Name, Err: errors.New("its own disk may hold data: it has no data disk and is not declared stateless"),
		Hint: "say `stateless: true` in env.yaml if nothing on it need survive, or add --destroy-data",
	}
}

// confirmed refuses to remove machines or data of a protected environment whose ID was not given.
func (c *Core) confirmed(op string) error {
	if !c.Plan.Protected || c.Confirmed == c.Plan.Env {
		return nil
	}
	return &Error{Code: Denied, Op: op, Subject: "environment " + c.Plan.Env, Err: errors.New("it is protected, and its ID was not given"), Hint: "add --yes " + c.Plan.Env}
}

func (c *Core) count(kind string) int {
	n := 0
	for _, m := range c.Plan.Machines {
		if m.Kind == kind {
			n++
		}
	}
	return n
}

// roll replaces the machines of list by new ones: o.Max at once, each batch healthy and everybody settled before the next. It ends at the first
// failure and says which were not touched.
func (r *run) roll(ctx context.Context, list []envs.Machine, o RollOptions) ([]Machine, error) {
	var all []Machine
	for left := slices.Clone(list); len(left) > 0; {
		have, err := r.core.found(ctx)
		if err != nil {
			return nil, err
		}
		batch, err := r.batch(ctx, left, have, o)
		if err == nil {
			all, err = r.replace(ctx, batch, have)
		}
		for _, m := range batch {
			left = slices.DeleteFunc(left, func(l envs.Machine) bool { return l.Name == m.Name })
		}
		if err != nil {
			for _, m := range left {
				r.forget(m.Name)
			}
			return nil, stopped(ctx, err, left)
		}
	}
	return all, nil
}

// stopped adds to why a roll ended what it did not come to.
func stopped(ctx context.Context, err error, left []envs.Machine) error {
	if len(left) == 0 || ctx.Err() != nil {
		return err
	}
	var names []string
	for _, m := range left {
		names = append(names, m.Name)
	}
	return errors.Join(err, fmt.Errorf("it ends here: not replaced are %s", strings.Join(names, ", ")))
}

// batch picks who goes next: at most o.Max, those that are not healthy first, and never the last healthy machine of a kind that may not pause. Whose
// health cannot be asked counts as none that serves, and is not taken for one that does not.
func (r *run) batch(ctx context.Context, left []envs.Machine, have held, o RollOptions) ([]envs.Machine, error) {
	c := r.core
	kinds := map[string]bool{}
	for _, m := range left {
		if !mayPause(m, o) {
			kinds[m.Kind] = true
		}
	}
	var asked []envs.Machine
	for _, m := range c.Plan.Machines {
		if kinds[m.Kind] {
			asked = append(asked, m)
		}
	}
	states := make(map[string]error, len(asked)) // by role; nil: healthy
	answers := make([]error, len(asked))
	_ = each(indexes(asked), func(i int) error {
		answers[i] = c.asks(ctx, asked[i], have.now[asked[i].Name])
		return nil
	})
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	healthy := map[string]int{}
	for i, m := range asked {
		states[m.Name] = answers[i]
		if answers[i] == nil {
			healthy[m.Kind]++
		}
	}

	left = slices.Clone(left)
	slices.SortStableFunc(left, func(a, b envs.Machine) int { return cmp.Compare(rank(states[a.Name]), rank(states[b.Name])) })
	var batch []envs.Machine
	for _, m := range left {
		if len(batch) == max(o.Max, 1) {
			break
		}
		err := states[m.Name]
		others := healthy[m.Kind]
		if err == nil {
			others--
		}
		if mayPause(m, o) || others > 0 || rank(err) == 0 {
			batch = append(batch, m)
			if err == nil {
				healthy[m.Kind]--
			}
		}
	}
	if len(batch) == 0 {
		return nil, c.lastOf(left[0], states)
	}
	return batch, nil
}

// rank orders by how little is lost: 0 does not serve, 1 is not known, 2 serves.
func rank(err error) int {
	switch {
	case err == nil:
		return 2
	case errors.Is(err, errSick):
		return 0
	}
	return 1
}

// errSick marks a machine that surely does not serve: its place says that it does not run, or it answered and its health check failed.
var errSick = errors.New("not healthy")

// asks is nil where the machine that has m's role runs, answers and is healthy, errSick where it is known not to; else the question had no answer.
func (c *Core) asks(ctx context.Context, m envs.Machine, there Machine) error {
	limit := min(readyTime, c.deadline())
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w in full within %s", ssh.ErrUnreachable, limit))
	defer cancel()
	if there.State != Running && there.State != Unknown {
		return fmt.Errorf("%w: it is %s", errSick, cmp.Or(string(there.State), "not there"))
	}
	client, err := c.Dial(ctx, there, "")
	if errors.Is(err, ssh.ErrUnfinished) && c.abandoned(there) {
		return fmt.Errorf("%w: %w", errSick, err)
	}
	if err != nil {
		return err
	}
	defer client.Close()
	if m.Health == nil {
		return nil
	}
	err = probe(ctx, client, there.inRole(), m.Health)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", errSick, err)
	}
	return err
}

// lastOf says that m cannot go, since no other of its kind is known to serve.
func (c *Core) lastOf(m envs.Machine, states map[string]error) error {
	var others []string
	for _, o := range c.Plan.Machines {
		if err := states[o.Name]; o.Kind == m.Kind && o.Name != m.Name && err != nil {
			others = append(others, fmt.Sprintf("%s: %v", o.Name, err))
		}
	}
	return &Error{
		Code: Denied, Op: "replace", Subject: "machine " + m.Name,
		Err:  fmt.Errorf("no other %s is healthy, so nothing would serve meanwhile (%s)", m.Kind, strings.Join(others, "; ")),
		Hint: "mend or rebuild the others first, or add --allow-downtime",
	}
}

// replace makes the machines of a batch anew, by their kind's order, and ends with every machine settled and the new ones healthy.
func (r *run) replace(ctx context.Context, batch []envs.Machine, have held) ([]Machine, error) {
	err := each(batch, func(m envs.Machine) error {
		there, ok := have.now[m.Name]
		if m.Rebuild.Surge && ok && there.whole() {
			return r.standBeside(ctx, m, there)
		}
		return r.remake(ctx, m, there)
	})
	var all []Machine
	if err == nil {
		all, err = r.finish(ctx, batch)
	}
	surged := slices.DeleteFunc(slices.Clone(batch), func(m envs.Machine) bool {
		there := have.now[m.Name]
		return !m.Rebuild.Surge || !there.whole() || r.young(m.Name).ID == ""
	})
	if err != nil {
		return nil, errors.Join(err, r.takeAway(ctx, err, surged))
	}
	if len(surged) == 0 {
		return all, nil
	}
	if err := each(surged, func(m envs.Machine) error { return r.succeed(ctx, m, have.now[m.Name]) }); err != nil {
		return nil, err
	}
	return r.finish(ctx, nil)
}
