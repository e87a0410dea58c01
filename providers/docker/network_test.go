// SPDX-License-Identifier: Apache-2.0

package docker_test

import (
	"net/netip"
	"testing"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/docker"
)

func TestNetworksDivideTheSubnets(t *testing.T) {
	all := netip.MustParsePrefix("10.214.0.0/16")
	for i, want := range map[int]string{0: "10.214.0.0/24", 1: "10.214.1.0/24", 255: "10.214.255.0/24"} {
		if got := docker.SubnetOf(all, i).String(); got != want {
			t.Errorf("network %d: got %s, want %s", i, got, want)
		}
	}
}

func TestMachinesHaveTheLowerHalf(t *testing.T) {
	s := netip.MustParsePrefix("10.214.3.0/24")
	lowest := func(int) int { return 0 }
	if got, err := docker.ChooseSlot(s, []string{"10.214.3.2", "10.214.3.4"}, lowest); err != nil || got.String() != "10.214.3.3" {
		t.Errorf("got %v, %v, want the lowest that is free", got, err)
	}
	if got, err := docker.ChooseSlot(s, nil, func(n int) int { return n - 1 }); err != nil || got.String() != "10.214.3.126" {
		t.Errorf("got %v, %v, want the last of the lower half", got, err)
	}
	var full []string
	for i := 2; i <= 126; i++ {
		full = append(full, docker.AddressOf(s, i).String())
	}
	_, err := docker.ChooseSlot(s, full, lowest)
	if err := docker.Wrap("choose", "address", err); providers.CodeOf(err) != providers.Exhausted {
		t.Errorf("got %v, want exhausted", err)
	}
}
