// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/internal/bounded"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// LogOptions choose what of each machine's journal is read, as journalctl(1) has them.
type LogOptions struct {
	Follow bool          // go on until the context ends
	Since  string        // a time as journalctl reads it, by the machine's clock; "": no bound
	Ago    time.Duration // so long ago, in place of Since
	Lines  int           // the last so many of each machine; negative: all
	Unit   string        // of this unit only
	Boot   bool          // since the machine's last boot
	Full   bool          // records with all their fields, not just those that LogRecord names

	after string // go on behind the record of this cursor, whatever else is asked for
}

func (o LogOptions) line() string {
	words := []string{"exec sudo -n journalctl --no-pager --quiet --output=json"}
	add := func(name, value string) { words = append(words, name+"="+ssh.Quote(value)) }
	if !o.Full {
		add("--output-fields", "MESSAGE,SYSLOG_IDENTIFIER,_COMM,_PID,PRIORITY,_SYSTEMD_UNIT")
	}
	if o.Follow {
		words = append(words, "--follow")
	}
	if o.Unit != "" {
		add("--unit", o.Unit)
	}
	switch {
	case o.after != "":
		add("--after-cursor", o.after)
		add("--lines", "all")
		return strings.Join(words, " ")
	case o.Since != "":
		add("--since", o.Since)
	case o.Ago > 0:
		add("--since", fmt.Sprintf("-%ds", int64((o.Ago+time.Second-1)/time.Second)))
	}
	if o.Boot {
		words = append(words, "--boot")
	}
	if o.Lines >= 0 {
		add("--lines", strconv.Itoa(o.Lines))
	} else if o.Follow {
		add("--lines", "all")
	}
	return strings.Join(words, " ")
}

// LogFailure says whose journal could not be read, or not to its end.
type LogFailure struct {
	Machine string
	Err     error
}

// Logs hands the records of the named machines' journals (all where names is empty) to out, merged by time, one after the other. A machine that cannot be read is
// told to failed at once and holds up the others for logPatience at most; one that is lost while o.Follow is told too, and read on from where it was when it
// answers again. It returns when all journals ended, or ctx did, which is no error while
// o.Follow; an error of out ends it and is returned. out and failed are not called by two at once.
func (c *Core) Logs(ctx context.Context, names []string, o LogOptions, out func(LogRecord) error, failed func(LogFailure)) error {
	picked, have, err := c.pickFound(ctx, names)
	if err != nil {
		return err
	}
	if len(names) == 0 { // what was never made has nothing to say
		picked = slices.DeleteFunc(slices.Clone(picked), func(p envs.Machine) bool { _, ok := have.now[p.Name]; return !ok })
	}
	if len(picked) == 0 {
		return &Error{Code: NotFound, Op: "read", Subject: "journals of environment " + c.Plan.Env, Err: errors.New("none of its machines exists"), Hint: "evenkeel up"}
	}
	run, stop := context.WithCancel(ctx)
	defer stop()
	m := newMerge(o.Follow)
	for _, p := range picked {
		there, ok := have.now[p.Name]
		s := m.source(p.Name)
		m.readers.Go(func() {
			err := errors.New("it does not exist")
			if ok {
				err = c.journalOn(run, there, o, m, s)
			}
			m.end(s, err)
		})
	}
	err = m.run(run, out, failed)
	stop()
	m.readers.Wait()
	if err != nil && ctx.Err() != nil && o.Follow {
		return nil
	}
	return err
}

// logRedial is the pause before a machine that was lost is asked for again.
const logRedial = 2 * time.Second

// journalOn reads one machine's journal, and while it is followed goes on after the connection was lost.
func (c *Core) journalOn(ctx context.Context, there Machine, o LogOptions, m *merge, s *logSource) error {
	for {
		lines := &logLines{machine: s.name, send: func(r LogRecord) error { return m.send(ctx, s, r) }}
		err := c.journal(ctx, there, o, m, s, lines)
		connected, _ := s.state()
		exit, ended := errors.AsType[*ssh.ExitError](err)
		if !o.Follow || !connected || ctx.Err() != nil || ended && exit.Signal == "" && exit.Status < 128 { // journalctl does not like the question
			return err
		}
		if err != nil {
			m.lost(s, fmt.Errorf("%w; it is read on when it answers again", err))
		}
		if lines.cursor != "" {
			o.after = lines.cursor
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(logRedial):
		}
		if have, err := c.found(ctx); err == nil {
			there = have.now[s.name] // it may answer elsewhere now
		}
	}
}

// journal reads one machine's journal into lines.
func (c *Core) journal(ctx context.Context, there Machine, o LogOptions, m *merge, s *logSource, lines *logLines) error {
	client, err := c.Dial(ctx, there, "")
	if err != nil {
		return err
	}
	defer client.Close()
	m.begin(s)
	var said bounded.Tail
	if err := client.Run(ctx, ssh.Command{Line: o.line(), Stdout: lines, Stderr: &said}); err != nil {
		return withOutput(err, &said)
	}
	return lines.close()
}
