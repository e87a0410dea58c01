// SPDX-License-Identifier: Apache-2.0

// Command env-provider-fake is the provider whose place is a directory: for tests, and for trying things out.
package main

import (
	"github.com/evenkeel/evenkeel/providers/fake"
	"github.com/evenkeel/evenkeel/providers/plugin"
)

func main() {
	fake.Main()
	plugin.Serve(fake.Plugin)
}
