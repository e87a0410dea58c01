// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/evenkeel/evenkeel/envs"
)

// hostsBlock names every machine of the environment; a kind's name resolves to all of its machines.
func hostsBlock(plan *envs.Plan, all []Machine) string {
	var b strings.Builder
	for _, pm := range plan.Machines {
		for _, m := range all {
			if m.Name == pm.Name && m.Address != "" {
				fmt.Fprintf(&b, "%s %s %s.%s %s\n", m.Address, m.Name, m.Name, plan.Env, pm.Kind)
			}
		}
	}
	return b.String()
}

// rules are the machine's inbound rules; what none of them allows is refused at once instead of left to time out. They extend the
// image's own default-deny chain, which lets in SSH, ICMP, DHCP and what is established.
func rules(plan *envs.Plan, m envs.Machine, all []Machine) string {
	var b strings.Builder
	for _, r := range m.Allow {
		ports := fmt.Sprint(r.PortLow)
		if r.PortHigh != r.PortLow {
			ports = fmt.Sprintf("%d-%d", r.PortLow, r.PortHigh)
		}
		for _, from := range sources(plan, r.From, all) {
			fmt.Fprintf(&b, "add rule inet evenkeel input %s%s dport %s accept\n", from, r.Proto, ports)
		}
	}
	b.WriteString("add rule inet evenkeel input meta l4proto tcp reject with tcp reset\n")
	b.WriteString("add rule inet evenkeel input reject with icmpx type admin-prohibited\n")
	return b.String()
}

// sources are the match prefixes for a rule's from; none where a kind has no machine with an address.
func sources(plan *envs.Plan, from string, all []Machine) []string {
	if from == envs.Anywhere {
		return []string{""}
	}
	if p, err := netip.ParsePrefix(from); err == nil {
		return []string{family(p.Addr()) + " saddr " + p.Masked().String() + " "}
	}
	var list []string
	for _, pm := range plan.Machines {
		for _, m := range all {
			if pm.Kind != from || m.Name != pm.Name {
				continue
			}
			if a, err := netip.ParseAddr(m.Address); err == nil {
				list = append(list, family(a)+" saddr "+a.String()+" ")
			}
		}
	}
	return list
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "ip"
	}
	return "ip6"
}
