// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/internal/bounded"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// standBeside makes a second machine in the role of m, beside old, which goes on to serve. It publishes nothing yet: loopback ports are old's. An old
// one that does not answer is not waited for in what follows.
func (r *run) standBeside(ctx context.Context, m envs.Machine, old Machine) error {
	c := r.core
	if err := c.asks(ctx, m, old); err != nil && !errors.Is(err, errSick) {
		r.mu.Lock()
		r.silent[old.ID] = true
		r.mu.Unlock()
	}
	spec := r.spec(m)
	spec.Name, spec.Publish = old.beside(), nil
	if ports := portsText(old.Ports); ports != "" {
		spec.Labels[LabelPorts] = ports
	}
	made, err := c.make(ctx, m, spec, r.refs)
	if err != nil {
		return err
	}
	r.keepFresh(made)
	return nil
}

// succeed removes old, whose successor is healthy, and gives that its published ports.
func (r *run) succeed(ctx context.Context, m envs.Machine, old Machine) error {
	c := r.core
	if err := r.remove(ctx, old); err != nil {
		return err
	}
	young := r.young(m.Name)
	if !c.Plugin.Traits.Local || len(m.Publish) == 0 {
		return nil
	}
	put, err := c.putPorts(ctx, m, young)
	if err != nil {
		return err
	}
	if put.ID != young.ID {
		return &Error{Code: Conflict, Op: "replace", Subject: "machine " + m.Name, Err: errors.New("it was made anew meanwhile: somebody else works on this environment"), Hint: "evenkeel up"}
	}
	return nil
}

// takeAway removes the new machines of a batch that failed, so that the old ones serve on as before; what the new ones last said goes into why they
// failed. The others are told in their settlement, as far as they can be reached: until then their rules let in an address that nobody has.
func (r *run) takeAway(ctx context.Context, why error, surged []envs.Machine) error {
	c := r.core
	if len(surged) == 0 {
		return nil
	}
	r.addLastWords(ctx, why)
	after, cancel := undo(ctx)
	defer cancel()
	err := each(surged, func(m envs.Machine) error {
		c.Progress.Emit(Event{Subject: m.Name, Stage: "undo"})
		return r.remove(after, r.young(m.Name))
	})
	if err != nil {
		return err
	}
	for _, m := range surged {
		r.forget(m.Name)
	}
	if _, err := r.finish(after, nil); err != nil {
		c.log().Warn("the old machines serve on, but not all could be told that the new ones are gone", "error", err)
	}
	return nil
}

// lastWords bounds asking a machine that failed for its journal.
const lastWords = 10 * time.Second

// addLastWords puts the end of a failed new machine's console and journal on its error.
func (r *run) addLastWords(ctx context.Context, why error) {
	e, ok := errors.AsType[*StageError](why)
	if !ok || e.Console != "" {
		return
	}
	young := r.young(e.Machine)
	if young.ID == "" {
		return
	}
	r.core.addConsole(ctx, why, young.ID)
	client := r.client(young)
	if client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	var said bounded.Tail
	err := client.Run(ctx, ssh.Command{Line: "sudo -n journalctl -b -p warning -n 10 --no-pager -o cat", Stdout: &said, Stderr: &said})
	if err == nil {
		e.Err = r.core.hidden(withOutput(fmt.Errorf("%w (it is removed, the old one serves on)", e.Err), &said))
	}
}

// forget drops what was said of a role that this run did nothing to in the end.
func (r *run) forget(role string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.changes, role)
}
