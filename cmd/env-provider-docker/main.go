// SPDX-License-Identifier: Apache-2.0

// Command env-provider-docker is the provider of containers.
package main

import (
	"github.com/evenkeel/evenkeel/providers/docker"
	"github.com/evenkeel/evenkeel/providers/plugin"
)

func main() { plugin.Serve(docker.Plugin()) }
