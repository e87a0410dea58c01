// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/sync"
)

func (a *App) syncVerb() verb {
	return verb{
		name: "sync", args: "[NAME...]", about: "keep the project's code and the machines' alike, both ways (local tiers)",
		more: "What changed on one side since the last sync is carried to the other, deletions too; what git ignores stays where it is. What changed on both is a conflict: " +
			"neither side is touched, and the exit status is 2, until --prefer says which side is right. `evenkeel up` does a first sync. " +
			"On tiers that are not on this computer `evenkeel up` delivers the commit instead.",
		flags: []cli.Flag{
			boolFlag("watch", "go on until interrupted: changes on either side are carried over as they happen", "w"),
			&cli.StringFlag{Name: "prefer", Usage: "settle conflicts for `SIDE`: local or machine"},
		},
		run: runSync,
	}
}

// allowDirtyFlag is for the verbs that deliver code.
func allowDirtyFlag() cli.Flag {
	return boolFlag("allow-dirty", "elsewhere than on this computer: deliver code that differs from its commit, recorded as COMMIT-dirty")
}

// synced is what `sync --json` prints. docs/json.md describes it.
type synced struct {
	Env     string                 `json:"env"`
	Changed bool                   `json:"changed"`
	Folders []providers.CodeResult `json:"folders"`
}

func runSync(ctx context.Context, c *call) error {
	if c.cut {
		return usagef("sync takes machine names, got -- besides")
	}
	prefer := sync.Side(c.flag.String("prefer"))
	if prefer != "" && prefer != sync.Host && prefer != sync.Machine {
		return usagef("--prefer: got %q; allowed are local, machine", prefer)
	}
	watch := c.flag.Bool("watch")
	if watch && (prefer != "" || c.json()) {
		return usagef("--watch goes with neither --prefer nor --json")
	}
	d, tell := c.show()
	defer d.stop()
	if watch {
		d.stop()
		tell = nil
	}
	p, err := c.open(ctx, placeOptions{identity: true, progress: tell})
	if err != nil {
		return err
	}
	defer p.close()
	if watch {
		return c.watch(ctx, p)
	}
	list, err := p.SyncCode(ctx, c.args, prefer)
	d.stop()
	if print := c.printSynced(p, list); err == nil {
		err = print
	}
	if err == nil && conflicts(list) > 0 {
		return exitStatus(exitDiffers)
	}
	return err
}

func (c *call) printSynced(p *place, list []providers.CodeResult) error {
	if c.json() {
		r := synced{Env: p.Plan.Env, Folders: append([]providers.CodeResult{}, list...)}
		for _, f := range list {
			r.Changed = r.Changed || f.Changed()
		}
		return c.printJSON(r)
	}
	for _, f := range list {
		if err := c.printf("%s\n", oneLine(c.folderLine(&f.Result)+" ("+took(time.Duration(f.Seconds*float64(time.Second)))+")")); err != nil {
			return err
		}
	}
	c.printConflicts(list)
	return nil
}

// folderLine says what became of one folder.
func (c *call) folderLine(r *sync.Result) string {
	var did []string
	for _, n := range []struct {
		n    int
		what string
	}{{r.Pushed, "to the machine"}, {r.Pulled, "from it"}, {r.Removed, "deleted"}} {
		if n.n > 0 {
			did = append(did, fmt.Sprintf("%s %s", counted(n.n, "file"), n.what))
		}
	}
	if len(did) == 0 {
		did = []string{"nothing to do"}
	}
	text := fmt.Sprintf("%s: %s and %s: %s; %s alike", r.Machine, c.shown(r.From), r.To, strings.Join(did, ", "), counted(r.Files, "file"))
	if r.Foreign > 0 {
		text += fmt.Sprintf(", %s of other users left on the machine", counted(r.Foreign, "file"))
	}
	return text
}

func conflicts(list []providers.CodeResult) int {
	n := 0
	for _, f := range list {
		n += len(f.Conflicts)
	}
	return n
}

// shownConflicts is how many conflicts of a folder are named; --json has all.
const shownConflicts = 20

// printConflicts names what was not synced and what to do. It is told like an error, since the user believes both sides to be alike.
func (c *call) printConflicts(list []providers.CodeResult) {
	for _, f := range list {
		if f.Commit != "" {
			continue
		}
		for i, x := range f.Conflicts {
			if i == shownConflicts {
				fmt.Fprintf(c.Stderr, "evenkeel: %s: and %d more\n", f.Machine, len(f.Conflicts)-i)
				break
			}
			fmt.Fprintf(c.Stderr, "evenkeel: CONFLICT on %s, neither side was touched: %s\n", f.Machine, oneLine(conflictLine(f.To, x)))
		}
		if len(f.Conflicts) > 0 {
			fmt.Fprintf(c.Stderr, "  hint: look at both, then: evenkeel sync %s --prefer local, or: evenkeel sync %s --prefer machine\n", f.Machine, f.Machine)
		}
		for _, p := range slices.Sorted(maps.Keys(f.Skipped)) {
			if !c.quiet() {
				fmt.Fprintf(c.Stderr, "evenkeel: %s: not synced: %s: %s\n", f.Machine, oneLine(p), oneLine(f.Skipped[p]))
			}
		}
	}
}

func conflictLine(to string, x sync.Conflict) string {
	text := strings.TrimSuffix(to, "/") + "/" + x.Path + ": " + x.Why
	var when []string
	if !x.Host.IsZero() {
		when = append(when, "here "+x.Host.Local().Format(time.DateTime))
	}
	if !x.Machine.IsZero() {
		when = append(when, "there "+x.Machine.Local().Format(time.DateTime))
	}
	if len(when) > 0 {
		text += " (" + strings.Join(when, ", ") + ")"
	}
	return text
}

// watch tells each change on a line of its own, until the user has enough.
func (c *call) watch(ctx context.Context, p *place) error {
	fmt.Fprintf(c.Stderr, "evenkeel: syncing %s until interrupted\n", p.Plan.Env)
	var failed error
	err := p.WatchCode(ctx, c.args, func(s sync.Seen) {
		stamp := time.Now().Format(time.TimeOnly)
		if s.Note != "" {
			text := s.Note
			if s.Machine != "" {
				text = s.Machine + ": " + text
			}
			fmt.Fprintf(c.Stderr, "evenkeel: %s %s\n", stamp, oneLine(text))
		}
		if s.Result == nil {
			return
		}
		if err := c.printf("%s %s\n", stamp, oneLine(c.folderLine(s.Result))); failed == nil {
			failed = err
		}
		c.printConflicts([]providers.CodeResult{{Result: *s.Result}})
	})
	if err != nil {
		return err
	}
	return failed
}
