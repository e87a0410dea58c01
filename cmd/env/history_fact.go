// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/store"
)

// factHistory tells when a fact changed.
func (c *call) factHistory(ctx context.Context, s *store.Store, def *envs.Definition, o historyOptions) error {
	if s == nil {
		e := usagef("cannot tell the history of %s: no audit was kept yet", o.key)
		e.hint = "evenkeel audit"
		return e
	}
	section, key, _ := strings.Cut(o.key, "/")
	all, err := s.History(ctx, def.ID, section, key, o.since)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		// It may be that nothing changed since, or that there is no such fact.
		ever := all
		if !o.since.IsZero() {
			if ever, err = s.History(ctx, def.ID, section, key, time.Time{}); err != nil {
				return err
			}
		}
		if len(ever) == 0 {
			return c.noSuchFact(ctx, s, def, o.key)
		}
	}
	list := changeList{Project: def.ID, Key: o.key, Changes: []store.Change{}}
	for _, change := range all {
		if o.has(change.Tier) {
			list.Changes = append(list.Changes, change)
		}
	}
	if c.json() {
		return c.printJSON(list)
	}
	return c.printChanges(list.Changes, o)
}

// maxSuggestions is how many facts are listed to somebody who named none.
const maxSuggestions = 20

// noSuchFact is the error that names those that may have been meant.
func (c *call) noSuchFact(ctx context.Context, s *store.Store, def *envs.Definition, key string) error {
	e := usagef("no audit of %s that is kept has the fact %s", def.Name, key)
	near, err := s.Keys(ctx, def.ID, key, maxSuggestions+1)
	if err != nil {
		return err
	}
	if len(near) == 0 {
		all, err := s.Keys(ctx, def.ID, "", math.MaxInt)
		if err != nil {
			return err
		}
		if one := nearest(key, all); one != "" {
			near = []string{one}
		}
		if near == nil {
			e.hint = "a fact is named SECTION/KEY; there are " + strings.Join(sectionsOf(all), ", ")
			return e
		}
	}
	more := ""
	if len(near) > maxSuggestions {
		near, more = near[:maxSuggestions], "\n    and others"
	}
	for i := range near {
		near[i] = clipped(oneLine(near[i]))
	}
	e.hint = "did you mean " + near[0] + "?"
	if len(near) > 1 {
		e.hint = "did you mean one of these?\n    " + strings.Join(near, "\n    ") + more
	}
	return e
}

func sectionsOf(keys []string) []string {
	var names []string
	for _, k := range keys { // they are sorted
		if name, _, _ := strings.Cut(k, "/"); len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
		}
	}
	if names == nil {
		return []string{"none in the last audit"}
	}
	return slices.Compact(names)
}

// foldedChange is one change on several machines, in the same audit.
type foldedChange struct {
	store.Change
	machines    []string
	first, last string // of what the machines say, since when
}

// foldChanges joins those that differ in their machine only, in their order.
func foldChanges(list []store.Change) []*foldedChange {
	type same struct {
		audit                                     int64
		after                                     time.Time
		tier, env, state, value, wasState, before string
	}
	var all []*foldedChange
	byKey := map[same]*foldedChange{}
	for _, c := range list {
		k := same{c.Audit, c.After, c.Tier, c.Env, c.State, c.Value, c.WasState, c.Was}
		f := byKey[k]
		if f == nil {
			f = &foldedChange{Change: c, first: c.Since, last: c.Since}
			byKey[k] = f
			all = append(all, f)
		}
		f.machines = append(f.machines, c.Machine)
		f.first, f.last = min(f.first, c.Since), max(f.last, c.Since)
	}
	return all
}

// printChanges prints a line for each change; machines that changed alike share one.
func (c *call) printChanges(list []store.Change, o historyOptions) error {
	if len(list) == 0 {
		said := ""
		if !o.since.IsZero() {
			said = " since " + minute(o.since)
		}
		return c.printf("%s: no audit saw it change%s\n", oneLine(o.key), said)
	}
	copies := map[string]string{} // tier -> environment; several: all are named
	several := false
	for _, change := range list {
		if env, seen := copies[change.Tier]; seen && env != change.Env {
			several = true
		}
		copies[change.Tier] = change.Env
	}
	arrow := "→"
	if c.asciiOnly() {
		arrow = "->"
	}
	t := newTable("SEEN", "BEFORE THAT", "TIER", "MACHINES", "VALUE")
	for _, f := range foldChanges(list) {
		place := f.Tier
		if several {
			place = cmp.Or(f.Env, f.Tier)
		}
		before, value := "", factText(f.State, f.Value)
		if !f.After.IsZero() {
			before = minute(f.After)
			value = factText(f.WasState, f.Was) + " " + arrow + " " + value
		}
		t.add(minute(f.At), before, place, clipped(parity.Fold(f.machines)), value+sinceText(f.first, f.last))
	}
	if err := c.printf("%s, as audits saw it: each change came between the two times\n", oneLine(o.key)); err != nil {
		return err
	}
	return t.print(c.Stdout)
}

// longDigest is one of which the begin tells it from others; --json has all of it.
var longDigest = lazyregexp.New(`\b(sha256:[0-9a-f]{12})[0-9a-f]{52}\b`)

// factText is what a fact is, for people.
func factText(state, value string) string {
	value = clipped(longDigest.ReplaceAllString(value, "$1"))
	switch {
	case state == store.Present && value == "":
		return `""`
	case state == store.Present:
		return value
	case value == "":
		return state
	}
	return state + " (" + value + ")"
}

// sinceText is since when it is so by the machines' own word.
func sinceText(first, last string) string {
	switch {
	case last == "":
		return ""
	case first == last:
		return ", on the machine since " + clipped(first)
	case first == "":
		return ", on some since " + clipped(last)
	}
	return ", on the machines since " + clipped(first) + " to " + clipped(last)
}

// clipped is the begin of a text that a machine may have made long.
func clipped(text string) string {
	const most = 200
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + fmt.Sprintf("... (%d bytes)", len(text))
}

// keysFrom are the facts that begin so, for completion. Of what goes wrong nothing is said.
func (a *App) keysFrom(before []string, unfinished string) []string {
	def := a.quietDefinition(before)
	if def == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	s, err := a.kept(ctx)
	if s == nil || err != nil {
		return nil
	}
	defer func() { _ = s.Close() }() // it was read only
	keys, err := s.Keys(ctx, def.ID, unfinished, 10_000)
	if err != nil {
		return nil
	}
	// Machines chose these words, and bash puts them into the line as they are: there a shell must read nothing into them.
	return slices.DeleteFunc(keys, func(key string) bool { return !plainKey.MatchString(key) })
}

var plainKey = lazyregexp.New(`^[A-Za-z0-9_./:@%+=,-]+$`)
