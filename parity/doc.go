// SPDX-License-Identifier: Apache-2.0

// Package parity will read every machine and say where tiers differ, what drifted from its image and which machine outlived
// its rebuild limit. It holds nothing yet.
package parity
