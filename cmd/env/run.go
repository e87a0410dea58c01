// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/session"
)

// Exit statuses of run beside the command's own, as env(1) and timeout(1) have them.
const (
	exitTimeout  = 124
	exitNotOurs  = 125 // run itself failed
	exitNotRun   = 126 // the command is there and cannot be run
	exitNotFound = 127
)

func (a *App) runVerb() verb {
	return verb{
		name: "run", args: "-- COMMAND...", about: "bring up a fresh copy, run a command on this computer with its addresses, and remove the copy",
		more: "It never touches an environment that is there: each run has a copy of its own, which expires after its tier's ttl, or two hours. The command finds the machines by variables such as " +
			"EVENKEEL_WEB_1_ADDR, EVENKEEL_WEB_1_PORT_80 and EVENKEEL_SSH_CONFIG, for ssh -F. Signals are passed on to it, and its exit status is run's; else 124 says that --timeout is over, 125 that run itself " +
			"failed, 126 and 127 that the command cannot be run or found, 130 that it was interrupted before the command began. docs/run.md has it all.",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "tier", Usage: "make the copy of `TIER` of the definition (else $EVENKEEL_TIER, else ci where there is one, else its default)"},
			&cli.StringFlag{Name: "artifacts", Usage: "write journals, consoles, facts, events and the bring-up's JUnit into folder `DIR`, also when it fails"},
			&cli.StringFlag{Name: "timeout", Usage: "give bring-up and command `TIME` together"},
			boolFlag("keep-on-failure", "keep the copy, until it expires, where bring-up or command fail"),
			lockedFlag(), withinFlag(),
		},
		lacks: []string{"as", "json", "tier"},
		run: func(ctx context.Context, c *call) error {
			status, err := runRun(ctx, c)
			if err != nil {
				c.report(err)
			}
			if status != 0 {
				return exitStatus(status)
			}
			return nil
		},
	}
}

// oneRun is one call of run.
type oneRun struct {
	*call
	timeout   time.Duration
	within    time.Duration
	artifacts string // "": none
	recorder  session.Recorder
	s         *session.Session // as brought up; closed while the command runs
	scratch   *session.Scratch // what the command reads; nil until it is there
	near      *session.Session // open while the command runs, where something is forwarded for it
	reach     *session.Reach
	began     time.Time
}

// runRun returns the exit status, and what is to be reported.
func runRun(ctx context.Context, c *call) (int, error) {
	r := &oneRun{call: c, began: time.Now()}
	if err := r.options(); err != nil {
		return exitNotOurs, err
	}
	whole := ctx
	if r.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, r.timeout, errTimeout)
		defer cancel()
	}
	r.recorder.Start()
	var machines []providers.Machine
	err := r.runnable() // before anything is made
	if err == nil {
		machines, err = r.bringUp(ctx)
	}
	if r.s == nil {
		status, left := r.statusOf(ctx, 0, err)
		if r.artifacts != "" {
			left = errors.Join(left, r.keepNothingMade(status, err))
		}
		return status, left
	}
	status, ran := 0, false
	why := err
	if err == nil {
		var variables []string
		if variables, err = r.variables(ctx, machines); err == nil {
			r.s.Close()
			status, err = r.command(whole, ctx, variables)
			_, not := errors.AsType[*notStarted](err)
			ran = !not && !errors.Is(err, errNotBegun)
		}
	}
	r.s.Close()
	r.unreach()
	return r.finish(whole, ctx, status, ran, why, err)
}

// errTimeout is why a run ended that took longer than it may.
var errTimeout = errors.New("--timeout is over")

func (r *oneRun) options() (err error) {
	if len(r.args) > 0 || len(r.after) == 0 {
		e := usagef("run takes a command behind --, got none")
		e.hint = "evenkeel run -- go test ./..."
		if len(r.args) > 0 {
			e = usagef("run takes a command behind --, got %s before it", listed(r.args))
			e.hint = "evenkeel run -- " + strings.Join(append(slices.Clone(r.args), r.after...), " ")
		}
		return e
	}
	if text := r.flag.String("timeout"); text != "" {
		if r.timeout, err = time.ParseDuration(text); err != nil || r.timeout <= 0 {
			return usagef("--timeout: got %q; allowed is a time like 90s or 30m", text)
		}
	}
	if r.within, err = r.deadline(); err != nil {
		return err
	}
	if dir := r.flag.String("artifacts"); dir != "" {
		r.artifacts = r.path(dir)
		if err := os.MkdirAll(r.artifacts, 0o700); err != nil { // before anything is made
			return fmt.Errorf("cannot make the folder for artifacts: %w", err)
		}
		if err := r.forgetEarlier(); err != nil {
			return err
		}
	}
	return nil
}

// bringUp makes the copy. r.s is there where it may have made anything.
func (r *oneRun) bringUp(ctx context.Context) ([]providers.Machine, error) {
	d, tell := r.show()
	defer d.stop()
	defer r.tellInterrupt(ctx, d, "removing what this run created")()
	o := r.sessionOptions()
	o.Progress = r.recorder.Tell(tell)
	o.Waiting = func(holder string) { d.note("waiting for " + holder) }
	if err := r.user().Sweep(time.Now()); err != nil { // nobody's run fails for what another one left
		r.log().Warn("what dead runs left on this computer stays", "error", err)
	}
	s, err := r.user().OpenFresh(ctx, session.Fresh{
		Load: r.definition, Tier: r.flag.String("tier"), Takes: r.timeout, Locked: r.flag.Bool("locked"),
		Wrote: func(recipe, file string) {
			d.note(fmt.Sprintf("wrote %s: every package of %s with its digest; commit it", r.shown(file), recipe))
		},
	}, o)
	if err != nil {
		return nil, err
	}
	r.s = s
	s.Deadline = r.within
	if short := s.Unmasked(); r.artifacts != "" && len(short) > 0 && !r.quiet() {
		d.note(fmt.Sprintf("artifacts may show %s: what is shorter than %d characters is not taken out of them", listed(short), providers.LeastSecret))
	}
	res, err := s.Up(ctx, providers.UpOptions{})
	r.recorder.Stop()
	d.stop()
	if err != nil {
		return nil, err
	}
	r.tell("%s: %s ready after %s", s.Plan.Env, machinesOf(len(res.Machines)), took(time.Since(r.began)))
	return res.Machines, nil
}

// tell says something to people, beside the command's own words.
func (r *oneRun) tell(format string, args ...any) {
	if !r.quiet() {
		fmt.Fprintf(r.Stderr, "evenkeel: %s\n", oneLine(fmt.Sprintf(format, args...)))
	}
}

// variables are what the command has beside ours.
func (r *oneRun) variables(ctx context.Context, machines []providers.Machine) (_ []string, err error) {
	if slices.ContainsFunc(machines, r.s.Carried) {
		o := r.sessionOptions()
		o.Identity = true
		if r.near, err = r.user().Reopen(ctx, r.s, o); err != nil {
			return nil, err
		}
		if r.reach, machines, err = r.near.Reach(ctx, machines); err != nil {
			return nil, err
		}
	}
	if r.scratch, err = r.user().NewScratch(r.s, r.flag.String("identity"), r.self(), machines); err != nil {
		return nil, err
	}
	list := append(r.s.Variables(machines), "EVENKEEL_SSH_CONFIG="+filepath.Join(r.scratch.Dir, session.SSHConfigName))
	if r.artifacts != "" {
		list = append(list, "EVENKEEL_ARTIFACTS="+r.artifacts)
	}
	return list, nil
}

// unreach ends what was forwarded for the command.
func (r *oneRun) unreach() {
	if r.reach != nil {
		r.reach.Close()
	}
	if r.near != nil {
		r.near.Close()
	}
}

// What keeps an ended run from ending.
const (
	artifactsTime = 5 * time.Minute
	downTime      = 10 * time.Minute
)

// finish tells what came of it, keeps artifacts and removes the copy. why is what the bring-up came to, err that and the command. It returns what failed since.
func (r *oneRun) finish(whole, ctx context.Context, status int, ran bool, why, err error) (int, error) {
	kept := false
	defer func() {
		switch {
		case r.scratch == nil:
		case kept:
			r.scratch.Keep()
		default:
			r.scratch.Close()
		}
	}()
	status, err = r.statusOf(ctx, status, err)
	if err != nil { // at once: what follows takes a while
		r.report(err)
	}
	failed := status != 0
	after := context.WithoutCancel(ctx)
	d, tell := r.show()
	defer d.stop()
	if whole.Err() == nil {
		defer r.tellInterrupt(whole, d, "removing the copy")()
	} else if ran {
		d.note("removing the copy; once more stops at once")
	}
	o := r.sessionOptions()
	o.Change, o.Identity, o.Progress = true, true, tell
	o.Waiting = func(holder string) { d.note("waiting for " + holder) }
	opening, cancel := context.WithTimeoutCause(after, downTime, fmt.Errorf("it could not be had within %s", downTime))
	p, openErr := r.user().Reopen(opening, r.s, o)
	cancel()
	var late []error
	if r.artifacts != "" {
		late = append(late, r.keep(after, p, runResult{Env: r.s.Plan.Env, Tier: r.s.Plan.Tier, Provider: r.s.Plan.Provider, Status: status, Ran: ran, Seconds: time.Since(r.began).Seconds()}, r.hinted(why)))
	}
	if openErr != nil {
		late = append(late, openErr, r.leftBehind())
		return orOurs(status), errors.Join(late...)
	}
	defer p.Close()
	interrupted := ctx.Err() != nil && !errors.Is(context.Cause(ctx), errTimeout)
	if failed && !interrupted && r.flag.Bool("keep-on-failure") {
		expires, err := p.Expires(after)
		if kept = err != nil || !expires.IsZero(); kept { // else nothing of it is there
			d.stop()
			until := "it expires"
			if err == nil {
				until = expires.Local().Format("15:04")
			}
			r.tell("%s is kept until %s: evenkeel status%s, then evenkeel down%s", p.Plan.Env, until, r.found(), r.found())
			return status, errors.Join(late...)
		}
	}
	down, cancel := context.WithTimeout(after, downTime)
	defer cancel()
	if _, err := p.Down(down, false); err != nil {
		late = append(late, err, r.leftBehind())
	} else {
		late = append(late, r.user().Forget(p.Plan.Project, p.Plan.Env))
	}
	d.stop()
	if err := errors.Join(late...); err != nil {
		return orOurs(status), err
	}
	r.tell("%s is removed", p.Plan.Env)
	return status, nil
}

// found are the options by which the copy is found again.
func (r *oneRun) found() string {
	words := fmt.Sprintf(" --tier %s --as %s", r.s.Plan.Tier, r.s.Copy())
	if file := r.flag.String("file"); file != "" {
		words = " -f " + quote(file) + words
	}
	return words
}

func (r *oneRun) leftBehind() error {
	return &usageError{
		text: fmt.Sprintf("%s could not be removed; it expires by itself, and then `evenkeel gc` removes it", r.s.Plan.Env),
		hint: "at once: evenkeel down" + r.found(),
	}
}

// orOurs is a command's status where that says that something failed, else that run did.
func orOurs(status int) int {
	if status == 0 {
		return exitNotOurs
	}
	return status
}

// statusOf is the exit status for a command's, or for err: and what of err is still to be said.
func (r *oneRun) statusOf(ctx context.Context, status int, err error) (int, error) {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errTimeout) && (err != nil || status != 0):
		over := fmt.Errorf("%w: it was %s", errTimeout, r.timeout)
		if err == nil || errors.Is(err, errNotBegun) {
			return exitTimeout, over
		}
		return exitTimeout, errors.Join(over, r.hinted(err)) // where it stood
	case err == nil:
		return status, nil
	case errors.Is(cause, context.Canceled): // whatever failed then: nobody wants it any more
		return exitInterrupted, errors.Join(notCancels(err)...)
	}
	if e, ok := errors.AsType[*notStarted](err); ok {
		return e.status, err
	}
	return exitNotOurs, r.hinted(err)
}

// hinted says of machines that are about to go how they can be looked into.
func (r *oneRun) hinted(err error) error {
	if r.s == nil || err == nil {
		return err
	}
	list := flatten(err)
	for i, e := range list {
		if s, ok := errors.AsType[*providers.StageError](e); ok && strings.HasPrefix(s.Hint, providers.HintLookInto) {
			told := *s
			told.Hint = "its journal is in the artifacts (--artifacts DIR); --keep-on-failure keeps the copy to look into it"
			if r.flag.Bool("keep-on-failure") {
				told.Hint = "look into it with: evenkeel ssh" + r.found() + " " + s.Machine + " -- journalctl -b -p warning"
			}
			list[i] = &told
		}
	}
	return errors.Join(list...)
}

// keepFile writes one artifact.
func (r *oneRun) keepFile(name string, text []byte) error {
	return writeFile(filepath.Join(r.artifacts, name), text)
}
