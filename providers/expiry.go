// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The units by which a machine switches itself off when its time is over: by the clock, and at each boot, since it may have been off then.
var (
	//go:embed expires.timer
	expiresTimer string
	//go:embed expires.service
	expiresService string
)

// expiryUnits are what a machine that expires at that time is given; none where it never does.
func expiryUnits(at time.Time) []laidFile {
	if at.IsZero() {
		return nil
	}
	moment := strings.NewReplacer("@SECONDS@", strconv.FormatInt(at.Unix(), 10), "@MOMENT@", at.UTC().Format("2006-01-02 15:04:05 UTC"))
	return []laidFile{
		{"expires.timer", 0o644, []byte(moment.Replace(expiresTimer))},
		{"expires.service", 0o644, []byte(moment.Replace(expiresService))},
	}
}

// Expiry is when an environment of several objects expires, given when each of them does (zero: never): with the last of them, and never where one of
// them never does. Providers fill EnvInfo.Expires with it.
func Expiry(objects []time.Time) time.Time {
	var last time.Time
	for _, t := range objects {
		if t.IsZero() {
			return time.Time{}
		}
		if t.After(last) {
			last = t
		}
	}
	return last
}

// expiryOf is Expiry of the machines that a place lists.
func expiryOf(machines []Machine) time.Time {
	var all []time.Time
	for _, m := range machines {
		all = append(all, m.Labels.Time(LabelExpires))
	}
	return Expiry(all)
}

// Expires is when the environment expires by the place's records, its data disks among them: zero where it never does, or where nothing of it is there.
func (c *Core) Expires(ctx context.Context) (time.Time, error) {
	if c.Plugin.Traits.ReadOnly {
		return time.Time{}, nil
	}
	have, err := c.found(ctx)
	return have.expires, err
}

// lifetime is when a machine to be made expires: with the environment that is there already, which never gets a longer life by being used; else the
// plan's TTL from now.
func (c *Core) lifetime(have held) time.Time {
	if have.there || c.Plan.TTL == 0 {
		return have.expires
	}
	return c.now().Add(c.Plan.TTL).UTC().Truncate(time.Second)
}

// usable refuses to go on with an environment that has expired: somebody's gc may remove it at any moment.
func (c *Core) usable(op string, have held) error {
	now := c.now()
	if have.expires.IsZero() || have.expires.After(now) {
		return nil
	}
	return &Error{
		Code: Denied, Op: op, Subject: "environment " + c.Plan.Env,
		Err:  errors.New(expired(have.expires, now)),
		Hint: "`evenkeel down` removes it, data disks too, and `evenkeel gc` all that has expired; `evenkeel up` then makes a new one",
	}
}

func expired(at, now time.Time) string {
	return fmt.Sprintf("it expired %s ago, at %s", lately(now.Sub(at)), at.UTC().Format("2006-01-02 15:04 UTC"))
}

// lately is a span as people say it: to the second while it is short.
func lately(d time.Duration) time.Duration {
	if d > time.Minute {
		return d.Round(time.Minute)
	}
	return d.Round(time.Second)
}

// Exists reports whether the place holds anything of the environment, half-made things among it.
func (c *Core) Exists(ctx context.Context) (bool, error) {
	have, err := c.found(ctx)
	if err != nil || have.there {
		return have.there, err
	}
	left, err := c.left(ctx)
	return left.Env != "", err
}
