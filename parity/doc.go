// SPDX-License-Identifier: Apache-2.0

// Package parity reads machines and says where they differ: between tiers, from the image they were made from, from what was laid
// on them, and from the age they may have.
//
//	machines --Collect--> []Snapshot --Compare--> Report --write--> text, JSON, HTML, ...
//
// Collect is the only part that reaches a machine, by one SSH exec of one script that only reads. A Snapshot is a file that anybody can keep,
// sign and compare later; Compare is a pure function of snapshots and a policy. What could not be read is unknown, which is never "same" and
// never "absent".
package parity
