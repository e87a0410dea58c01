// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// writePrometheus writes metrics for the textfile collector of Prometheus' node_exporter: exposition format 0.0.4, no timestamps. Labels are
// tiers, kinds and severities alone, so the number of series does not grow with the number of machines or findings.
func writePrometheus(w io.Writer, r *Report, _ WriteOptions) error {
	s := summarize(r)
	p := &promWriter{project: r.Project}
	fmt.Fprintf(&p.b, "# %s\n", selfReported)
	p.head("evenkeel_audit_timestamp_seconds", "When the audit was made, in seconds since 1970.")
	p.sample("evenkeel_audit_timestamp_seconds", float64(r.At.Unix()))
	p.head("evenkeel_audit_in_parity", "1: all was read and no difference counts.")
	p.sample("evenkeel_audit_in_parity", float64(truth(s.clean(r))))
	promFindings(p, r)
	promMachines(p, r)
	for _, g := range []struct {
		name, help string
		n          int
	}{
		{"evenkeel_audit_facts_compared", "Facts that were compared.", r.Checked.Facts},
		{"evenkeel_audit_facts_unknown", "Sections and items that could not be read.", r.Checked.Unknown},
		{"evenkeel_audit_waived", "Differences that a waiver covers.", max(s.waived, r.Checked.Waived)},
	} {
		p.head(g.name, g.help)
		p.sample(g.name, float64(g.n))
	}
	promWaivers(p, r)
	_, err := w.Write(p.b.Bytes())
	return err
}

type promWriter struct {
	b       bytes.Buffer
	project string
}

func (p *promWriter) head(name, help string) {
	fmt.Fprintf(&p.b, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

// sample writes one line; labels are pairs of name and value.
func (p *promWriter) sample(name string, value float64, labels ...string) {
	p.b.WriteString(name)
	if p.project != "" {
		labels = append([]string{"project", p.project}, labels...)
	}
	for i := 0; i+1 < len(labels); i += 2 {
		p.b.WriteString(map[bool]string{true: "{", false: ","}[i == 0])
		fmt.Fprintf(&p.b, `%s="%s"`, labels[i], promEscape(labels[i+1]))
	}
	if len(labels) > 0 {
		p.b.WriteByte('}')
	}
	fmt.Fprintf(&p.b, " %s\n", strconv.FormatFloat(value, 'f', -1, 64))
}

// promEscape follows the exposition format: backslash, quote and line end are escaped; the last is inert already.
func promEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(inertLine(s, 120))
}

// promFindings writes a sample for every tier, kind and severity, also 0: an alert must see a finding go.
func promFindings(p *promWriter, r *Report) {
	type key struct {
		tier string
		kind Kind
		sev  Severity
	}
	counts := map[key]int{}
	for i := range r.Rows {
		if row := &r.Rows[i]; row.Counts {
			for _, t := range rowTiers(r, row) {
				counts[key{t, row.Kind, row.Severity}]++
			}
		}
	}
	p.head("evenkeel_audit_findings", "Findings by the tier they are in; one that is in two tiers counts in both.")
	for _, t := range tierOrder(r) {
		for _, k := range kindOrder() {
			for _, s := range severityOrder() {
				p.sample("evenkeel_audit_findings", float64(counts[key{t, k, s}]), "tier", t, "kind", string(k), "severity", string(s))
			}
		}
	}
}

func promMachines(p *promWriter, r *Report) {
	type figures struct {
		machines, unreachable, variants int
		age                             float64
	}
	by := map[string]*figures{}
	for i := range r.Columns {
		c := &r.Columns[i]
		f := by[c.Tier]
		if f == nil {
			f = &figures{}
			by[c.Tier] = f
		}
		f.age = max(f.age, c.AgeDays)
		if c.Unreachable {
			f.unreachable += columnCount(c)
		} else {
			f.machines += columnCount(c)
			f.variants++
		}
	}
	for _, g := range []struct {
		name, help string
		of         func(*figures) (float64, bool)
	}{
		{"evenkeel_audit_machines", "Machines that were read.", func(f *figures) (float64, bool) { return float64(f.machines), true }},
		{"evenkeel_audit_machines_unreachable", "Machines that could not be read.", func(f *figures) (float64, bool) { return float64(f.unreachable), true }},
		{"evenkeel_audit_variants", "Groups of machines whose compared facts are equal.", func(f *figures) (float64, bool) { return float64(f.variants), true }},
		{"evenkeel_audit_oldest_machine_seconds", "Seconds since the oldest machine was made; no sample where no age is known.",
			func(f *figures) (float64, bool) { return math.Round(f.age * 24 * 60 * 60), f.age > 0 }},
	} {
		p.head(g.name, g.help)
		for _, t := range tierOrder(r) {
			if v, known := g.of(by[t]); known {
				p.sample(g.name, v, "tier", t)
			}
		}
	}
}

func promWaivers(p *promWriter, r *Report) {
	soon, expired, unused := 0, 0, 0
	for _, w := range r.Waivers {
		switch {
		case w.State == "expired":
			expired++
		case w.Until.Before(r.At.Add(WaiverNotice)):
			soon++
		}
		if w.State == "unused" {
			unused++
		}
	}
	p.head("evenkeel_audit_waivers", "Waivers of the definition, by what is to be done about them.")
	for _, g := range []struct {
		state string
		n     int
	}{{"all", len(r.Waivers)}, {"ends_in_14_days", soon}, {"expired", expired}, {"unused", unused}} {
		p.sample("evenkeel_audit_waivers", float64(g.n), "state", g.state)
	}
}
