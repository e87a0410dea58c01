// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"

	"github.com/evenkeel/evenkeel/providers"
)

// An environment's network is a bridge of its own, a /24: machines have fixed addresses in its lower half (slots), what forwards to them takes any in
// its upper half. The daemon keeps bridges apart.

// networks lists those of an environment, or of all where env is "", the oldest first.
func (p *provider) networks(ctx context.Context, env string) ([]network.Summary, error) {
	list, err := p.NetworkList(ctx, network.ListOptions{Filters: byLabels(env, kindNetwork)})
	slices.SortFunc(list, func(a, b network.Summary) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) })
	return list, err
}

// ensureNetwork finds or makes the environment's network. The daemon lets two have one name, but not one subnet: of two that are made at once, both from
// the same subnet on, one is refused, and looks again.
func (p *provider) ensureNetwork(ctx context.Context, spec providers.Spec) (network.Summary, error) {
	n, err := p.findOrMakeNetwork(ctx, spec)
	if err != nil {
		return n, fmt.Errorf("private network: %w", err)
	}
	return n, nil
}

func (p *provider) findOrMakeNetwork(ctx context.Context, spec providers.Spec) (network.Summary, error) {
	for s := range p.subnetsFor(spec.Env) {
		for range maxTries {
			list, err := p.networks(ctx, spec.Env)
			if err != nil || len(list) > 0 {
				return first(list), err
			}
			all, err := p.NetworkList(ctx, network.ListOptions{})
			if err != nil {
				return network.Summary{}, err
			}
			if isUsed(all, s) {
				break
			}
			err = p.createNetwork(ctx, spec, s)
			if err != nil && !says(err, "overlaps with other one", "overlaps with existing") {
				return network.Summary{}, err
			}
			if err != nil { // whoever has it cannot be seen yet
				err = pause(ctx)
			}
			if err != nil {
				return network.Summary{}, err
			}
		}
	}
	return network.Summary{}, p.noSubnet()
}

func (p *provider) noSubnet() error {
	return &coded{
		providers.Exhausted,
		fmt.Errorf("all %d networks of %s are in use", p.countSubnets(), p.config.Subnets),
		"remove environments that are not needed (evenkeel gc), or give more: config: {subnets: ...}",
	}
}

func (p *provider) countSubnets() int { return 1 << (networkBits - p.config.subnets.Bits()) }

// subnetsFor are all that an environment's network may have, in the order in which they are tried.
func (p *provider) subnetsFor(env string) iter.Seq[netip.Prefix] {
	count := p.countSubnets()
	start := int(hashOf(env) % uint32(count))
	return func(yield func(netip.Prefix) bool) {
		for i := range count {
			if !yield(subnetOf(p.config.subnets, (start+i)%count)) {
				return
			}
		}
	}
}

// planNetwork finds the environment's network, or says which findOrMakeNetwork will make, which has no ID.
func (p *provider) planNetwork(ctx context.Context, env string) (network.Summary, error) {
	list, err := p.networks(ctx, env)
	if err != nil || len(list) > 0 {
		return first(list), err
	}
	all, err := p.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return network.Summary{}, err
	}
	for s := range p.subnetsFor(env) {
		if !isUsed(all, s) {
			return network.Summary{Name: networkName(env), IPAM: network.IPAM{Config: []network.IPAMConfig{{Subnet: s.String()}}}}, nil
		}
	}
	return network.Summary{}, p.noSubnet()
}

// alike: what was made for the one fits the other.
func alike(a, b network.Summary) bool {
	s, err := subnet(a)
	t, err2 := subnet(b)
	return err == nil && err2 == nil && s == t && a.Name == b.Name
}

// handle is what the daemon knows a network by: of one that is yet to be, the name.
func handle(n network.Summary) string { return cmp.Or(n.ID, n.Name) }

func first(list []network.Summary) network.Summary {
	if len(list) == 0 {
		return network.Summary{}
	}
	return list[0]
}

// isUsed reports whether one of the networks has some of the subnet.
func isUsed(all []network.Summary, s netip.Prefix) bool {
	for _, n := range all {
		for _, pool := range n.IPAM.Config {
			if used, err := netip.ParsePrefix(pool.Subnet); err == nil && used.Overlaps(s) {
				return true
			}
		}
	}
	return false
}

func (p *provider) createNetwork(ctx context.Context, spec providers.Spec, subnet netip.Prefix) error {
	ctx, cancel := steady(ctx)
	defer cancel()
	_, err := p.NetworkCreate(ctx, networkName(spec.Env), network.CreateOptions{
		Driver: "bridge", Labels: ownLabels(kindNetwork, spec.Env, spec.Labels),
		IPAM: &network.IPAM{Driver: "default", Config: []network.IPAMConfig{{
			Subnet: subnet.String(), Gateway: addressOf(subnet, 1).String(), IPRange: netip.PrefixFrom(addressOf(subnet, 128), 25).String(),
		}}},
	})
	return err
}

func hashOf(words ...string) uint32 {
	h := fnv.New32a()
	for _, w := range words {
		_, _ = h.Write([]byte(w + "\x00")) // never fails
	}
	return h.Sum32()
}

// subnetOf is the i-th network of an environment in all.
func subnetOf(all netip.Prefix, i int) netip.Prefix {
	return netip.PrefixFrom(addressOf(all, i<<(32-networkBits)), networkBits)
}

func addressOf(subnet netip.Prefix, i int) netip.Addr {
	b := subnet.Addr().As4()
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	n += uint32(i)
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// subnet is the network's own.
func subnet(n network.Summary) (netip.Prefix, error) {
	for _, pool := range n.IPAM.Config {
		if s, err := netip.ParsePrefix(pool.Subnet); err == nil && s.Addr().Is4() && s.Bits() <= networkBits {
			return s, nil
		}
	}
	return netip.Prefix{}, fail(providers.Conflict, "its network %s has no subnet of ours: remove it with docker network rm", n.Name)
}

// Slots of machines: the gateway has the first address, the upper half is not for them.
const (
	firstSlot = 2
	lastSlot  = 126
)

// chooseSlot takes the lowest free address, or after a clash any, so that two do not clash for ever.
func chooseSlot(s netip.Prefix, others []box, mine string, pick func(n int) int) (netip.Addr, error) {
	var free []netip.Addr
	for i := firstSlot; i <= lastSlot; i++ {
		a := addressOf(s, i)
		if !taken(others, mine, a.String()) {
			free = append(free, a)
		}
	}
	if len(free) == 0 {
		return netip.Addr{}, fail(providers.Exhausted, "all %d addresses of the private network are in use", lastSlot-firstSlot+1)
	}
	return free[pick(len(free))], nil
}

func taken(others []box, mine, address string) bool {
	return slices.ContainsFunc(others, func(b box) bool { return b.ID != mine && b.at() == address })
}

// removeEmptyNetwork removes the environment's networks where no machine is left. One that another run attaches to at this moment stays.
func (p *provider) removeEmptyNetwork(ctx context.Context, env string) error {
	there, err := p.look(ctx, env)
	if err != nil || len(there.machines) > 0 {
		return err
	}
	return p.removeNetworks(ctx, env)
}

func (p *provider) removeNetworks(ctx context.Context, env string) error {
	list, err := p.networks(ctx, env)
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range list {
		err := p.NetworkRemove(ctx, n.ID)
		if err != nil && (errdefs.IsNotFound(err) || says(err, "has active endpoints")) {
			err = nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
