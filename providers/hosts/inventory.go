// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/internal/problem"
)

// maxInventory bounds an inventory's text: what a message to a plugin carries.
const maxInventory = 14 << 20

// Hosts and groups of Ansible's that everything is in, and what is in no other.
const (
	groupAll       = "all"
	groupUngrouped = "ungrouped"
)

// inventory is one of Ansible's, in whatever form it was written.
type inventory struct {
	file     string // for messages
	members  map[string]*member
	order    []string // of members
	groups   map[string]*group
	expanded int // names that its ranges and lists have come to; a host counts in each group that lists it
	problems problem.List
}

type member struct {
	vars   map[string]string
	groups map[string]bool // that list it
	line   int
}

type group struct {
	name     string
	line     int
	vars     map[string]string
	children []string
	declared bool              // it stands somewhere as more than somebody's child
	depth    int               // from the top: nearer groups' variables win
	above    map[string]*group // set by settle
}

// readInventory reads it from its file, or from what a command printed; from says where it comes from.
func readInventory(f inventoryFrom) (inv *inventory, from string, err error) {
	if f.Output != nil {
		from = "the output of `" + clip(strings.Join(f.Command, " ")) + "`"
		if len(*f.Output) > maxInventory {
			return nil, from, fmt.Errorf("%s is larger than %d bytes", from, maxInventory)
		}
		return parseJSON(from, []byte(*f.Output)), from, nil
	}
	data, err := readFile(f.File, maxInventory)
	if err != nil {
		return nil, f.File, err
	}
	if bytes.HasPrefix(data, []byte("#!")) {
		return nil, f.File, errors.New(f.File + " is a program; say inventory: {command: [" + f.File + ", --list]}, which asks for your consent")
	}
	return parse(f.File, data), f.File, nil
}

// parse reads an inventory in the form that its name or its beginning tells.
func parse(file string, data []byte) *inventory {
	text := bytes.TrimSpace(data)
	switch ext := strings.ToLower(filepath.Ext(file)); {
	case ext == ".json" || ext == "" && bytes.HasPrefix(text, []byte("{")):
		return parseJSON(file, data)
	case ext == ".yaml" || ext == ".yml" || bytes.HasPrefix(text, []byte("---")):
		return parseYAML(file, data)
	}
	return parseINI(file, data)
}

func newInventory(file string) *inventory {
	return &inventory{file: file, members: map[string]*member{}, groups: map[string]*group{}}
}

func (v *inventory) refuse(line, column int, format string, args ...any) *problem.Problem {
	if len(v.problems) > 10*maxTold { // the first say enough
		return &problem.Problem{}
	}
	v.problems = append(v.problems, problem.Problem{Severity: problem.Error, File: v.file, Line: line, Column: column, Message: fmt.Sprintf(format, args...)})
	return &v.problems[len(v.problems)-1]
}

// group is the one of that name, made where it is only now heard of.
func (v *inventory) group(name string, line int) *group {
	g, ok := v.groups[name]
	if !ok {
		g = &group{name: name, line: line, vars: map[string]string{}}
		v.groups[name] = g
	}
	return g
}

// add takes in the hosts that pattern stands for, into group in ("": none).
func (v *inventory) add(pattern, in string, vars map[string]string, line, column int) {
	port := ""
	if host, rest, ok := cutPort(pattern); ok {
		pattern, port = host, rest
	}
	if v.expanded >= maxListed {
		v.refuse(line, column, "its groups list more than %d hosts", maxListed)
		return
	}
	names, err := expandRanges(pattern, maxHosts)
	if err != nil {
		v.refuse(line, column, "%v", err)
		return
	}
	v.expanded += len(names)
	for _, n := range names {
		if !isHost(n) {
			v.refuse(line, column, "got the host %q; allowed are letters, digits and ._-, and addresses", clip(n))
			return
		}
		m, ok := v.members[n]
		if !ok {
			if len(v.members) == maxHosts {
				v.refuse(line, column, "got %q: %v", clip(pattern), tooMany())
				return
			}
			m = &member{vars: map[string]string{}, groups: map[string]bool{}, line: line}
			v.members[n] = m
			v.order = append(v.order, n)
		}
		if port != "" {
			m.vars["ansible_port"] = port
		}
		maps.Copy(m.vars, vars)
		if in != "" {
			m.groups[in] = true
		}
	}
}

// cutPort is Ansible's parse_address: host:port and [2001:db8::1]:port.
func cutPort(s string) (host, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.IndexByte(s[i:], ']') >= 0 {
		if inner, found := strings.CutPrefix(s, "["); found && strings.HasSuffix(inner, "]") && strings.Count(inner, ":") > 1 && isHost(inner[:len(inner)-1]) {
			return inner[:len(inner)-1], "", true
		}
		return "", "", false
	}
	host, port = s[:i], s[i+1:]
	if strings.Count(host, "[") != strings.Count(host, "]") {
		return "", "", false
	}
	if _, err := strconv.Atoi(port); err != nil {
		return "", "", false
	}
	if inner, found := strings.CutPrefix(host, "["); found && strings.HasSuffix(inner, "]") && isHost(inner[:len(inner)-1]) {
		return inner[:len(inner)-1], port, true
	}
	if strings.Contains(strings.ReplaceAll(host, "[", ""), ":") && !strings.Contains(host, "[") { // an IPv6 address without port
		return "", "", false
	}
	return host, port, true
}

// hosts are its members with what their groups say of them, the nearer group first; a problem stands at its line.
func (v *inventory) hosts() ([]*host, problem.List) {
	v.settle()
	if v.problems.Err() != nil {
		return nil, v.problems
	}
	var list []*host
	for _, name := range v.order {
		m := v.members[name]
		h := &host{name: name, written: name, file: v.file, line: m.line}
		over := map[string]*group{groupAll: v.group(groupAll, 0)}
		for g := range m.groups {
			over[g] = v.groups[g]
			maps.Copy(over, v.groups[g].above)
		}
		for _, g := range slices.Sorted(maps.Keys(over)) {
			switch {
			case g == groupUngrouped:
			case m.groups[g] && g != groupAll:
				h.groups = append(h.groups, g)
			default:
				h.above = append(h.above, g)
			}
		}
		vars := map[string]string{}
		for _, g := range slices.SortedFunc(maps.Values(over), func(a, b *group) int {
			return cmp.Or(cmp.Compare(a.depth, b.depth), strings.Compare(a.name, b.name))
		}) {
			maps.Copy(vars, g.vars)
		}
		maps.Copy(vars, m.vars)
		h.apply(vars)
		list = append(list, h)
	}
	return list, nil
}

// settle gives each group those above it and its distance from the top, and refuses circles and children that are nowhere.
func (v *inventory) settle() {
	v.group(groupAll, 0)
	names := slices.Sorted(maps.Keys(v.groups))
	parents := map[string][]*group{}
	edges := 0
	for _, name := range names {
		g := v.groups[name]
		g.children = slices.Compact(slices.Sorted(slices.Values(g.children)))
		edges += len(g.children)
		for _, child := range g.children {
			if !v.groups[child].declared {
				v.refuse(g.line, min(g.line, 1), "the group %s has a child %s that is nowhere", name, child)
			}
			parents[child] = append(parents[child], g)
		}
	}
	if len(names) > maxGroups || edges > maxEdges {
		v.refuse(0, 0, "it has %d groups with %d children; allowed are %d and %d", len(names), edges, maxGroups, maxEdges)
	}
	onWay, ancestors := map[*group]bool{}, 0
	var climb func(g *group) bool
	climb = func(g *group) bool {
		if onWay[g] {
			v.refuse(g.line, min(g.line, 1), "the group %s is among its own children", g.name)
			return false
		}
		if g.above != nil {
			return true
		}
		onWay[g] = true
		defer delete(onWay, g)
		above := map[string]*group{}
		if g.name != groupAll {
			g.depth = 1
		}
		for _, p := range parents[g.name] {
			if !climb(p) {
				return false
			}
			above[p.name] = p
			maps.Copy(above, p.above)
			g.depth = max(g.depth, p.depth+1)
		}
		g.above = above
		if ancestors += len(above); ancestors > maxAbove {
			v.refuse(g.line, min(g.line, 1), "its groups stand in each other more than %d times", maxAbove)
			return false
		}
		return true
	}
	for _, name := range names {
		if v.problems.Err() != nil || !climb(v.groups[name]) {
			return
		}
	}
}

// What an inventory's groups may be at most. Those that clouds' own inventories make of tags are many, and each machine is in dozens of them.
const (
	maxGroups = 20_000
	maxEdges  = 50_000
	maxAbove  = 2_000_000 // groups above groups, all counted
	maxListed = 2_000_000 // hosts in groups
)

// What of an inventory's variables is used, newer name first.
var (
	varHost       = []string{"ansible_host", "ansible_ssh_host"}
	varPort       = []string{"ansible_port", "ansible_ssh_port"}
	varUser       = []string{"ansible_user", "ansible_ssh_user"}
	varKey        = []string{"ansible_ssh_private_key_file", "ansible_private_key_file"}
	varConnection = []string{"ansible_connection"}
	varArgs       = []string{"ansible_ssh_common_args", "ansible_ssh_extra_args", "ansible_ssh_args"}
)

// wanted: the variable says something of how a host is reached.
func wanted(name string) bool {
	return slices.Contains(slices.Concat(varHost, varPort, varUser, varKey, varConnection, varArgs), name)
}

// apply takes from vars what says how h is reached.
func (h *host) apply(vars map[string]string) {
	value := func(of []string) string {
		for _, n := range of {
			v, ok := vars[n]
			if !ok {
				continue
			}
			if strings.Contains(v, "{{") || strings.Contains(v, "{%") {
				h.trouble = fmt.Sprintf("its inventory says %s: %s, a template, which only Ansible can fill in; say inventory: {command: [ansible-inventory, --list]}", n, clip(v))
				return ""
			}
			return v
		}
		return ""
	}
	switch c := value(varConnection); c {
	case "", "ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh", "ansible.builtin.paramiko_ssh", "ansible.netcommon.libssh":
	default:
		h.refused = fmt.Sprintf("%s has ansible_connection=%s; machines are read over SSH alone", h.name, clip(c))
	}
	if h.address = value(varHost); h.address != "" && !isHost(h.address) {
		h.refused = fmt.Sprintf("%s has ansible_host %q; allowed are host names and addresses", h.name, clip(h.address))
	}
	if text := value(varPort); text != "" {
		port, err := parsePort(text)
		if err != nil {
			h.refused = fmt.Sprintf("%s: ansible_port: %v", h.name, err)
		}
		h.port = port
	}
	if h.user = value(varUser); h.user != "" && !isUser(h.user) {
		h.refused = fmt.Sprintf("%s has ansible_user %q; allowed are letters, digits and ._@+$-", h.name, clip(h.user))
	}
	if file := value(varKey); file != "" {
		h.identities = append(h.identities, file)
	}
	for _, n := range varArgs {
		if args := value([]string{n}); args != "" {
			h.args(n, args)
		}
	}
}

// args takes the jump hosts out of what Ansible adds to ssh's command line. A ProxyCommand is not run.
func (h *host) args(name, text string) {
	words, err := splitWords(text)
	if err != nil {
		h.trouble = fmt.Sprintf("its inventory's %s cannot be read: %v", name, err)
		return
	}
	for i, w := range words {
		option, jump := "", ""
		switch {
		case w == "-J" && i+1 < len(words):
			jump = words[i+1]
		case strings.HasPrefix(w, "-J") && len(w) > 2:
			jump = w[2:]
		case w == "-o" && i+1 < len(words):
			option = words[i+1]
		case strings.HasPrefix(w, "-o"):
			option = w[2:]
		}
		key, value := keyword(option)
		switch {
		case key == "proxyjump":
			jump = value
		case key == "proxycommand" && !strings.EqualFold(value, "none"):
			h.trouble = fmt.Sprintf("its inventory's %s says ProxyCommand, which is not run; say -o ProxyJump=HOST there, or via", name)
		}
		if jump != "" {
			h.via = jump
		}
	}
}
