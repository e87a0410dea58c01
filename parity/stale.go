// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What ages are read from, beside the place's own record (Subject.Created):
//
//	section birth: an item for each source, its value RFC 3339. The first of: stamp (laid when the machine was made), cloud-init, rootfs, packages (the log's first entry)
//	section boot:  uptime (seconds; with suspend), boot_time (RFC 3339), boot_id; an item that a container cannot know is Unknown
//	section os:    id, id_like, version_id
//	section updates: an item for each pending security update; lists_time (RFC 3339) is when the machine last asked
const (
	sectionBirth = "birth"
	sectionBoot  = "boot"
	sectionOS    = "os"
)

// age is one figure and where it comes from. An unknown one is neither young nor old.
type age struct {
	span   time.Duration
	source string
	why    string // it is not known
}

// ages are a machine's three, as far as the machine itself decides them.
type ages struct {
	created, uptime age
}

// agesOf reads a machine's ages as of when the snapshot was taken; what is judged later adds the time that passed since then.
func agesOf(s *Snapshot) ages {
	if s.Unreachable != "" {
		return ages{created: createdBy(s, "it was not read"), uptime: age{why: "it was not read"}}
	}
	skewed := ""
	if off := time.Duration(s.Skew * float64(time.Second)); off.Abs() > MaxSkew {
		skewed = fmt.Sprintf("its clock is off by %s", days(off.Abs()))
	}
	a := ages{created: createdBy(s, skewed), uptime: uptimeOf(s, skewed)}
	// A machine cannot be up for longer than it exists: its memory was restored from an image that was made of another.
	if a.created.why == "" && a.uptime.why == "" && a.uptime.span > a.created.span+MaxSkew {
		a.uptime = age{why: "its uptime is that of a memory image made before the machine"}
	}
	return a
}

// createdBy is the instance's age: by the place's record, else by the best of the machine's own marks.
func createdBy(s *Snapshot, skewed string) age {
	if !s.Subject.Created.IsZero() {
		return age{span: s.Taken.Sub(s.Subject.Created), source: "the place's record"}
	}
	if skewed != "" {
		return age{why: skewed}
	}
	for _, source := range []string{"stamp", "cloud-init", "rootfs", "packages"} {
		text, ok := itemOf(s, sectionBirth, source)
		if !ok {
			continue
		}
		t, err := time.Parse(time.RFC3339, text)
		if err != nil || t.Year() < 1990 || t.After(s.Taken.Add(MaxSkew)) {
			continue // the clock was not set then
		}
		return age{span: max(s.Taken.Sub(t), 0), source: "its " + source}
	}
	return age{why: "neither the place nor the machine says when it was made"}
}

// uptimeOf is a span, which a wrong clock does not change where the kernel counted it.
func uptimeOf(s *Snapshot, skewed string) age {
	if text, ok := itemOf(s, sectionBoot, "uptime"); ok {
		seconds, err := strconv.ParseFloat(strings.TrimSuffix(text, "s"), 64)
		if err == nil && seconds >= 0 && seconds < 1e10 {
			return age{span: time.Duration(seconds * float64(time.Second)), source: "its kernel"}
		}
	}
	if text, ok := itemOf(s, sectionBoot, "boot_time"); ok && skewed == "" {
		if t, err := time.Parse(time.RFC3339, text); err == nil && !t.After(s.Taken.Add(MaxSkew)) {
			return age{span: max(s.Taken.Sub(t), 0), source: "its boot time"}
		}
	}
	return age{why: firstOf(skewed, "the machine does not say since when it runs")}
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// system is what a machine runs.
type system struct{ id, like, version string }

func osOf(s *Snapshot) system {
	var o system
	o.id, _ = itemOf(s, sectionOS, "id")
	o.like, _ = itemOf(s, sectionOS, "id_like")
	o.version, _ = itemOf(s, sectionOS, "version_id")
	return o
}

// itemOf is the value of an item that is known.
func itemOf(s *Snapshot, section, key string) (string, bool) {
	for i := range s.Sections {
		if s.Sections[i].Name != section {
			continue
		}
		for j := range s.Sections[i].Items {
			if item := &s.Sections[i].Items[j]; item.Key == key && item.Unknown == "" {
				return item.Value, true
			}
		}
	}
	return "", false
}

// stale judges ages by their limits, and pending updates. A machine is too old when it is older than its limit: at the limit exactly it is not.
func (c *Comparison) stale(columns []*column) []Row {
	var rows []Row
	for _, tier := range tiersOf(columns) {
		for _, kind := range kindsOf(columns) {
			var of []*column
			for _, col := range columns {
				if col.Tier == tier && col.Kind == kind {
					of = append(of, col)
				}
			}
			if len(of) == 0 {
				continue
			}
			if limit := c.policy.tier(tier).limit(kind); limit > 0 {
				rows = append(rows, c.overAge(columns, of, limit)...)
			}
			rows = append(rows, c.pending(columns, of)...)
		}
	}
	return rows
}

// overAge are a row for the instance's age and one for uptime.
func (c *Comparison) overAge(columns, of []*column, limit time.Duration) []Row {
	instance := Row{Kind: Stale, Section: "age", Key: "instance", Machines: of[0].Kind, Tier: of[0].Tier, Reference: "at most " + days(limit), Cells: make([]Cell, len(columns))}
	uptime := instance
	uptime.Key, uptime.Cells = "uptime", make([]Cell, len(columns))
	for _, col := range of {
		var old, up, unknown judged
		for _, m := range col.members {
			created, running := c.since(m, m.age.created), c.since(m, m.age.uptime)
			switch {
			case created.why == "" && created.span > limit:
				old.add(m, created)
			case created.why != "" && running.why == "" && running.span > limit:
				old.add(m, age{span: running.span, source: "up for so long, so no younger"})
			case created.why != "":
				unknown.add(m, created)
			}
			if running.why == "" && running.span > limit {
				up.add(m, running)
			}
		}
		instance.Cells[col.index] = cellOf(col, &old, &unknown)
		uptime.Cells[col.index] = cellOf(col, &up, &judged{})
		c.imageAge(col, limit)
	}
	fix := fmt.Sprintf("`env rebuild --stale --tier %s`", of[0].Tier)
	instance.Fix, uptime.Fix = fix, fix+"; a reboot resets the uptime, not the age"
	var rows []Row
	for _, row := range []Row{instance, uptime} {
		if slices.ContainsFunc(row.Cells, func(cell Cell) bool { return cell.State == Different || cell.State == Unknown }) {
			rows = append(rows, row)
		}
	}
	return rows
}

// since is an age as of when it is judged.
func (c *Comparison) since(m *machine, a age) age {
	if a.why == "" {
		a.span += max(c.policy.At.Sub(m.taken), 0)
	}
	return a
}

// judged are machines that share a verdict.
type judged struct {
	names   []string
	oldest  age
	sources []string
}

func (j *judged) add(m *machine, a age) {
	j.names = append(j.names, m.id.name)
	if len(j.names) == 1 || a.span > j.oldest.span {
		j.oldest = a
	}
	if s := firstOf(a.why, a.source); !slices.Contains(j.sources, s) {
		j.sources = append(j.sources, s)
	}
}

func cellOf(col *column, over, unknown *judged) Cell {
	switch {
	case len(over.names) > 0:
		return Cell{State: Different, Value: clipValue(fmt.Sprintf("%d of %d: %s, oldest %s (%s)", len(over.names), col.Count, Fold(over.names), days(over.oldest.span), over.oldest.source))}
	case len(unknown.names) > 0:
		return Cell{State: Unknown, Value: clipValue(fmt.Sprintf("%d of %d: %s: %s", len(unknown.names), col.Count, Fold(unknown.names), strings.Join(unknown.sources, "; ")))}
	case col.Unreachable:
		return Cell{State: Unreachable}
	}
	return Cell{State: Same}
}

// imageAge says where even a machine made today would be old.
func (c *Comparison) imageAge(col *column, limit time.Duration) {
	m := c.manifest(col.image)
	if m == nil || m.Time.IsZero() {
		return
	}
	if old := c.policy.At.Sub(m.Time); old > limit {
		c.note("%s: the image of %s is %s old (its lock is of %s); a rebuild does not make it younger, `env image lock --update` does",
			col.Tier, col.Kind, days(old), m.Time.UTC().Format(time.DateOnly))
	}
}

// pending are security updates that the images of these machines lack.
func (c *Comparison) pending(columns, of []*column) []Row {
	rows := map[string]*Row{}
	var order []string
	for _, col := range of {
		for _, update := range c.policy.Pending[col.image] {
			name, version, _ := strings.Cut(update, " ")
			if rows[name] == nil {
				order = append(order, name)
				rows[name] = &Row{
					Kind: Stale, Section: "updates", Key: name, Machines: col.Kind, Tier: col.Tier, Reference: clipValue(version), Cells: make([]Cell, len(columns)),
					Why: "the archives have a security update that the image's lock has not",
					Fix: fmt.Sprintf("`env image lock --update`, then `env rebuild --tier %s`", col.Tier),
				}
			}
			rows[name].Cells[col.index] = Cell{State: Different, Order: -1}
		}
	}
	slices.Sort(order)
	var out []Row
	for _, name := range order {
		out = append(out, *rows[name])
	}
	return out
}

// Overdue says whether a machine is older than limit as of at, and by which figure: its age, or an uptime that shows it cannot be younger. unknown says why
// that cannot be told; a limit of 0 is none.
func Overdue(s *Snapshot, limit time.Duration, at time.Time) (overdue bool, old time.Duration, source, unknown string) {
	if limit == 0 {
		return false, 0, "", ""
	}
	a := agesOf(s)
	passed := max(at.Sub(s.Taken), 0)
	switch {
	case a.created.why == "":
		old, source = a.created.span+passed, a.created.source
	case a.uptime.why == "" && a.uptime.span+passed > limit:
		old, source = a.uptime.span+passed, "its uptime"
	default:
		return false, 0, "", a.created.why
	}
	return old > limit, old, source, ""
}
