// SPDX-License-Identifier: Apache-2.0

// Command env is the evenkeel binary, which is also called env: it parses verbs and prints what they come to. The work is done by the packages
// left of it. The one rule: a verb holds no logic that another program would want.
package main

import (
	"os"
)

func main() {
	args, status := handOff(os.Args)
	if status >= 0 {
		os.Exit(status)
	}
	os.Exit(runHere(args))
}
