// SPDX-License-Identifier: Apache-2.0

package docker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/docker"
	"github.com/evenkeel/evenkeel/test/conformance"
)

// TestMachinesMadeAtOnceShareOneNetwork makes an environment's first machines at once, by two clients: docker would give each a network of the same name. Each
// has an address of its own.
func TestMachinesMadeAtOnceShareOneNetwork(t *testing.T) {
	conformance.Require(t, "docker", reach(t))
	const env, rounds, machines = "confonce.test", 3, 4
	img := conformance.SmallImage(t, docker.Plugin().Formats)
	var clients [2]providers.Provider
	var ref providers.ImageRef
	for i := range clients {
		p, err := docker.Plugin().Open(t.Context(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		if ref, err = p.PutImage(t.Context(), img, nil); err != nil {
			t.Fatal(err)
		}
		clients[i] = p
	}
	down := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := clients[0].DeleteEnv(ctx, env, false); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(down)
	c := daemon(t)
	defer func() { _ = c.Close() }()
	for range rounds {
		var work sync.WaitGroup
		for i := range machines {
			work.Go(func() {
				spec := someSpec()
				spec.Env, spec.Name, spec.Data, spec.Seed.Data = env, fmt.Sprintf("web-%d", i+1), nil, nil
				spec.Memory = 128 << 20
				if _, err := clients[i%2].PutMachine(t.Context(), spec, ref, nil); err != nil {
					t.Errorf("%s: %v", spec.Name, err)
				}
			})
		}
		work.Wait()
		list, err := clients[1].ListMachines(t.Context(), env)
		addresses := map[string]bool{}
		for _, m := range list {
			addresses[m.Address] = true
		}
		if err != nil || len(list) != machines || len(addresses) != machines {
			t.Errorf("got %+v, %v, want %d machines, each with an address of its own", list, err, machines)
		}
		networks, err := c.NetworkList(t.Context(), network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", docker.LabelEnv+"="+env))})
		if err != nil || len(networks) != 1 {
			t.Errorf("got networks %+v, %v, want one", networks, err)
		}
		down()
	}
}
