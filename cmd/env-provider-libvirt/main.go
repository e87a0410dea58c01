// SPDX-License-Identifier: Apache-2.0

// Command env-provider-libvirt is the provider of virtual machines on this computer.
package main

import (
	"github.com/evenkeel/evenkeel/providers/libvirt"
	"github.com/evenkeel/evenkeel/providers/plugin"
)

func main() { plugin.Serve(libvirt.Plugin()) }
