// SPDX-License-Identifier: Apache-2.0

package facts

// CommandLine is what is run on a machine.
func CommandLine() string { return commandLine() }
