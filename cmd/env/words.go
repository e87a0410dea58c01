// SPDX-License-Identifier: Apache-2.0

package main

import "slices"

// verbs are the words this binary answers to, wherever it is called.
func verbs() []string {
	return []string{
		"init", "validate", "plan", "up", "status", "ssh", "ssh-config", "cp", "sync", "logs", "run", "stop", "start", "suspend", "resume", "rebuild", "refresh", "down", "facts", "audit", "compare", "history", "snapshot", "access", "trust", "image", "gc", "doctor",
		"providers", "schema", "hook", "completion", "version",
	}
}

// laterVerbs are part of the command's language already, so that a script never sees their meaning change, but do nothing yet.
func laterVerbs() []string {
	return nil
}

// laterImageVerbs are the same below `image`.
func laterImageVerbs() []string { return []string{"pack", "push", "pull"} }

// elsewhere are verbs of ours that are programs of other makers too: ours only in a project.
func elsewhere() []string { return []string{"ssh", "cp", "sync", "init", "gc", "compare", "trust"} }

// aliases are habits from other tools, and the verbs they stand for in a project.
func alias(word string) (string, bool) {
	switch word {
	case "halt":
		return "stop", true
	case "destroy":
		return "down", true
	}
	return word, false
}

// reserved are words that take the user's own computer down.
func reserved() []string { return []string{"reboot", "poweroff", "shutdown", "halt", "suspend"} }

func isVerb(word string) bool {
	return slices.Contains(verbs(), word) || slices.Contains(laterVerbs(), word)
}
