// SPDX-License-Identifier: Apache-2.0

package parity

import "time"

// Kind is what sort of finding a row is.
type Kind string

const (
	Skew      Kind = "skew"      // a tier differs from the baseline
	Drift     Kind = "drift"     // a machine differs from its image, or from what was laid on it
	Stale     Kind = "stale"     // older than it may be, or with security updates pending
	Inventory Kind = "inventory" // missing, extra or foreign machines, and those that share what must differ
)

// Severity orders rows; the worst first.
type Severity string

const (
	Security Severity = "security" // sshd, sudo, users, keys, firewall, CA certificates, packages of security updates
	Packages Severity = "packages"
	Config   Severity = "config"
	Info     Severity = "info"
)

// State is what one cell of the matrix says, seen from the row's reference.
type State string

const (
	Same        State = "same"
	Different   State = "different"
	Absent      State = "absent"
	Unknown     State = "unknown"
	Expected    State = "expected" // it differs because the definition says so
	Waived      State = "waived"   // until Row.Waiver's day
	Unreachable State = "unreachable"
)

// Report is what an audit, or a comparison, found. It prints as JSON; every writer (text, HTML, ...) takes nothing else.
type Report struct {
	Format   int       `json:"format"` // 1
	At       time.Time `json:"at"`
	Project  string    `json:"project,omitempty"`
	Name     string    `json:"name,omitempty"`     // what people call the project; Project is what nobody else's has
	Commit   string    `json:"commit,omitempty"`   // of the definition, with "-dirty"
	Baseline string    `json:"baseline,omitempty"` // the tier others are compared with
	Tool     string    `json:"tool"`
	// Collectors are the digests of the scripts the snapshots were read with, sorted; more than one where sites have copies of their own.
	Collectors []string `json:"collectors"`
	Columns    []Column `json:"columns"` // baseline first, then tiers as in the definition; variants by size
	Rows       []Row    `json:"rows"`    // worst first
	Checked    Checked  `json:"checked"`
	// Waivers are all that the definition has, in its order: what is waived can be seen, signed and watched for its end.
	Waivers []WaiverUse `json:"waivers,omitempty"`
	Notes   []string    `json:"notes,omitempty"` // said once: what cannot be compared and why, waivers about to end, waivers that matched nothing
}

// Column is one variant: machines of one tier and kind whose compared facts are equal.
type Column struct {
	Tier     string   `json:"tier"` // or the cohort, for machines of other makers
	Kind     string   `json:"kind"`
	Variant  string   `json:"variant"`  // A, B, ... within tier and kind
	Machines []string `json:"machines"` // sorted; print through Fold
	Count    int      `json:"count"`
	AgeDays  float64  `json:"age_days,omitempty"` // since the oldest of them was made; 0: not known
	// Unreachable: these machines were not read; Why says why.
	Unreachable bool   `json:"unreachable,omitempty"`
	Why         string `json:"why,omitempty"`
}

// Row is one differing key.
type Row struct {
	Kind     Kind     `json:"kind"`
	Severity Severity `json:"severity"`
	Section  string   `json:"section"`
	Key      string   `json:"key"`
	Machines string   `json:"machines"` // the kind it is about: web
	// Tier is the one it is about: of drift, stale and inventory, and of what is compared within a tier alone. "": all, against the baseline.
	Tier        string `json:"tier,omitempty"`
	Reference   string `json:"reference,omitempty"`
	Cells       []Cell `json:"cells"` // one for each of Report.Columns, in their order; of a Column that it is not about (another kind, another tier): State ""
	Diff        string `json:"diff,omitempty"`
	Why         string `json:"why,omitempty"`     // where the difference comes from, where it is known
	Fix         string `json:"fix"`               // what to do
	Fingerprint string `json:"fingerprint"`       // stable between audits: of kind, section, key, tier and machine kind, not of hosts
	Waiver      string `json:"waiver,omitempty"`  // id of the waiver that covers it
	Missing     int    `json:"missing,omitempty"` // machines that are planned and not there, which no column stands for; Reference names them
	Counts      bool   `json:"counts"`            // a finding: makes the exit status 2. Not so what is expected or waived
	File        string `json:"file,omitempty"`    // where in the definition or recipe to look, relative to the project
	Line        int    `json:"line,omitempty"`
	// Also are rows that say the same change in other words, and are not counted for themselves: /etc/passwd, where this one is about a user.
	Also []Row `json:"also,omitempty"`
}

// Cell is what one column has of a row's key.
type Cell struct {
	State State  `json:"state,omitempty"`
	Value string `json:"value,omitempty"`
	Order int    `json:"order,omitempty"` // of versions: -1 older than the reference, 1 newer
}

// differs reports whether a cell is what makes its row a finding.
func (c Cell) differs() bool { return c.State == Different || c.State == Absent }

// Checked is how much was looked at: a clean audit says so.
type Checked struct {
	Tiers       int `json:"tiers"` // without those whose machines could not be listed
	Machines    int `json:"machines"`
	Unreachable int `json:"unreachable"`
	Unlisted    int `json:"unlisted,omitempty"` // tiers that should have been read, and whose machines could not even be listed
	Facts       int `json:"facts"`              // compared
	Unknown     int `json:"unknown"`            // sections and items that could not be read
	Waived      int `json:"waived"`
}

// WaiverUse is a waiver and what became of it in this audit.
type WaiverUse struct {
	ID    string    `json:"id"`
	Owner string    `json:"owner"`
	Until time.Time `json:"until"`
	State string    `json:"state"` // used, unused, expired; unknown: what it may cover was not read
}
