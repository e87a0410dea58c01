// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/evenkeel/evenkeel/internal/bounded"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// look is what a machine says of itself before it is settled; zero for one that was made a moment ago.
type look struct {
	record      record
	certificate []byte // PEM; what PathTLS holds
	authorities []byte
	clockOff    bool
}

// settle brings the machines of running, whose environment holds all, to what they must hold, delivers code, and returns by ID those that are known to be
// healthy since: where nothing had to be laid anywhere, health is asked for meanwhile, so that `up` of an environment that is as defined waits
// for no machine twice.
func (r *run) settle(ctx context.Context, running []seat, all []Machine) (healthy map[string]bool, err error) {
	c := r.core
	asked := newProbes(ctx)
	defer asked.stop()
	looks := make([]look, len(running))
	err = each(indexes(running), func(i int) error {
		s := running[i]
		client, err := r.connect(ctx, s.there)
		if err != nil || !client.Finished() { // it was made a moment ago
			return err
		}
		asked.ask(client, s.there, s.Health)
		return c.stage(ctx, s.Name, StageSettle, func() (err error) {
			looks[i], err = c.lookAt(ctx, client)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	certificates, err := c.certify(running, looks)
	if err != nil {
		return nil, err
	}
	var laid atomic.Bool
	err = each(indexes(running), func(i int) error {
		s := running[i]
		want := c.newSettlement(s, all, certificates[i])
		if len(want.record(looks[i].record).changed(looks[i].record)) > 0 || !r.client(s.there).Finished() {
			laid.Store(true)
			if err := r.lay(ctx, s, want, looks[i].record); err != nil {
				return err
			}
		}
		return r.deliver(ctx, s.Machine, s.there)
	})
	delivers := func(s seat) bool { return len(s.Code) > 0 }
	if err != nil || laid.Load() || slices.ContainsFunc(running, delivers) {
		return nil, err
	}
	return asked.healthy(), nil
}

// connect is the run's connection to a machine.
func (r *run) connect(ctx context.Context, there Machine) (*ssh.Client, error) {
	if client := r.client(there); client != nil {
		return client, nil
	}
	client, err := r.core.bootAndContact(ctx, there, nil)
	if err != nil {
		return nil, err
	}
	r.keep(there, client)
	return client, nil
}

// lay settles one machine and notes what changed.
func (r *run) lay(ctx context.Context, s seat, want settlement, before record) error {
	c := r.core
	client := r.client(s.there)
	return c.stage(ctx, s.Name, StageSettle, func() error {
		ctx, cancel := context.WithTimeoutCause(ctx, c.settleDeadline(), fmt.Errorf("not settled within %s", c.settleDeadline()))
		defer cancel()
		if !client.Finished() {
			return r.settleNew(ctx, s.there, want, client)
		}
		restarted, err := want.lay(ctx, client, before)
		if err != nil {
			return err
		}
		r.noteLaid(s.Name, reasons(want.record(before).changed(before), before, restarted)...)
		return nil
	})
}

// reasons say for people why a machine was settled, and what came of it.
func reasons(changed []string, before record, restarted []string) []string {
	var said []string
	switch {
	case len(before.parts) == 0:
		said = []string{"it was not settled in full"}
	case slices.Equal(changed, []string{partScript}):
		said = []string{"another version of Evenkeel settled it"}
	default:
		changed = slices.DeleteFunc(changed, func(part string) bool { return part == partScript })
		said = []string{strings.Join(changed, ", ") + " changed"}
	}
	if len(restarted) > 0 {
		said = append(said, "restarted "+strings.Join(restarted, ", "))
	}
	return said
}

// settleNew settles a new machine over the session of first contact, and meanwhile proves that it shows its final certificate; the proven
// connection takes the other's place.
func (r *run) settleNew(ctx context.Context, there Machine, want settlement, first *ssh.Client) error {
	var proven *ssh.Client
	err := each([]func() error{
		func() error {
			_, err := want.lay(ctx, first, record{})
			return err
		},
		func() (err error) {
			proven, err = r.core.prove(ctx, there)
			return err
		},
	}, func(f func() error) error { return f() })
	if proven != nil {
		r.keep(there, proven)
	}
	return err
}

// lookLine prints the clock, the record and the certificates, in one process beside the shell. Bash has the time without one.
const lookLine = `set --
for f in ` + PathSettled + ` ` + PathCertificate + ` ` + PathAuthorities + `; do [ ! -e "$f" ] || set -- "$@" "$f"; done
echo "clock ${EPOCHREALTIME:-$(date +%s.%N)}"
[ $# -eq 0 ] || exec cat "$@"`

// readLook reads what a machine says of itself, in one exec.
func readLook(ctx context.Context, client *ssh.Client) (look, error) {
	out, said := bounded.Limited{Most: maxLook}, bounded.Tail{}
	began := time.Now()
	if err := client.Run(ctx, ssh.Command{Line: lookLine, Stdout: &out, Stderr: &said}); err != nil {
		return look{}, withOutput(err, &said)
	}
	return parseLook(out.String(), began, time.Now()), nil
}

// parseLook reads what lookLine printed between began and ended. What is not as expected comes to a look that nothing equals.
func parseLook(said string, began, ended time.Time) look {
	text, pem, found := strings.Cut(said, pemBegin)
	l := look{record: parseRecord([]byte(text)), clockOff: clockOff(text, began, ended)}
	if found {
		l.certificate, l.authorities = firstPEM([]byte(pemBegin + pem))
	}
	return l
}

// lookAt reads what a machine says of itself. Where it runs on this computer and its clock is off, as after its memory was kept for a while, the clock
// is set: a certificate may seem not to be valid yet else.
func (c *Core) lookAt(ctx context.Context, client *ssh.Client) (look, error) {
	l, err := readLook(ctx, client)
	if err == nil && l.clockOff && c.Plugin.Traits.Local && !c.Plugin.Traits.HostKernel {
		err = setClock(ctx, client)
	}
	return l, err
}

// clockSlack is what a clock may be off: the time of a machine's first answers in emulation is read no better.
const clockSlack = 2 * time.Second

// clockOff: the time that a machine said between began and ended is none of between. One that says none is believed.
func clockOff(text string, began, ended time.Time) bool {
	first, _, _ := strings.Cut(text, "\n")
	value, ok := strings.CutPrefix(first, "clock ")
	seconds, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if !ok || err != nil || seconds < 0 || seconds > 1<<40 {
		return false
	}
	is := time.UnixMilli(int64(seconds * 1000))
	return is.Before(began.Add(-clockSlack)) || is.After(ended.Add(clockSlack))
}

func setClock(ctx context.Context, client *ssh.Client) error {
	var said bounded.Tail
	now := time.Now()
	line := fmt.Sprintf("sudo -n date -u -s @%d.%09d", now.Unix(), now.Nanosecond())
	if err := client.Run(ctx, ssh.Command{Line: line, Stderr: &said}); err != nil {
		return fmt.Errorf("cannot set its clock: %w", withOutput(err, &said))
	}
	return nil
}
