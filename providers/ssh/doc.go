// SPDX-License-Identifier: Apache-2.0

// Package ssh is the only SSH code of the project: keys, host certificates, verified dialling, jump hosts, running and copying.
// It knows nothing of providers, machines or environments. The one rule: there is no way to dial without saying whom to trust.
package ssh
