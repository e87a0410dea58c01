// SPDX-License-Identifier: Apache-2.0

package providers

import (
	_ "embed"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/evenkeel/evenkeel/envs"
)

// externalScript finds the hosts that stand for kinds. They are resolved on the machine and not by the client: it is the machine that talks to them, from
// its own network, long after `up`, when the address may have moved.
//
//go:embed external.sh
var externalScript string

// externalFiles are what makes the names of external kinds resolve; none where an address stands for each.
func externalFiles(plan *envs.Plan) []laidFile {
	var list strings.Builder
	for _, kind := range sortedKeys(plan.External) {
		if host := externalHost(plan, kind); !isAddress(host) {
			fmt.Fprintf(&list, "%s %s\n", kind, host)
		}
	}
	if list.Len() == 0 {
		return nil
	}
	return []laidFile{{"external", 0o644, []byte(list.String())}, {"external.sh", 0o644, []byte(externalScript)}}
}

// externalHost is the host, without its port, that stands for a kind.
func externalHost(plan *envs.Plan, kind string) string {
	host, _, err := net.SplitHostPort(plan.External[kind])
	if err != nil {
		return plan.External[kind]
	}
	return host
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// hostsBlock names every machine of the environment; a kind's name resolves to all of its machines, or to the address that stands for it.
func hostsBlock(plan *envs.Plan, all []Machine) string {
	var b strings.Builder
	there := byName(all)
	for _, pm := range plan.Machines {
		for _, m := range there[pm.Name] {
			if m.Address != "" {
				fmt.Fprintf(&b, "%s %s %s.%s %s\n", m.Address, m.Name, m.Name, plan.Env, pm.Kind)
			}
		}
	}
	for _, kind := range sortedKeys(plan.External) {
		if host := externalHost(plan, kind); isAddress(host) {
			fmt.Fprintf(&b, "%s %s\n", host, kind)
		}
	}
	return b.String()
}

// rules are the machine's inbound rules; what none of them allows is refused at once instead of left to time out. They extend the
// image's own default-deny chain, which lets in SSH, ICMP, DHCP and what is established.
func rules(plan *envs.Plan, m envs.Machine, all []Machine) string {
	var b strings.Builder
	for _, r := range m.Allow {
		if at := plan.External[r.From]; at != "" && !isAddress(externalHost(plan, r.From)) {
			// Filled by externalScript; twice is as good as once.
			fmt.Fprintf(&b, "add set inet evenkeel from-%[1]s-4 { type ipv4_addr; }\nadd set inet evenkeel from-%[1]s-6 { type ipv6_addr; }\n", r.From)
		}
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
	if at := plan.External[from]; at != "" {
		if a, err := netip.ParseAddr(externalHost(plan, from)); err == nil {
			return []string{family(a) + " saddr " + a.String() + " "}
		}
		return []string{"ip saddr @from-" + from + "-4 ", "ip6 saddr @from-" + from + "-6 "}
	}
	var list []string
	there := byName(all)
	for _, pm := range plan.Machines {
		if pm.Kind != from {
			continue
		}
		for _, m := range there[pm.Name] {
			if a, err := netip.ParseAddr(m.Address); err == nil {
				list = append(list, family(a)+" saddr "+a.String()+" ")
			}
		}
	}
	return list
}

// byName sorts machines by their names, of which several may have one.
func byName(all []Machine) map[string][]Machine {
	there := make(map[string][]Machine, len(all))
	for _, m := range all {
		there[m.Name] = append(there[m.Name], m)
	}
	return there
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "ip"
	}
	return "ip6"
}
