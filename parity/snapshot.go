// SPDX-License-Identifier: Apache-2.0

package parity

import "time"

// SnapshotFormat is the version of Snapshot's shape; a file of another one is refused.
const SnapshotFormat = 1

// Snapshot is what one machine said of itself at one moment. Its canonical JSON (sorted, no insignificant space) is what digests and
// signatures are over. Everything in it is the machine's own word, but for Subject and Taken.
type Snapshot struct {
	Format    int       `json:"format"`
	Subject   Subject   `json:"subject"`
	Collector string    `json:"collector"`    // SHA-256 of the script that read it, hex
	Taken     time.Time `json:"taken"`        // our clock, UTC, half-way between question and answer
	Skew      float64   `json:"skew_seconds"` // the machine's clock less ours
	KeyID     string    `json:"key_id"`       // of the key behind masked values; values of different keys compare unknown
	Sections  []Section `json:"sections"`     // sorted by name
	// Unreachable says why the machine was not read; then there are no sections.
	Unreachable string `json:"unreachable,omitempty"`
}

// Subject is which machine a snapshot is of, by our records.
type Subject struct {
	Project     string    `json:"project,omitempty"`
	Env         string    `json:"env,omitempty"`
	Tier        string    `json:"tier"`
	Name        string    `json:"name"`           // the role: web-1
	Kind        string    `json:"kind,omitempty"` // web
	ImageKey    string    `json:"image_key,omitempty"`
	ImageDigest string    `json:"image_digest,omitempty"`
	Created     time.Time `json:"created,omitzero"`      // by the place's record
	HostKernel  bool      `json:"host_kernel,omitempty"` // it runs its host's kernel
}

// Lane says what a section's values are good for.
type Lane string

const (
	Stable   Lane = "stable"   // compared everywhere
	Place    Lane = "place"    // compared among machines of one tier, never between tiers; docs/lanes.md says why of each
	Identity Lane = "identity" // must differ between machines: equality is the finding
	Volatile Lane = "volatile" // recorded only
)

// Section is one group of facts: all of one kind, read together, known or unknown together.
type Section struct {
	Name    string `json:"name"` // packages, etc, sysctl, units, ...
	Lane    Lane   `json:"lane"`
	Unknown string `json:"unknown,omitempty"` // why it could not be read; then Items is empty
	Digest  string `json:"digest"`            // SHA-256 over the canonical JSON of Items, hex: equal digests need no comparison
	Items   []Item `json:"items,omitempty"`   // sorted by key, keys unique
}

// Item is one fact.
type Item struct {
	Key   string `json:"key"`             // packages: "nginx:amd64"; etc: "/etc/ssh/sshd_config"; sysctl: "vm.swappiness"
	Value string `json:"value"`           // canonical text; several versions of a package joined by ", "; files: "0644 root:root sha256:..."
	Body  string `json:"body,omitempty"`  // a file's text, where comparing by meaning needs it; bounded; secrets in it masked
	Since string `json:"since,omitempty"` // where the machine knows when it came to be so: RFC 3339
	// Unknown: this item exists and could not be read; Value says what is known of it.
	Unknown string `json:"unknown,omitempty"`
	// Lane differs from its section's, where set.
	Lane Lane `json:"lane,omitempty"`
}
