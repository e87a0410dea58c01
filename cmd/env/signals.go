// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// interrupted is why a context ended: a signal asked for it.
type interrupted struct{ signal os.Signal }

func (e interrupted) Error() string {
	if s, ok := e.signal.(syscall.Signal); ok {
		return "interrupted by " + unix.SignalName(s)
	}
	return "interrupted"
}

// Is makes an interruption what it is to all others: a cancelled context.
func (e interrupted) Is(target error) bool { return target == context.Canceled }

// oneSignal is how far apart signals may be that are one: timeout(1) signals its command, and then the process group that the command is in. No
// finger is as quick.
const oneSignal = 150 * time.Millisecond

// untilInterrupted is a context that the first INT, TERM or HUP cancels, with that as its cause; each further one calls again. What the caller ignores
// (nohup, jobs of scripts) stays ignored.
func untilInterrupted(ctx context.Context, again func()) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case s := <-signals:
			cancel(interrupted{s})
		case <-done:
			return
		}
		for last := time.Now(); ; {
			select {
			case <-signals:
				if now := time.Now(); now.Sub(last) > oneSignal {
					last = now
					again()
				}
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		<-ended
		cancel(nil)
	}
}
