// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

// What a hop says comes to stand in lines that a person is told to type.
func TestWayThatCannotBeOneIsTheMachinesTrouble(t *testing.T) {
	good := &proto.Hop{Address: "10.0.0.1:22", Name: "web-1.example", User: "jo", Keys: []string{"ssh-ed25519 AAAA"}}
	hop := func(change func(*proto.Hop)) []*proto.Hop {
		h := &proto.Hop{Address: good.Address, Name: good.Name, User: good.User}
		change(h)
		return []*proto.Hop{good, h}
	}
	h := &hostile{machines: &proto.MachineList{}}
	for i, hops := range [][]*proto.Hop{
		hop(func(h *proto.Hop) { h.Address = "10.0.0.1;reboot:22" }),
		hop(func(h *proto.Hop) { h.Address = "-oProxyCommand=x:22" }),
		hop(func(h *proto.Hop) { h.Address = "" }),
		hop(func(h *proto.Hop) { h.Name = "a b" }),
		hop(func(h *proto.Hop) { h.Name = "a\x1b[2J" }),
		hop(func(h *proto.Hop) { h.User = "$(id)" }),
		hop(func(h *proto.Hop) { h.Keys = make([]string, 1001) }),
		{good, good, good, good, good, good, good, good, good},
	} {
		h.machines.Machines = append(h.machines.Machines, &proto.Machine{Id: string(rune('a' + i)), Name: "m", State: "running", Host: &proto.Host{Hops: hops}})
	}
	h.machines.Machines = append(h.machines.Machines, &proto.Machine{Id: "z", Name: "good", State: "running", Host: &proto.Host{Kind: "web", Hops: []*proto.Hop{good}}})
	list, err := against(t, h, time.Second, hclog.NewNullLogger()).ListMachines(t.Context(), "e")
	if err != nil || len(list) != 9 {
		t.Fatalf("got %d machines, %v", len(list), err)
	}
	for _, m := range list[:8] {
		if m.State != providers.Unknown || len(m.Host.Hops) > 0 || m.Host.Trouble == "" || strings.ContainsRune(m.Host.Trouble, 0x1b) {
			t.Errorf("got %+v, want it unknown, with its trouble and no way", m)
		}
	}
	if m := list[8]; m.State != providers.Running || m.Host.Hops[0].Name != "web-1.example" {
		t.Errorf("got %+v, want it as it was sent", m)
	}
}
