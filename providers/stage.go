// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/providers/ssh"
)

// The stages of bringing up a machine, in order, as Progress and StageError name them.
const (
	StageImage   = "image"   // building the image and bringing it to the place
	StageCreate  = "create"  // until the place says it runs
	StageBoot    = "boot"    // until SSH answers
	StageContact = "contact" // until it has its own, final host certificate
	StageSettle  = "settle"  // names, keys, settings, rules; first boot's steps
	StageCode    = "code"    // the project's code, synced or delivered
	StageHealth  = "health"
	StageReady   = "ready"
)

// StageError is a machine that did not get ready: where it stood, why, and what it last said.
type StageError struct {
	Machine string
	Stage   string
	Elapsed time.Duration // in this stage
	Err     error         // its text is without the secrets that the core knows
	Console string        // last lines of the console, without the secrets that the core knows; untrusted: print through Printable
	Hint    string
}

func (e *StageError) Error() string {
	return fmt.Sprintf("cannot bring up machine %s: stage %s failed after %s: %v", e.Machine, e.Stage, e.Elapsed.Round(100*time.Millisecond), e.Err)
}

func (e *StageError) Unwrap() error { return e.Err }

// stage tells Progress that a machine's stage begins, runs f, and wraps what f returns.
func (c *Core) stage(ctx context.Context, m, stage string, f func() error) error {
	c.Progress.Emit(Event{Subject: m, Stage: stage})
	began := time.Now()
	err := f()
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*StageError](err); ok || ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return err
	}
	return &StageError{Machine: m, Stage: stage, Elapsed: time.Since(began), Err: c.hidden(err), Hint: hintFor(m, stage, err)}
}

// HintLookInto begins the hint of a StageError whose machine stays and can be logged in to; who removes it, or calls the environment otherwise, has another one.
const HintLookInto = "look into it with"

func hintFor(m, stage string, err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Hint != "" {
		return e.Hint
	}
	switch {
	case errors.Is(err, ssh.ErrUntrusted):
		return "something else answers in its place; look at it before you do anything, then: evenkeel rebuild " + m
	case errors.Is(err, ssh.ErrAuth):
		return "its keys are not yours: name the right one with --identity, or: evenkeel rebuild " + m
	case errors.Is(err, ssh.ErrUnfinished):
		return "the run that made it may go on: wait for it; if it ended, `evenkeel up` by its owner, or in an hour by anybody, remakes it; at once: evenkeel rebuild " + m
	case stage == StageBoot:
		return "read the console above; a slower machine needs a longer --within"
	case stage == StageSettle || stage == StageHealth:
		return HintLookInto + ": evenkeel ssh " + m + " -- journalctl -b -p warning"
	}
	return ""
}

// consoleMax bytes of a console are enough for the lines that say why, never a flood.
const consoleMax = 4 << 10

// addConsole puts the console's tail on a machine's failure, where the place keeps one.
func (c *Core) addConsole(ctx context.Context, err error, id string) {
	e, ok := errors.AsType[*StageError](err)
	if !ok || id == "" || e.Console != "" {
		return
	}
	console, ok := As[Consoler](c.Provider)
	if !ok {
		return
	}
	ctx, cancel := undo(ctx)
	defer cancel()
	if text, err := console.Console(ctx, id, consoleMax); err == nil {
		e.Console = string(c.Hide(text))
	} else {
		c.log().Debug("no console", "machine", e.Machine, "error", err)
	}
}
