// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

// Machines that were there before us: values to messages and back.

func toHost(h providers.Host) *proto.Host {
	if !h.Given() {
		return nil
	}
	return &proto.Host{Kind: text(h.Kind), Hops: each(h.Hops, toHop), Trouble: text(h.Trouble), KnownHosts: text(h.KnownHosts)}
}

func toHop(h providers.Hop) *proto.Hop {
	return &proto.Hop{
		Address: text(h.Address), Name: text(h.Name), User: text(h.User), Keys: each(h.Keys, text), Authorities: each(h.Authorities, text),
		Revoked: each(h.Revoked, text), Identities: each(h.Identities, text),
	}
}

// What the way to a host may be at most: a chain of jump hosts, each with all kinds of keys of some generations.
const (
	maxHops    = 8
	maxHopKeys = 1000
)

// What of a hop stands in messages that say what to type.
var (
	hopName    = lazyregexp.New(`^[A-Za-z0-9_:][A-Za-z0-9._:-]*$`)
	hopAddress = lazyregexp.New(`^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9._-]*):[0-9]+$`)
	hopUser    = lazyregexp.New(`^([A-Za-z0-9_][A-Za-z0-9._@+$-]*)?$`)
)

// fromHost leaves out, with an error, a way that cannot be one: it is the machine's trouble.
func fromHost(h *proto.Host) (providers.Host, error) {
	if h == nil {
		return providers.Host{}, nil
	}
	host := providers.Host{Kind: text(h.GetKind()), Trouble: text(h.GetTrouble()), KnownHosts: text(h.GetKnownHosts())}
	broken := func(err error) (providers.Host, error) {
		host.Trouble = err.Error()
		return host, err
	}
	if len(h.GetHops()) > maxHops {
		return broken(fmt.Errorf("a way of %d hops, at most %d are allowed", len(h.GetHops()), maxHops))
	}
	for _, hop := range h.GetHops() {
		for _, list := range [][]string{hop.GetKeys(), hop.GetAuthorities(), hop.GetRevoked(), hop.GetIdentities()} {
			if len(list) > maxHopKeys {
				return broken(fmt.Errorf("%d keys of one host, at most %d are allowed", len(list), maxHopKeys))
			}
		}
		if !hopName.MatchString(hop.GetName()) || !hopAddress.MatchString(hop.GetAddress()) || !hopUser.MatchString(hop.GetUser()) {
			return broken(fmt.Errorf("host %.60q at %.60q with user %.60q is none", hop.GetName(), hop.GetAddress(), hop.GetUser()))
		}
	}
	host.Hops = each(h.GetHops(), func(h *proto.Hop) providers.Hop {
		return providers.Hop{
			Address: h.GetAddress(), Name: h.GetName(), User: h.GetUser(), Keys: h.GetKeys(), Authorities: h.GetAuthorities(),
			Revoked: h.GetRevoked(), Identities: h.GetIdentities(),
		}
	})
	return host, nil
}
