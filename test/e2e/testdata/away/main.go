// SPDX-License-Identifier: Apache-2.0

// Command env-provider-away is the fake provider as a place that is not on this computer: what is for local tiers only is not for its machines.
package main

import (
	"github.com/evenkeel/evenkeel/providers/fake"
	"github.com/evenkeel/evenkeel/providers/plugin"
)

func main() {
	fake.Main()
	away := fake.Plugin
	away.Name, away.Traits.Local = "away", false
	plugin.Serve(away)
}
