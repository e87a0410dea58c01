// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"fmt"
	"strings"

	"github.com/evenkeel/evenkeel/envs"
)

// dataFile says to the machine what it mounts at every boot. Disks that the place mounts itself are not in it.
func dataFile(disks []Mount) string {
	var b strings.Builder
	for _, d := range disks {
		if d.Device != "" {
			fmt.Fprintf(&b, "%s %s %s\n", d.Name, d.Device, d.Mount)
		}
	}
	return b.String()
}

// mounts are m's data disks, where its place says that they are.
func mounts(m envs.Machine, there Machine) []Mount {
	var list []Mount
	for _, d := range m.Data {
		for _, at := range there.Data {
			if at.Name == d.Name {
				list = append(list, Mount{Name: d.Name, Device: at.Device, Mount: d.Mount})
			}
		}
	}
	return list
}
