// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
)

func TestWhatBecomesOfKeptDataIsSaidOfEachDisk(t *testing.T) {
	plan := &envs.Plan{Machines: []envs.Machine{{Name: "db-1", Data: []envs.Data{{Name: "pg"}, {Name: "wal"}}}}}
	disks := func(names ...string) (list []providers.DataDisk) {
		for _, name := range names {
			list = append(list, providers.DataDisk{DataRef: providers.DataRef{Env: "shop.laptop", Machine: "db-1", Name: name}})
		}
		return list
	}
	for want, list := range map[string][]providers.DataDisk{
		"`evenkeel up` finds it again":                                                          disks("pg"),
		"`evenkeel up` finds all 2 again":                                                       disks("pg", "wal"),
		"the definition does not have it any more":                                              disks("old"),
		"the definition does not have any of them any more":                                     disks("old", "older"),
		"`evenkeel up` finds 1 of them again, the definition does not have the others any more": disks("old", "older", "pg"),
		"`evenkeel up` finds 1 of them again, the definition does not have the other any more":  disks("old", "pg"),
	} {
		if got := foundAgain(plan, list); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
