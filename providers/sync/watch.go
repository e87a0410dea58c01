// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	gosync "sync"
	"time"

	"github.com/evenkeel/evenkeel/providers/ssh"
)

// Watched is a machine whose pairs of folders are kept alike.
type Watched struct {
	Machine string
	Pairs   []Pair
	// Session logs in: as the user who owns the files, and as one who may become root by sudo; both may be one. It looks the machine up each time, since a
	// restart may change where it answers. done ends both.
	Session func(ctx context.Context) (client *ssh.Client, o Options, done func(), err error)
}

// Seen is what Watch tells: a Result that changed something or whose conflicts are new, or a Note for people, or both.
type Seen struct {
	Machine string
	Result  *Result
	Note    string
}

const (
	// pollEvery is how often a machine is asked whether its folder changed. Where asking takes long the pause is pollShare times that: a big tree must
	// not keep the machine busy.
	pollEvery = 2 * time.Second
	pollShare = 10
	// A burst of changes is carried over when it has been quiet for settleTime, or has lasted burstTime.
	settleTime = 100 * time.Millisecond
	burstTime  = time.Second
	// redialMost bounds the pause between attempts to reach a machine that went.
	redialMost = 5 * time.Second
)

// Watch keeps all of list alike until ctx ends, which is no error. A machine that does not answer, one that restarts for example, is waited for. tell is not
// called by two at once.
func Watch(ctx context.Context, list []Watched, tell func(Seen)) error {
	var telling gosync.Mutex
	say := func(s Seen) {
		telling.Lock()
		defer telling.Unlock()
		tell(s)
	}
	ctx, stop := context.WithCancel(ctx)
	var all gosync.WaitGroup
	defer all.Wait()
	defer stop()
	hosts := map[string]*hostWatch{}
	for _, w := range list {
		for _, p := range w.Pairs {
			if hosts[p.From] != nil {
				continue
			}
			h, err := newHostWatch(ctx, p.From)
			if err != nil {
				for _, begun := range hosts {
					begun.close()
				}
				return err
			}
			hosts[p.From] = h
		}
	}
	var work gosync.WaitGroup
	for _, w := range list {
		for _, p := range w.Pairs {
			l := &loop{watched: w, pair: p, say: say, changed: hosts[p.From].subscribe()}
			work.Go(func() { l.run(ctx) })
		}
	}
	for _, h := range hosts {
		all.Go(func() { h.run(ctx, func(note string) { say(Seen{Note: note}) }) })
	}
	work.Wait() // they end with ctx
	return nil
}

// loop keeps one pair alike.
type loop struct {
	watched Watched
	pair    Pair
	say     func(Seen)
	changed <-chan struct{}
	told    []Conflict // the last conflicts told
	failed  string     // the last failure told
}

// run connects, works until the connection is lost, and begins again, until ctx ends.
func (l *loop) run(ctx context.Context) {
	wait, lost := 200*time.Millisecond, false
	for ctx.Err() == nil {
		client, o, done, err := l.watched.Session(ctx)
		if err != nil {
			if !lost && ctx.Err() == nil {
				l.say(Seen{Machine: l.pair.Machine, Note: "waiting for it: " + err.Error()})
			}
			lost = true
			pause(ctx, wait)
			wait = min(2*wait, redialMost)
			continue
		}
		if lost {
			l.say(Seen{Machine: l.pair.Machine, Note: "it answers again"})
		}
		wait, lost = 200*time.Millisecond, false
		l.work(ctx, client, o)
		done()
	}
}

// work syncs whenever either side changed, until the connection is lost or ctx ends.
func (l *loop) work(ctx context.Context, client *ssh.Client, o Options) {
	m := machine{client, l.pair.To}
	known := ""
	for {
		// Before the sync: what changes during it shows in the next digest.
		now, span, err := l.digest(ctx, m)
		if err == nil && now != known {
			known = now
			err = l.once(ctx, client, o)
		}
		for err == nil && l.quiet(ctx, max(pollEvery, pollShare*span)) {
			err = l.once(ctx, client, o)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil: // time to ask the machine
		case !alive(ctx, client):
			l.say(Seen{Machine: l.pair.Machine, Note: "the connection is lost"})
			return
		default:
			if err.Error() != l.failed {
				l.failed = err.Error()
				l.say(Seen{Machine: l.pair.Machine, Note: l.failed})
			}
			known = ""
			pause(ctx, pollEvery)
		}
	}
}

func (l *loop) digest(ctx context.Context, m machine) (string, time.Duration, error) {
	began := time.Now()
	text, err := m.digest(ctx)
	return text, time.Since(began), err
}

// quiet waits for a change on the host, and for the end of its burst. It is false when the time is over, or ctx ends.
func (l *loop) quiet(ctx context.Context, most time.Duration) (changed bool) {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(most):
		return false
	case <-l.changed:
	}
	for end := time.Now().Add(burstTime); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return false
		case <-l.changed:
		case <-time.After(settleTime):
			return true
		}
	}
	return true
}

// once syncs, and tells what is new.
func (l *loop) once(ctx context.Context, client *ssh.Client, o Options) error {
	res, err := Sync(ctx, client, l.pair, o)
	if err != nil {
		return err
	}
	l.failed = ""
	if res.Changed() || !slices.Equal(res.Conflicts, l.told) {
		l.say(Seen{Machine: l.pair.Machine, Result: res})
	}
	l.told = res.Conflicts
	return nil
}

// alive says whether the session still answers.
func alive(ctx context.Context, client *ssh.Client) bool {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("no answer"))
	defer cancel()
	err := client.Run(ctx, ssh.Command{Line: "true"})
	_, exit := errors.AsType[*ssh.ExitError](err)
	return err == nil || exit
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// polls is why the host's folder is polled.
func polls(dir string, err error) string {
	return fmt.Sprintf("%s is looked through every %s, since the system does not tell of changes in it (%v); `sysctl fs.inotify.max_user_watches` may be too small", dir, pollEvery, err)
}
