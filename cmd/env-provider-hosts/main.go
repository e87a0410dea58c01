// SPDX-License-Identifier: Apache-2.0

// Command env-provider-hosts is the provider of machines that exist already: they are listed and read, never made or changed.
package main

import (
	"github.com/evenkeel/evenkeel/providers/hosts"
	"github.com/evenkeel/evenkeel/providers/plugin"
)

func main() { plugin.Serve(hosts.Plugin) }
