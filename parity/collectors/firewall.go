// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/parity"
)

// firewall lists rules only where the kernel's part is loaded, since nft and iptables-save would load it: what is not loaded has no rules. Counters, handles and dates are left out. The names of the
// environment's machines come along, so that a rule for a kind reads alike in all tiers.
func firewall() Group {
	return Group{
		Name: "firewall", Lane: parity.Stable,
		About: "rules of nftables and iptables, without counters: a fact for each chain and set",
		Script: `needs_root
ours=
while IFS= read -r line || [ -n "$line" ]; do
	case $line in
	'# evenkeel: machines') ours=1 ;;
	'# evenkeel: end') ours= ;;
	*) [ -z "$ours" ] || printf 'host %s\n' "$line" ;;
	esac
done 2>/dev/null </etc/hosts
there() {
	[ ! -d "/sys/module/$1" ] && [ -e /proc/modules ] || return 0
	read -r release </proc/sys/kernel/osrelease
	if [ -r "/lib/modules/$release/modules.builtin" ]; then
		grep -q "/$1\.ko" "/lib/modules/$release/modules.builtin"
	else
		grep -q "$1_newtable" /proc/kallsyms
	fi
}
saved() {
	echo "saved $2"
	text=$($1 2>/dev/null) || unknown "$1 fails"
	case $text in *' is incompatible, use '*) unknown "$1 leaves out what nft laid, and nft is not there to list it" ;; esac
	printf '%s\n' "$text" | sed -e '/^#/d' -e 's/ \[[0-9]*:[0-9]*\]$//' -e 's/^\[[0-9]*:[0-9]*\] //'
}
if there nf_tables; then
	if have nft; then
		echo nft
		{ why=$(nft -s list ruleset 2>&1 >&3 3>&-); } 3>&1 || unknown "nft list ruleset: $why"
	elif have iptables-nft-save ip6tables-nft-save; then
		saved iptables-nft-save ip
		saved ip6tables-nft-save ip6
	else
		unknown 'the kernel has nftables, and nft is not there to list the rules'
	fi
fi
for v in '' 6; do
	table=
	read -r table 2>/dev/null </proc/net/ip${v}_tables_names || [ -n "$table" ] || continue
	if have ip${v}tables-legacy-save; then
		saved ip${v}tables-legacy-save "ip$v legacy"
	elif have ip${v}tables-save && ! have ip${v}tables-nft-save; then
		saved ip${v}tables-save "ip$v legacy"
	else
		unknown "ip${v}tables has rules of the old kind, and ip${v}tables-legacy-save is not there to list them"
	fi
done
`,
		Parse: parseFirewall,
	}
}

func parseFirewall(raw []byte) ([]parity.Item, error) {
	var p pile
	kinds := map[netip.Addr]string{}
	saved, table := "", ""
	var open []string // table and block that the line is in
	var block []string
	chains := map[string]*oldChain{}
	var order []string
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || line[0] == '#':
		case len(open) == 0 && word == "host":
			if f := strings.Fields(rest); len(f) > 1 {
				if a, err := netip.ParseAddr(f[0]); err == nil {
					kinds[a] = f[len(f)-1]
				}
			}
		case len(open) == 0 && word == "nft" && rest == "":
		case len(open) == 0 && word == "saved":
			saved, table = rest, ""
		case saved != "":
			if word[0] == '*' {
				table = line[1:]
				continue
			}
			if saved != "" && (word[0] == ':' || word == "-A") {
				name, text, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(line, ":"), "-A "), " ")
				key := fmt.Sprintf("%s %s chain %s", saved, table, name)
				c := chains[key]
				if c == nil {
					c = &oldChain{}
					chains[key] = c
					order = append(order, key)
				}
				if word[0] == ':' {
					c.head = "policy " + text
				} else {
					c.rules = append(c.rules, named(text, kinds))
				}
			}
		case line == "}":
			switch len(open) {
			case 0:
				return nil, fmt.Errorf("cannot read the rules: a } too many")
			case 2:
				addBlock(&p, open[0], open[1], block, kinds)
			}
			open, block = open[:len(open)-1], nil
		case len(open) < 2 && strings.HasSuffix(line, "{"):
			open = append(open, strings.TrimSpace(strings.TrimSuffix(line, "{")))
		case len(open) == 2:
			block = append(block, line)
		case len(open) == 1:
			p.join(strings.TrimPrefix(open[0], "table ")+" flags", line)
		default:
			return nil, fmt.Errorf("cannot read the rules: %.60q", line)
		}
	}
	if len(open) > 0 {
		return nil, fmt.Errorf("the list of rules ends too early")
	}
	for _, key := range order {
		addChain(&p, key, chains[key].head, chains[key].rules)
	}
	return p.done("; ")
}

// oldChain is one of iptables.
type oldChain struct {
	head  string
	rules []string
}

// addBlock adds a chain, a set or what else a table of nftables holds.
func addBlock(p *pile, table, name string, lines []string, kinds map[netip.Addr]string) {
	key := strings.TrimPrefix(table, "table ") + " " + name
	if !strings.HasPrefix(name, "chain ") {
		p.add(key, setOf(lines))
		return
	}
	head, rules := "", []string(nil)
	for _, line := range joined(lines) {
		if strings.HasPrefix(line, "type ") && strings.Contains(line, " hook ") {
			head = strings.TrimSuffix(line, ";")
			continue
		}
		rules = append(rules, named(line, kinds))
	}
	addChain(p, key, head, rules)
}

// resolver marks chains that do nothing but to the resolver that docker gives containers, at the one address it always has. ofResolver is a rule that is about that address
// alone, as nft or iptables-save lists it.
const resolver = " of a container's resolver"

var ofResolver = lazyregexp.New(`^(?:(?:meta l4proto (?:tcp|udp) )?ip [sd]addr 127\.0\.0\.11|-[sd] 127\.0\.0\.11/32)(?: |$)`)

func addChain(p *pile, key, head string, rules []string) {
	// Machines of one kind have a rule each, which read alike.
	rules = slices.Compact(rules)
	accepts := head == "" || head == "policy -" || strings.HasSuffix(strings.ToLower(head), "policy accept")
	if len(rules) > 0 && accepts && !slices.ContainsFunc(rules, func(r string) bool { return !ofResolver.MatchString(r) }) {
		key += resolver
	}
	body := strings.Join(rules, "\n")
	sum := sha256.Sum256([]byte(body))
	value := fmt.Sprintf("%d rules sha256:%s", len(rules), hex.EncodeToString(sum[:8]))
	if head != "" {
		value = head + "; " + value
	}
	p.add(key, value).Body = body
}

// joined are lines with what a bracket opened on one of them.
func joined(lines []string) []string {
	var list []string
	depth := 0
	var part []string
	for _, line := range lines {
		part = append(part, line)
		if depth += strings.Count(line, "{") - strings.Count(line, "}"); depth <= 0 {
			list, part, depth = append(list, strings.Join(part, " ")), nil, 0
		}
	}
	if len(part) > 0 {
		list = append(list, strings.Join(part, " "))
	}
	return list
}

// setOf is a set's form and elements, sorted; those of sets that rules or programs fill as packets come are left out.
func setOf(lines []string) string {
	var form, elements []string
	comes := false
	for _, line := range joined(lines) {
		list, ok := strings.CutPrefix(line, "elements = {")
		if !ok {
			comes = comes || strings.HasPrefix(line, "flags ") && (strings.Contains(line, "dynamic") || strings.Contains(line, "timeout"))
			form = append(form, strings.TrimSuffix(line, ";"))
			continue
		}
		for element := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(list), "}"), ",") {
			if element = squeezed(element); element != "" {
				elements = append(elements, element)
			}
		}
	}
	switch {
	case comes:
		form = append(form, "elements come and go")
	case len(elements) > 0:
		slices.Sort(elements)
		form = append(form, "elements "+strings.Join(elements, ", "))
	}
	return strings.Join(form, "; ")
}

// named is a rule with the kinds of the environment's machines for their addresses, and without the moment at which something ends.
func named(rule string, kinds map[netip.Addr]string) string {
	words := strings.Split(rule, " ")
	kept := words[:0]
	for i := 0; i < len(words); i++ {
		w := words[i]
		last := len(kept) - 1
		switch {
		case w == "expires" && i+1 < len(words):
			i++
			continue
		case last >= 0 && (kept[last] == "saddr" || kept[last] == "daddr") && kindOf(w, kinds) != "":
			if last > 0 && (kept[last-1] == "ip" || kept[last-1] == "ip6") {
				kept = append(kept[:last-1], kept[last])
			}
			w = "of " + kindOf(w, kinds)
		case last >= 0 && (kept[last] == "-s" || kept[last] == "-d"):
			address, bits, _ := strings.Cut(w, "/")
			if kind := kindOf(address, kinds); kind != "" && (bits == "32" || bits == "128") {
				w = "of " + kind
			}
		}
		kept = append(kept, w)
	}
	return strings.Join(kept, " ")
}

func kindOf(address string, kinds map[netip.Addr]string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	return kinds[a]
}
