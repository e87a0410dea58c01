// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/internal/problem"
)

// Compare says where machines differ: tiers from the baseline, machines from their images, ages from their limits, and what is there from what is
// planned. It is a pure function: it reads nothing, and equal input, in any order, makes an equal report. The error is for input that cannot be
// judged: another format, one machine twice, a baseline that no machine and no tier is of.
func Compare(snapshots []Snapshot, policy Policy) (*Report, error) {
	c, err := NewComparison(policy)
	if err != nil {
		return nil, err
	}
	for i := range snapshots {
		if err := c.Add(&snapshots[i]); err != nil {
			return nil, err
		}
	}
	return c.Report()
}

// Comparison is Compare in steps, for more machines than should be in memory at once: of a snapshot that was added only what differs from others is kept. It
// is for one goroutine.
type Comparison struct {
	policy     Policy
	machines   map[machineID]*machine
	views      views
	collectors map[string]bool
	identities map[identity][]machineID
	manifests  map[string]*manifestIndex
	checked    Checked
	notes      []string
	gaps       map[gap]int // machines
}

// gap is something that is not known of machines of a column though no fact says so: a section that others of their kind have and they were not asked for, an age that has a limit.
type gap struct {
	column  int
	section string
}

// machineID names a machine among all: by tier, project and environment, since names repeat.
type machineID struct{ tier, env, project, name string }

func (id machineID) String() string { return id.tier + "/" + id.name }

// machine is what is kept of one snapshot.
type machine struct {
	id          machineID
	subject     Subject
	kind        string // the subject's, else its cohort: system and release
	unreachable string
	views       []*view         // sorted by name
	asked       map[string]bool // sections that its snapshot has, empty ones too
	signature   digest
	age         ages
	taken       time.Time
	upkeep      upkeep
	manager     Manager
	firstBoot   bool // it tells files that changed after its first boot from others
}

// NewComparison is an error where the policy cannot be: without a time, or with a baseline that is none of its tiers.
func NewComparison(policy Policy) (*Comparison, error) {
	if policy.At.IsZero() {
		return nil, errors.New("cannot compare: the policy has no time to judge ages by")
	}
	if len(policy.Tiers) > 0 && policy.Baseline != "" && policy.tier(policy.Baseline) == nil {
		return nil, fmt.Errorf("cannot compare with the tier %q: it is not among those that were asked for", policy.Baseline)
	}
	return &Comparison{
		policy: policy, machines: map[machineID]*machine{}, views: newViews(), collectors: map[string]bool{},
		identities: map[identity][]machineID{}, manifests: map[string]*manifestIndex{},
	}, nil
}

// Add takes one snapshot in. s may be changed afterwards; the items of its sections may not. A section's digest is believed: what comes from elsewhere goes
// through ReadSnapshot first, which checks it.
func (c *Comparison) Add(s *Snapshot) error {
	id := machineID{s.Subject.Tier, s.Subject.Env, s.Subject.Project, s.Subject.Name}
	switch {
	case s.Format != SnapshotFormat:
		return fmt.Errorf("cannot compare %s: its snapshot has format %d, this program reads %d", id, s.Format, SnapshotFormat)
	case id.name == "" || id.tier == "":
		return errors.New("cannot compare: a snapshot does not say which machine, of which tier, it is of")
	case c.machines[id] != nil:
		return fmt.Errorf("cannot compare: two snapshots are of %s", id)
	}
	m := &machine{id: id, subject: s.Subject, kind: s.Subject.Kind, unreachable: s.Unreachable, age: agesOf(s), taken: s.Taken}
	c.machines[id] = m
	if s.Collector != "" {
		c.collectors[s.Collector] = true
	}
	if m.unreachable != "" {
		m.kind = cmp.Or(m.kind, "unknown")
		return nil
	}
	system := osOf(s)
	m.upkeep = upkeepOf(s)
	m.manager = managerOf(system.id + " " + system.like)
	_, m.firstBoot = itemOf(s, "etc", FirstBootItem)
	m.kind = cmp.Or(m.kind, strings.TrimSpace(system.id+" "+system.version), "unknown")
	m.asked = c.views.names(s)
	for i := range s.Sections {
		if c.policy.Sections != nil && !slices.Contains(c.policy.Sections, s.Sections[i].Name) {
			continue
		}
		v := c.views.of(&s.Sections[i], s)
		if !v.empty() {
			m.views = append(m.views, v.view)
		}
		c.checked.Facts += len(v.facts)
		c.checked.Unknown += v.unknowns
		c.addIdentities(id, v.name, v.identities)
	}
	slices.SortFunc(m.views, func(a, b *view) int { return strings.Compare(a.name, b.name) })
	m.signature = signatureOf(m)
	return nil
}

// baseline is the tier that others are compared with.
func (c *Comparison) baseline() (string, error) {
	if c.policy.Baseline != "" {
		if len(c.policy.Tiers) > 0 {
			return c.policy.Baseline, nil
		}
		var tiers []string
		for id := range c.machines {
			if id.tier == c.policy.Baseline {
				return id.tier, nil
			}
			tiers = append(tiers, id.tier)
		}
		slices.Sort(tiers)
		tiers = slices.Compact(tiers)
		hint := ""
		if near := problem.Nearest(c.policy.Baseline, tiers); near != "" {
			hint = "; did you mean " + near + "?"
		}
		return "", fmt.Errorf("cannot compare with the tier %q: no snapshot is of it; there are %s%s", c.policy.Baseline, strings.Join(tiers, ", "), hint)
	}
	if len(c.policy.Tiers) > 0 {
		return c.policy.Tiers[0].Name, nil
	}
	first := ""
	for id := range c.machines {
		if first == "" || id.tier < first {
			first = id.tier
		}
	}
	return first, nil
}

// Report is what was found in all that was added. It may be called again after more was added.
func (c *Comparison) Report() (*Report, error) {
	baseline, err := c.baseline()
	if err != nil {
		return nil, err
	}
	c.notes, c.gaps = nil, map[gap]int{}
	r := &Report{
		Format: 1, At: c.policy.At.UTC().Truncate(time.Second), Project: c.policy.Project, Name: c.policy.Name, Commit: c.policy.Commit, Baseline: baseline, Tool: c.policy.Tool,
		Collectors: slices.Sorted(maps.Keys(c.collectors)), Checked: c.checked,
	}
	columns := c.columns(baseline)
	var rows []Row
	for _, kind := range kindsOf(columns) {
		rows = append(rows, c.skew(columns, kind, baseline)...)
	}
	c.unreadItems(columns)
	drift := c.drift(columns)
	rows = append(c.withoutDrift(rows, drift, columns, baseline), drift...)
	rows = append(rows, c.stale(columns)...)
	rows = append(rows, c.inventory(columns)...)
	rows = append(rows, c.identical(columns)...)
	severities := append(slices.Clone(c.policy.Severities), ownSeverities()...)
	for i := range rows {
		c.finish(&rows[i], columns, severities)
	}
	rows = sameChange(rows, c.waive(rows, columns, r))
	for i := range rows {
		r.Checked.Waived += truth(rows[i].Waiver != "")
	}
	sortRows(rows, columns)
	if len(rows) > maxRows {
		c.note("%d rows are left out here, the least of them; what differs in so much is another system", len(rows)-maxRows)
		rows = rows[:maxRows]
	}
	r.Rows = rows
	tiers := map[string]bool{}
	for _, col := range columns {
		r.Columns = append(r.Columns, col.Column)
		tiers[col.Tier] = true
		if col.Unreachable {
			r.Checked.Unreachable += col.Count
		}
	}
	for _, t := range c.policy.Tiers {
		if t.Unlisted == "" { // of others nothing was looked at
			tiers[t.Name] = true
		}
		r.Checked.Unlisted += truth(t.Required && t.Unlisted != "")
	}
	r.Checked.Tiers, r.Checked.Machines = len(tiers), len(c.machines)
	for _, machines := range c.gaps { // not the same as having nothing
		r.Checked.Unknown += machines
	}
	r.Notes = c.notes
	return r, nil
}

// note is said once.
func (c *Comparison) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(c.notes, text) {
		c.notes = append(c.notes, text)
	}
}

// finish gives a row what follows from the rest of it.
func (c *Comparison) finish(row *Row, columns []*column, severities []SeverityRule) {
	row.Severity = cmp.Or(row.Severity, severityOf(severities, row.Section, row.Key))
	row.Fingerprint = fingerprint(row)
	row.Counts = row.Missing > 0 || slices.ContainsFunc(row.Cells, Cell.differs)
	if row.Fix == "" {
		row.Fix = c.policy.fixOf(row, columns)
	}
	if row.File == "" {
		row.File, row.Line = c.policy.placeOf(row, columns)
	}
}

// maxRows bounds a report; a machine that makes up facts must not make it grow.
const maxRows = 20_000

// sortRows puts the worst first: findings, then by severity, then by how many machines they are on.
func sortRows(rows []Row, columns []*column) {
	spread := func(r *Row) (machines int) {
		machines = r.Missing
		for i, cell := range r.Cells {
			if cell.differs() {
				machines += columns[i].Count
			}
		}
		return machines
	}
	order := map[Kind]int{Skew: 0, Drift: 1, Stale: 2, Inventory: 3}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(
			cmp.Compare(truth(b.Counts), truth(a.Counts)), cmp.Compare(rank(a.Severity), rank(b.Severity)), cmp.Compare(spread(&b), spread(&a)),
			cmp.Compare(order[a.Kind], order[b.Kind]), strings.Compare(a.Section, b.Section), strings.Compare(a.Key, b.Key),
			strings.Compare(a.Machines, b.Machines), strings.Compare(a.Tier, b.Tier))
	})
}
