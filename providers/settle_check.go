// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// readyTime bounds the look at one machine: a connection, and two commands.
const readyTime = 30 * time.Second

// errNotCompared says that all that could be compared is right, and that something could not.
var errNotCompared = errors.New("cannot say whether it is ready")

// ready says why a machine is not running, finished, settled and healthy; nil where it is, errNotCompared where that is not known. It takes readyTime
// at most, less where the deadline is shorter.
func (c *Core) ready(ctx context.Context, m envs.Machine, there Machine, all []Machine) error {
	limit := min(readyTime, c.deadline())
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w in full within %s", ssh.ErrUnreachable, limit))
	defer cancel()
	client, err := c.Dial(ctx, there, "")
	if errors.Is(err, ssh.ErrUnfinished) {
		return fmt.Errorf("%w: a run did not end well, `evenkeel up` remakes it", err)
	}
	if err != nil {
		return err
	}
	defer client.Close()
	seen, err := readLook(ctx, client)
	if err != nil {
		return err
	}
	s := seat{m, there}
	certificate, reason := c.keeps(s, seen)
	if reason != "" {
		return fmt.Errorf("%s: `evenkeel up` renews it", reason)
	}
	want := c.newSettlement(s, all, certificate)
	changed := want.record(seen.record).changed(seen.record)
	switch {
	case len(seen.record.parts) == 0:
		return errors.New("it is not settled: `evenkeel up` settles it")
	case slices.Equal(changed, []string{partScript}):
		return errors.New("another version of Evenkeel settled it: `evenkeel up` does it anew")
	case len(changed) > 0:
		return fmt.Errorf("%s not as defined: `evenkeel up` lays them", strings.Join(changed, ", "))
	}
	if m.Health != nil {
		if err := probe(ctx, client, there, m.Health); err != nil {
			return err
		}
	}
	if len(want.unread) > 0 {
		return fmt.Errorf("%w: its %s were not read here", errNotCompared, strings.Join(want.unread, ", "))
	}
	return nil
}
