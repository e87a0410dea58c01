// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

// Graph is a plan as a picture: who reaches whom, and where. What has no edge is refused on every tier. It is pure data, the same for the same
// plan; Mermaid and SVG draw it.
type Graph struct {
	Title string `json:"title"`
	Nodes []Node `json:"nodes"`
	Edges []Edge `json:"edges"`
}

// NodeType says what a node stands for.
type NodeType string

const (
	NodeKind     NodeType = "kind"     // Count machines alike
	NodeExternal NodeType = "external" // what stands for a kind and is not of the environment
	NodeAnywhere NodeType = "anywhere"
	NodeNetwork  NodeType = "network"
)

// Node is one box.
type Node struct {
	ID    string   `json:"id"` // unique: kind web, network 10.0.0.0/8
	Type  NodeType `json:"type"`
	Name  string   `json:"name"`
	Count int      `json:"count,omitempty"` // machines
	Lines []string `json:"lines,omitempty"` // what else there is to say of it
	Disks []string `json:"disks,omitempty"` // its data disks
}

// Edge is what one node may reach of another. What machines of one kind reach of each other stands in its node's Lines.
type Edge struct {
	From  string `json:"from"` // ID of a node
	To    string `json:"to"`
	Ports string `json:"ports"` // "80, 443, udp 53": tcp where nothing is said
}

// MakeGraph is the picture of p.
func MakeGraph(p *Plan) Graph {
	g := Graph{Title: p.Env + " on " + p.Provider}
	if p.Protected {
		g.Title += ", protected"
	}
	rules := map[[2]string][]Rule{} // from, to
	kinds := kindsOf(p)
	for _, kind := range kinds {
		machines := machinesOf(p, kind)
		g.Nodes = append(g.Nodes, kindNode(kind, machines))
		at := len(g.Nodes) - 1
		var among []Rule
		for _, r := range machines[0].Allow {
			if r.From == kind {
				among = append(among, r)
				continue
			}
			from := sourceNode(p, r.From)
			if !slices.ContainsFunc(g.Nodes, func(n Node) bool { return n.ID == from.ID }) && from.Type != NodeKind {
				g.Nodes = append(g.Nodes, from)
			}
			key := [2]string{from.ID, "kind " + kind}
			rules[key] = append(rules[key], r)
		}
		if len(among) > 0 {
			g.Nodes[at].Lines = append(g.Nodes[at].Lines, "among themselves: "+portsText(among))
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(p.External)) {
		n := sourceNode(p, kind)
		if !slices.ContainsFunc(g.Nodes, func(o Node) bool { return o.ID == n.ID }) {
			g.Nodes = append(g.Nodes, n)
		}
		_, port, _ := net.SplitHostPort(p.External[kind]) // "": a plan made by hand
		number, _ := strconv.Atoi(port)
		for _, r := range p.outside[kind] { // who uses it, at the port that it has here
			if slices.Contains(kinds, r.From) {
				key := [2]string{"kind " + r.From, n.ID}
				rules[key] = []Rule{{PortLow: number, PortHigh: number, Proto: "tcp"}}
			}
		}
	}
	order := []NodeType{NodeAnywhere, NodeNetwork, NodeKind, NodeExternal}
	slices.SortStableFunc(g.Nodes, func(a, b Node) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Type), slices.Index(order, b.Type)), strings.Compare(a.Name, b.Name))
	})
	for _, from := range g.Nodes {
		for _, to := range g.Nodes {
			if list := rules[[2]string{from.ID, to.ID}]; len(list) > 0 {
				g.Edges = append(g.Edges, Edge{from.ID, to.ID, portsText(list)})
			}
		}
	}
	return g
}

func kindsOf(p *Plan) []string {
	var kinds []string
	for _, m := range p.Machines {
		if !slices.Contains(kinds, m.Kind) {
			kinds = append(kinds, m.Kind)
		}
	}
	return kinds
}

func machinesOf(p *Plan, kind string) []Machine {
	return slices.DeleteFunc(slices.Clone(p.Machines), func(m Machine) bool { return m.Kind != kind })
}

// sourceNode is what the From of a rule stands for.
func sourceNode(p *Plan, from string) Node {
	at, external := p.External[from]
	switch {
	case from == Anywhere:
		return Node{ID: Anywhere, Type: NodeAnywhere, Name: Anywhere}
	case strings.Contains(from, "/"):
		return Node{ID: "network " + from, Type: NodeNetwork, Name: from}
	case external:
		return Node{ID: "external " + from, Type: NodeExternal, Name: from, Lines: []string{at}}
	}
	return Node{ID: "kind " + from, Type: NodeKind, Name: from}
}

func kindNode(kind string, machines []Machine) Node {
	m, last := machines[0], machines[len(machines)-1]
	n := Node{ID: "kind " + kind, Type: NodeKind, Name: kind, Count: len(machines)}
	switch len(machines) {
	case 1:
		n.Lines = append(n.Lines, m.Name)
	case 2:
		n.Lines = append(n.Lines, m.Name+", "+last.Name)
	default:
		n.Lines = append(n.Lines, m.Name+" to "+last.Name)
	}
	if m.Image != "" { // what exists already may have any size
		n.Lines = append(n.Lines, m.Image, fmt.Sprintf("%d CPU, %s, %s disk", m.CPUs, strictyaml.FormatSize(m.Memory), strictyaml.FormatSize(m.Disk)))
	}
	for _, m := range machines {
		for _, p := range m.Publish {
			if p.HostPort != 0 {
				n.Lines = append(n.Lines, fmt.Sprintf("%s: %s at 127.0.0.1:%d", m.Name, portText(p.Proto, p.Port, p.Port), p.HostPort))
			}
		}
	}
	for _, d := range m.Data {
		n.Disks = append(n.Disks, fmt.Sprintf("%s, %s at %s", d.Name, strictyaml.FormatSize(d.Size), d.Mount))
	}
	return n
}

// portsText is the ports of rules, each once: those of tcp first, then by number.
func portsText(rules []Rule) string {
	slices.SortFunc(rules, func(a, b Rule) int {
		return cmp.Or(strings.Compare(a.Proto, b.Proto), cmp.Compare(a.PortLow, b.PortLow), cmp.Compare(a.PortHigh, b.PortHigh))
	})
	var all []string
	for _, r := range rules {
		if text := portText(r.Proto, r.PortLow, r.PortHigh); !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	const most = 6
	if more := len(all) - most; more > 1 {
		all = append(all[:most], fmt.Sprintf("%d more", more))
	}
	return strings.Join(all, ", ")
}

func portText(proto string, low, high int) string {
	text := fmt.Sprint(low)
	if high != low {
		text += fmt.Sprintf("-%d", high)
	}
	if proto != "tcp" {
		text = proto + " " + text
	}
	return text
}

// Mermaid is g as a flowchart of Mermaid (https://mermaid.js.org), which GitHub and others draw.
func (g Graph) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	ids := map[string]string{}
	write := func(indent string, n Node, opening, closing string) {
		text := mermaidText(n.Name)
		if n.Count > 1 {
			text += fmt.Sprintf(" x%d", n.Count)
		}
		text = "<b>" + text + "</b>"
		for _, line := range n.Lines {
			text += "<br/>" + mermaidText(line)
		}
		fmt.Fprintf(&b, "%s%s%s\"%s\"%s\n", indent, ids[n.ID], opening, text, closing)
	}
	for i, n := range g.Nodes {
		ids[n.ID] = fmt.Sprintf("n%d", i+1)
		switch n.Type {
		case NodeAnywhere, NodeNetwork:
			write("  ", n, "([", "])")
		case NodeExternal:
			write("  ", n, "[", "]")
			fmt.Fprintf(&b, "  style %s stroke-dasharray: 5 4\n", ids[n.ID])
		}
	}
	fmt.Fprintf(&b, "  subgraph environment[\"%s\"]\n", mermaidText(g.Title))
	for _, n := range g.Nodes {
		if n.Type != NodeKind {
			continue
		}
		write("    ", n, "[", "]")
		for i, d := range n.Disks {
			disk := fmt.Sprintf("%sd%d", ids[n.ID], i+1)
			fmt.Fprintf(&b, "    %s[(\"%s\")]\n    %s --- %s\n", disk, mermaidText(d), ids[n.ID], disk)
		}
	}
	b.WriteString("  end\n")
	for _, e := range g.Edges {
		fmt.Fprintf(&b, "  %s -->|\"%s\"| %s\n", ids[e.From], mermaidText(e.Ports), ids[e.To])
	}
	return b.String()
}

// mermaidText is text inside the quotes of a label: Mermaid reads HTML and Markdown there, so whatever could be either is a character code.
func mermaidText(text string) string {
	var b strings.Builder
	for _, r := range oneWay(text) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(" .,:/-", r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	return b.String()
}
