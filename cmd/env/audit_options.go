// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
)

// auditOptions are the command line of an audit, checked before anything is read.
type auditOptions struct {
	at      time.Time
	tiers   []string // nil: all
	formats []string
	out     string // "": no folder
	failOn  []string
	groups  []collectors.Group // nil: all
	only    []string           // sections; nil: all
	key     ed25519.PrivateKey // nil: not signed
	since   time.Time
	accept  *parity.Acceptance
}

// auditOptions refuses what means nothing.
func (c *call) auditOptions(now time.Time) (auditOptions, error) {
	o := auditOptions{at: now.UTC(), tiers: words(c.flag.StringSlice("tier")), formats: words(c.flag.StringSlice("format")), failOn: words(c.flag.StringSlice("fail-on"))}
	for _, f := range o.formats {
		if !slices.Contains(formatNames(), f) {
			return o, usagef("--format: got %q; allowed are %s", f, strings.Join(formatNames(), ", "))
		}
	}
	if out := c.flag.String("out"); out != "" {
		o.out = c.path(out)
		if o.formats == nil {
			o.formats = formatNames()
		}
	}
	switch {
	case o.out == "" && len(o.formats) > 1:
		return o, usagef("--format: got %s for one output; several need --out DIR", strings.Join(o.formats, ", "))
	case o.out == "" && len(o.formats) == 1 && c.json() && o.formats[0] != "json":
		return o, usagef("--json and --format %s exclude each other", o.formats[0])
	case o.out == "" && c.flag.Bool("snapshots"):
		return o, usagef("--snapshots means nothing without --out")
	case c.flag.IsSet("since") && (c.flag.IsSet("from") || c.flag.IsSet("against") || c.flag.IsSet("baseline")):
		return o, usagef("--since compares with an earlier audit: it excludes --from, --against and --baseline")
	case c.flag.IsSet("since") && c.flag.IsSet("accept"):
		return o, usagef("--since tells what changed, which no waiver covers: it excludes --accept")
	case c.flag.IsSet("against") && c.flag.IsSet("baseline"):
		return o, usagef("--against and --baseline exclude each other")
	}
	if err := parity.CheckDiffers(o.failOn); err != nil {
		return o, usagef("--fail-on: %v", err)
	}
	if names := words(c.flag.StringSlice("section")); names != nil {
		var err error
		if o.groups, o.only, err = sections(names); err != nil {
			return o, err
		}
	}
	if c.flag.IsSet("since") {
		at, err := dateOrSpan(c.flag.String("since"), now, -1)
		if err != nil {
			return o, usagef("--since: %v", err)
		}
		if at.After(now) {
			return o, usagef("--since: %s is not over yet", c.flag.String("since"))
		}
		o.since = at
	}
	if file := c.flag.String("sign"); file != "" {
		if o.out == "" {
			return o, usagef("--sign signs audit.json: say where it is written with --out")
		}
		if !slices.Contains(o.formats, "json") {
			o.formats = append(o.formats, "json")
		}
		var err error
		if o.key, err = parity.ReadSigningKey(c.path(file)); err != nil {
			return o, err
		}
	}
	return o, c.acceptance(&o, now)
}

// sections are the groups that names stand for, and the names of all sections that they fill. The machine's system, age and birth are read with any of them.
func sections(names []string) (groups []collectors.Group, only []string, err error) {
	var all []string
	for _, g := range collectors.All() {
		base := strings.TrimSuffix(g.Name, parity.OwnSuffix)
		asked := slices.Contains(names, g.Name) || slices.Contains(names, base)
		if asked {
			only = append(only, g.Name)
		}
		if asked || slices.Contains([]string{"os", "boot", "birth"}, g.Name) {
			groups = append(groups, g)
		}
		all = append(all, g.Name)
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			e := usagef("--section: got %q; there are %s", name, listed(all))
			if near := nearest(name, all); near != "" {
				e.hint = "did you mean " + near + "?"
			}
			return nil, nil, e
		}
	}
	return groups, only, nil
}

// acceptance reads who accepts, before anything is looked at.
func (c *call) acceptance(o *auditOptions, now time.Time) error {
	if !c.flag.IsSet("accept") {
		for _, name := range []string{"owner", "reason", "approved-by", "ref", "until"} {
			if c.flag.IsSet(name) {
				return usagef("--%s means nothing without --accept", name)
			}
		}
		return nil
	}
	for _, name := range []string{"owner", "reason", "until"} {
		if strings.TrimSpace(c.flag.String(name)) == "" {
			return usagef("--accept needs --owner WHO --reason WHY --until DATE; --%s is missing", name)
		}
	}
	until, err := dateOrSpan(c.flag.String("until"), now, 1)
	if err != nil {
		return usagef("--until: %v", err)
	}
	if !until.After(now) {
		return usagef("--until: %s is over", c.flag.String("until"))
	}
	o.accept = &parity.Acceptance{
		Owner: c.flag.String("owner"), Reason: c.flag.String("reason"), ApprovedBy: c.flag.String("approved-by"), Ref: c.flag.String("ref"), Until: until,
	}
	return nil
}

// dateOrSpan is a day (the begin of it where the way is back, its last second where it is forward), or a span from now on that way.
func dateOrSpan(text string, now time.Time, way int) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		if way > 0 {
			t = t.Add(24*time.Hour - time.Second)
		}
		return t, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	d, err := span(text)
	if err != nil || d == 0 {
		return time.Time{}, fmt.Errorf("got %q; allowed is a day such as 2026-11-01, or a span such as 30d", text)
	}
	return now.Add(time.Duration(way) * d), nil
}

// words are the values of an option that may be given several times, or with commas; nil where there are none.
func words(values []string) []string {
	var all []string
	for _, v := range values {
		for w := range strings.SplitSeq(v, ",") {
			if w = strings.TrimSpace(w); w != "" && !slices.Contains(all, w) {
				all = append(all, w)
			}
		}
	}
	return all
}
