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
	"github.com/evenkeel/evenkeel/providers/sync"
)

// CodeResult is one folder of code of one machine, after it was synced (local tiers) or delivered (elsewhere).
type CodeResult struct {
	sync.Result
	// Elsewhere than on local tiers: the commit that the machine holds now, and whether this call brought it.
	Commit    string `json:"commit,omitempty"`
	Delivered bool   `json:"delivered,omitempty"`
}

// Changed says whether anything was carried, deleted or delivered.
func (r *CodeResult) Changed() bool { return r.Result.Changed() || r.Delivered }

// checkCode refuses, before anything is made, code that cannot be delivered: elsewhere than on this computer machines get a commit, and a folder that
// differs from it only with AllowDirty. It is about picked and about all that is there: a run ends with every machine settled.
func (c *Core) checkCode(ctx context.Context, picked []envs.Machine, have held) error {
	if c.Plugin.Traits.Local {
		return nil
	}
	seen := map[string]bool{}
	var errs []error
	for _, m := range c.Plan.Machines {
		_, there := have.now[m.Name]
		if !there && !slices.ContainsFunc(picked, func(p envs.Machine) bool { return p.Name == m.Name }) {
			continue
		}
		for _, code := range m.Code {
			if seen[code.From] {
				continue
			}
			seen[code.From] = true
			_, err := c.commit(ctx, code)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// commit is what code's folder holds. It is asked once: all machines get the same, however long they take to come up.
func (c *Core) commit(ctx context.Context, code envs.Code) (sync.Commit, error) {
	c.commitLock.Lock()
	defer c.commitLock.Unlock()
	if known, ok := c.commits[code.From]; ok {
		return known, nil
	}
	commit, err := sync.Inspect(ctx, code.From)
	if err != nil {
		return commit, &Error{Code: Invalid, Op: "bring up", Subject: "environment " + c.Plan.Env, Err: err}
	}
	if len(commit.Dirty) > 0 && !c.AllowDirty {
		return commit, &Error{
			Code: Denied, Op: "deliver", Subject: code.From, Hint: "commit or stash them, or add --allow-dirty",
			Err: fmt.Errorf("it differs from commit %.12s: %s", commit.ID, strings.Join(commit.Dirty, ", ")),
		}
	}
	if c.commits == nil {
		c.commits = map[string]sync.Commit{}
	}
	c.commits[code.From] = commit
	return commit, nil
}

// deliver brings the project's code to a settled machine, before its health is asked for.
func (r *run) deliver(ctx context.Context, m envs.Machine, there Machine) error {
	c := r.core
	if len(m.Code) == 0 || !c.Plugin.Traits.Local && !r.delivers {
		return nil
	}
	return c.stage(ctx, m.Name, StageCode, func() error {
		var results []CodeResult
		err := c.withCode(ctx, m, there, r.client(there), func(client *ssh.Client, code envs.Code, o sync.Options) error {
			res, err := c.bring(ctx, client, m, code, o)
			if err == nil {
				results = append(results, res)
			}
			return err
		})
		for _, res := range results {
			if res.Changed() {
				r.noteLaid(m.Name, res.reason())
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.code = append(r.code, results...)
		return err
	})
}

func (r *CodeResult) reason() string {
	if r.Commit != "" {
		return fmt.Sprintf("%s: commit %.12s", r.To, r.Commit)
	}
	return fmt.Sprintf("%s: %d files to it, %d from it, %d deleted", r.To, r.Pushed, r.Pulled, r.Removed)
}

// withCode calls f for each of m's folders of code, with a session of the user who owns them. login may be nil.
func (c *Core) withCode(ctx context.Context, m envs.Machine, there Machine, login *ssh.Client, f func(*ssh.Client, envs.Code, sync.Options) error) error {
	client, o, done, err := c.codeClients(ctx, there, login)
	if err != nil {
		return err
	}
	defer done()
	o.Progress = c.Progress
	for _, code := range m.Code {
		if err := f(client, code, o); err != nil {
			return err
		}
	}
	return nil
}

// codeClients are the sessions that code needs: of the user who owns it, and of the login that may become root; one where both are the same. login
// is used where it is not nil, and stays open.
func (c *Core) codeClients(ctx context.Context, there Machine, login *ssh.Client) (_ *ssh.Client, o sync.Options, done func(), err error) {
	var opened []*ssh.Client
	done = func() {
		for _, client := range opened {
			_ = client.Close() // nothing is in flight
		}
	}
	dial := func(user string) (*ssh.Client, error) {
		client, err := c.Dial(ctx, there, user)
		if err == nil {
			opened = append(opened, client)
		}
		return client, err
	}
	if login == nil {
		if login, err = dial(""); err != nil {
			return nil, o, nil, err
		}
	}
	o = sync.Options{Login: login, User: cmp.Or(c.Plan.Access.User, LoginUser)}
	client := login
	if o.User != LoginUser {
		if client, err = dial(o.User); err != nil {
			done()
			return nil, o, nil, err
		}
	}
	return client, o, done, nil
}

// bring syncs or delivers one folder.
func (c *Core) bring(ctx context.Context, client *ssh.Client, m envs.Machine, code envs.Code, o sync.Options) (CodeResult, error) {
	pair := c.pair(m, code)
	if c.Plugin.Traits.Local {
		res, err := sync.Sync(ctx, client, pair, o)
		if err != nil {
			return CodeResult{}, err
		}
		done := CodeResult{Result: *res}
		// An editor saved meanwhile, or another machine brought the same file: that is no conflict to ask somebody about.
		if slices.ContainsFunc(res.Conflicts, func(x sync.Conflict) bool { return x.Again }) {
			if res, err = sync.Sync(ctx, client, pair, o); err != nil {
				return done, err
			}
			again := CodeResult{Result: *res}
			again.add(done)
			done = again
		}
		return done, nil
	}
	commit, err := c.commit(ctx, code)
	if err != nil {
		return CodeResult{}, err
	}
	delivered, err := sync.Deliver(ctx, client, pair, commit, o)
	if err != nil {
		return CodeResult{}, err
	}
	return CodeResult{
		Result: sync.Result{Machine: m.Name, From: code.From, To: code.To, Conflicts: []sync.Conflict{}}, Commit: commit.Name(), Delivered: delivered,
	}, nil
}

func (c *Core) pair(m envs.Machine, code envs.Code) sync.Pair {
	return sync.Pair{Machine: m.Name, From: code.From, To: code.To, State: sync.StateFile(c.CodeDir, c.Plan.Project, c.Plan.Env, m.Name, code.From, code.To)}
}

// coded are the named machines (all that exist where names is empty) that have code. It is an error where a named one has none, or does not exist.
func (c *Core) coded(ctx context.Context, names []string) ([]seat, error) {
	if !c.Plugin.Traits.Local {
		return nil, &Error{Code: Unsupported, Op: "sync", Subject: "environment " + c.Plan.Env, Err: errors.New("its machines are not on this computer: `evenkeel up` delivers commits to them")}
	}
	picked, have, err := c.pickFound(ctx, names)
	if err != nil {
		return nil, err
	}
	if err := c.usable("sync", have); err != nil {
		return nil, err
	}
	var list []seat
	any := false
	for _, m := range picked {
		any = any || len(m.Code) > 0
		switch there, ok := have.now[m.Name]; {
		case len(m.Code) == 0 && len(names) > 0 && slices.Contains(names, m.Name):
			return nil, &Error{Code: Invalid, Op: "sync", Subject: "machine " + m.Name, Err: errors.New("it has no code in env.yaml")}
		case len(m.Code) == 0:
		case !ok && len(names) > 0:
			return nil, &Error{Code: NotFound, Op: "sync", Subject: "machine " + m.Name, Err: errors.New("it does not exist"), Hint: "evenkeel up"}
		case !ok:
		default:
			list = append(list, seat{m, there})
		}
	}
	if !any {
		return nil, &Error{Code: Invalid, Op: "sync", Subject: "environment " + c.Plan.Env, Err: errors.New("no machine in it has code"), Hint: "say code: [{from: ./app, to: /srv/app}] at a machine in env.yaml"}
	}
	if len(list) == 0 {
		return nil, &Error{Code: NotFound, Op: "sync", Subject: "environment " + c.Plan.Env, Err: errors.New("none of its machines that have code exists"), Hint: "evenkeel up"}
	}
	return list, nil
}

// SyncCode syncs the code of the named machines (all where names is empty) once, both ways, on a local tier. What one machine brings goes to the
// others in the same call. Machines that are stopped are left out unless named: `start` syncs them. A machine that fails hides no other. Conflicts are no error: they stand in the results, which are sorted by machine.
func (c *Core) SyncCode(ctx context.Context, names []string, prefer sync.Side) ([]CodeResult, error) {
	if err := c.mayChange("sync"); err != nil {
		return nil, err
	}
	seats, err := c.coded(ctx, names)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		seats = slices.DeleteFunc(seats, func(s seat) bool { return s.there.State == Stopped || s.there.State == Suspended })
	}
	all := make([][]CodeResult, len(seats))
	pass := func(i int) error {
		s := seats[i]
		c.Progress.Emit(Event{Subject: s.Name, Stage: StageCode})
		at := 0
		return c.withCode(ctx, s.Machine, s.there, nil, func(client *ssh.Client, code envs.Code, o sync.Options) error {
			o.Prefer = prefer
			res, err := c.bring(ctx, client, s.Machine, code, o)
			if err != nil {
				return err
			}
			if at < len(all[i]) {
				res.add(all[i][at])
				all[i][at] = res
			} else {
				all[i] = append(all[i], res)
			}
			at++
			return nil
		})
	}
	err = each(indexes(seats), pass)
	if pulled := func(list []CodeResult) bool {
		return slices.ContainsFunc(list, func(r CodeResult) bool { return r.Pulled+r.Removed > 0 })
	}; err == nil && len(seats) > 1 && slices.ContainsFunc(all, pulled) {
		err = each(indexes(seats), pass)
	}
	return slices.Concat(all...), err
}

// add counts what an earlier pass did too.
func (r *CodeResult) add(earlier CodeResult) {
	r.Pushed += earlier.Pushed
	r.Pulled += earlier.Pulled
	r.Removed += earlier.Removed
	r.Bytes += earlier.Bytes
	r.Seconds += earlier.Seconds
}

// WatchCode keeps the code of the named machines (all where names is empty) alike on both sides, on a local tier, until ctx ends, which is no error.
// A machine that stops or restarts is waited for. tell is not called by two at once.
func (c *Core) WatchCode(ctx context.Context, names []string, tell func(sync.Seen)) error {
	if err := c.mayChange("sync"); err != nil {
		return err
	}
	seats, err := c.coded(ctx, names)
	if err != nil {
		return err
	}
	var list []sync.Watched
	for _, s := range seats {
		w := sync.Watched{Machine: s.Name, Session: func(ctx context.Context) (*ssh.Client, sync.Options, func(), error) {
			return c.codeSession(ctx, s.Machine)
		}}
		for _, code := range s.Code {
			w.Pairs = append(w.Pairs, c.pair(s.Machine, code))
		}
		list = append(list, w)
	}
	return sync.Watch(ctx, list, tell)
}

// codeSession logs in to a machine wherever its place says that it is now.
func (c *Core) codeSession(ctx context.Context, m envs.Machine) (*ssh.Client, sync.Options, func(), error) {
	have, err := c.found(ctx)
	if err != nil {
		return nil, sync.Options{}, nil, err
	}
	there, ok := have.now[m.Name]
	if !ok {
		return nil, sync.Options{}, nil, fmt.Errorf("machine %s does not exist", m.Name)
	}
	return c.codeClients(ctx, there, nil)
}

// deliveredTo reads which commits a machine holds; nil where it gets none, or does not say.
func (c *Core) deliveredTo(ctx context.Context, m envs.Machine, there Machine) map[string]string {
	if c.Plugin.Traits.Local || len(m.Code) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, min(readyTime, c.deadline()))
	defer cancel()
	client, err := c.Dial(ctx, there, "")
	if err != nil {
		return nil // why is the reason of its not being ready
	}
	defer client.Close()
	var to []string
	for _, code := range m.Code {
		to = append(to, code.To)
	}
	names, err := sync.Delivered(ctx, client, to)
	if err != nil {
		c.log().Debug("cannot read delivered commits", "machine", m.Name, "error", err)
		return nil
	}
	all := map[string]string{}
	for i, name := range names {
		all[to[i]] = name
	}
	return all
}
