// SPDX-License-Identifier: Apache-2.0

// Package providers is the contract between the core and a place where machines live, and the core's own work over that contract: Up,
// Settle, Down. A provider does what only the place can do; what can be the same everywhere is done here, once.
//
// It is not for parsing definitions (envs) or for any one place (the packages below it). The one rule: the place is the record.
package providers
