// SPDX-License-Identifier: Apache-2.0

// Package fake is a provider whose place is a directory (its "world") and whose machines are processes on this computer: each a small SSH
// server in front of a root tree of its own, with user, mount, process, host-name and network namespaces of its own. Commands sent to a
// machine act on its folder and namespaces only, never on the host. Machines of one environment reach each other over a bridge
// in a network namespace that belongs to the environment; a machine's nftables rules are real.
//
// It is for tests: of the core, of the command, of the plugin transport, of the conformance suite. Latency and failures come on order. It is
// not a way to run anything for real: a machine has one user ID (root in its namespace, under whatever name one logs in), the host's
// programs, and no init system (systemctl is a recorder).
//
// A data disk is a folder that is mounted into its machine; its size is noted and not enforced. A snapshot is a copy, taken while nothing of the
// machine moves. A suspended machine's processes are stopped where they are: its memory does not outlive this computer's restart.
//
// The one rule: the directory is the record. Every file in it is replaced in one step, so a process killed at any moment leaves either no
// trace or a machine listed as Partial; and a machine's processes end by themselves once its record is gone.
//
// It needs Linux with user namespaces, util-linux (setsid, nsenter, unshare), coreutils, iproute2 and nftables.
package fake
