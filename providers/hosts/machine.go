// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// maxJumps bounds a chain of jump hosts.
const maxJumps = 7

// host is one that a source names. What the source does not say is zero.
type host struct {
	name       string // as its source calls it
	written    string // the whole of it, with login and port
	address    string // what to dial; "": name
	port       int
	user       string
	identities []string
	via        string   // jump hosts; "none": surely none
	groups     []string // that it is directly in
	above      []string // that those are in
	trouble    string   // why it cannot be reached as its source says
	refused    string   // why its source must be changed
	file       string
	line       int
}

func (h *host) problem(format string, args ...any) problem.Problem {
	return problem.Problem{Severity: problem.Error, File: h.file, Line: h.line, Column: min(h.line, 1), Message: fmt.Sprintf(format, args...)}
}

// list is every machine of the configuration, sorted by name, and where they come from.
func list(c config) (machines []providers.Machine, sources []string, problems problem.List) {
	found, sources, problems := gather(c)
	known, err := ssh.ReadKnown(c.KnownHosts...)
	if err != nil {
		problems = append(problems, problem.Problem{Severity: problem.Error, Path: "config.known_hosts", Message: err.Error()})
	}
	settings, err := readSSHConfig(c.SSHConfig.File)
	if err != nil {
		problems = append(problems, problem.Problem{Severity: problem.Error, Path: "config.ssh_config", Message: err.Error()})
	}
	if problems.Err() != nil {
		return nil, nil, problems
	}
	w := way{config: c, known: known, settings: settings, seen: map[jumpAt]seenHop{}}
	called := map[string]*host{}
	named := map[string]bool{}
	for _, h := range found {
		if len(c.Only) > 0 && !matches(c.Only, h) || matches(c.Except, h) {
			continue
		}
		named[h.written], named[h.name] = true, true
		name := c.Names.machineName(h)
		if other, twice := called[name]; twice {
			p := h.problem("%s and %s would both be machine %s", other.written, h.written, name)
			p.Hint = `say names: full, or a name for each: names: {"` + h.written + `": other-name}`
			problems = append(problems, p)
			continue
		}
		called[name] = h
		kind, err := c.kindOf(h)
		if err != nil {
			problems = append(problems, h.problem("%v", err))
		}
		if h.refused != "" {
			p := h.problem("%s", h.refused)
			p.Hint = `leave it out: except: ["` + h.name + `"]`
			problems = append(problems, p)
			continue
		}
		machines = append(machines, w.machine(h, name, kind))
	}
	for _, as := range slices.Sorted(maps.Keys(c.Names.Of)) {
		if !named[as] {
			problems = append(problems, problem.Problem{Severity: problem.Error, Path: "config.names", Message: fmt.Sprintf("there is no host %q", clip(as))})
		}
	}
	slices.SortFunc(machines, func(a, b providers.Machine) int { return strings.Compare(a.Name, b.Name) })
	return machines, sources, problems
}

// gather reads all sources. A host that several of them name is one.
func gather(c config) (found []*host, sources []string, problems problem.List) {
	byName := map[string]*host{}
	add := func(h *host) {
		was, there := byName[h.written]
		if !there {
			byName[h.written] = h
			found = append(found, h)
			return
		}
		if err := was.merge(h); err != nil {
			problems = append(problems, h.problem("%v", err))
		}
	}
	for i, text := range c.Addresses {
		e, err := parseEndpoint(text)
		if err != nil {
			problems = append(problems, problem.Problem{Severity: problem.Error, Path: at("config.addresses", i), Message: err.Error()})
			continue
		}
		add(&host{name: e.host, written: e.text(), user: e.user, port: e.port, file: "", line: 0})
	}
	if len(c.Addresses) > 0 {
		sources = append(sources, "addresses of the configuration")
	}
	if c.SSHConfig.File != "" && len(c.SSHConfig.Hosts) > 0 {
		settings, err := readSSHConfig(c.SSHConfig.File)
		if err == nil {
			for _, alias := range settings.aliases(c.SSHConfig.Hosts) {
				add(&host{name: alias, written: alias, file: c.SSHConfig.File})
			}
		} // list says why not
		sources = append(sources, c.SSHConfig.File)
	}
	if c.Inventory.File != "" || c.Inventory.Output != nil {
		inv, from, err := readInventory(c.Inventory)
		sources = append(sources, from)
		if err != nil {
			problems = append(problems, problem.Problem{Severity: problem.Error, Path: "config.inventory", Message: err.Error()})
			return found, sources, problems
		}
		hosts, wrong := inv.hosts()
		problems = append(problems, wrong...)
		for _, h := range hosts {
			add(h)
		}
	}
	if len(found) > maxHosts {
		problems = append(problems, problem.Problem{Severity: problem.Error, Path: "config", Message: fmt.Sprintf("got %d hosts; allowed are %d", len(found), maxHosts)})
	}
	return found, sources, problems
}

// text is the endpoint without its login: what a host is known by.
func (e endpoint) text() string {
	if e.port == 0 {
		return e.host
	}
	return net.JoinHostPort(e.host, strconv.Itoa(e.port))
}

// merge takes over what o says and h does not. What they say differently is an error.
func (h *host) merge(o *host) error {
	for _, f := range []struct {
		what string
		is   *string
		also string
	}{{"the login", &h.user, o.user}, {"the address", &h.address, o.address}, {"the jump hosts", &h.via, o.via}} {
		if *f.is != "" && f.also != "" && *f.is != f.also {
			return fmt.Errorf("%s is named twice, with %s %q and %q", h.name, f.what, clip(*f.is), clip(f.also))
		}
		*f.is = cmp.Or(*f.is, f.also)
	}
	if h.port != 0 && o.port != 0 && h.port != o.port {
		return fmt.Errorf("%s is named twice, with port %d and %d", h.name, h.port, o.port)
	}
	h.port = cmp.Or(h.port, o.port)
	h.trouble, h.refused = cmp.Or(h.trouble, o.trouble), cmp.Or(h.refused, o.refused)
	h.groups = append(h.groups, o.groups...)
	h.above = append(h.above, o.above...)
	h.identities = append(h.identities, o.identities...)
	return nil
}

// way finds how hosts are reached.
type way struct {
	config   config
	known    *ssh.Known
	settings *sshConfig
	seen     map[jumpAt]seenHop // jump hosts: one may stand before ten thousand
}

// jumpAt is a jump host; the first of a chain may have jump hosts of its own.
type jumpAt struct {
	endpoint
	first bool
}

type seenHop struct {
	hops []providers.Hop
	err  error
}

func (w way) machine(h *host, name, kind string) providers.Machine {
	m := providers.Machine{
		ID: h.written, Name: name, State: providers.Running, Labels: providers.Labels{providers.LabelName: name},
		Host: providers.Host{Kind: kind, Trouble: h.trouble},
	}
	if len(w.config.KnownHosts) > 0 {
		m.Host.KnownHosts = w.config.KnownHosts[0]
	}
	if m.Host.Trouble != "" {
		return m
	}
	hops, err := w.to(h, 0)
	if err != nil {
		m.Host.Trouble = err.Error()
		return m
	}
	m.Host.Hops = hops
	m.SSH = hops[len(hops)-1].Address
	m.Address, _, _ = net.SplitHostPort(m.SSH)
	return m
}

// to is the hops to h. A source's own word comes before the ssh_config's, and that before the tier's.
func (w way) to(h *host, depth int) ([]providers.Hop, error) {
	alias := cmp.Or(h.address, h.name)
	s, err := w.settings.of(alias, w.config.home)
	if err != nil {
		return nil, err
	}
	dial := cmp.Or(s.hostName, alias)
	if !isHost(dial) {
		return nil, fmt.Errorf("%s says that %s is at %q, which is no host", w.config.SSHConfig.File, alias, clip(dial))
	}
	port := cmp.Or(h.port, s.port, 22)
	hop := providers.Hop{
		Address: net.JoinHostPort(dial, strconv.Itoa(port)), Name: strings.ToLower(cmp.Or(s.alias, dial)),
		User: cmp.Or(h.user, s.user, w.config.User),
	}
	for _, file := range h.identities {
		hop.Identities = append(hop.Identities, expandHome(file, w.config.home))
	}
	hop.Identities = append(hop.Identities, s.identities...)
	if hop.User != "" && !isUser(hop.User) {
		return nil, fmt.Errorf("the login %q for %s is none", clip(hop.User), alias)
	}
	if s.alias != "" { // known under it alone, whatever the port
		port = 22
	}
	t := w.known.Lookup(hop.Name, port)
	hop.Keys, hop.Revoked = once(t.Keys), once(t.Revoked)
	hop.Authorities = once(append(slices.Clone(w.config.CA), t.Authorities...))

	jumps, err := parseJumps(cmp.Or(h.via, s.jump, w.config.Via))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", alias, err)
	}
	if s.command != "" && h.via == "" && s.jump == "" {
		return nil, w.proxyCommand(alias)
	}
	before, err := w.jumps(jumps, depth)
	if err != nil {
		return nil, err
	}
	// A jump host that the tier's via names is reached by those before it, not by way of itself.
	if i := slices.IndexFunc(before, func(b providers.Hop) bool { return b.Address == hop.Address }); i >= 0 {
		before = before[:i:i]
	}
	return append(before, hop), nil
}

func (w way) proxyCommand(alias string) error {
	return fmt.Errorf("%s says ProxyCommand for %s, which is not run; say ProxyJump there, or via", w.config.SSHConfig.File, alias)
}

// jumps are the hops of a chain. As for ssh(1), only the first of them may have jump hosts of its own.
func (w way) jumps(list []endpoint, depth int) ([]providers.Hop, error) {
	var hops []providers.Hop
	for i, e := range list {
		got, ok := w.seen[jumpAt{e, i == 0}]
		if !ok {
			if depth >= maxJumps {
				return nil, errors.New("its jump hosts lead to each other")
			}
			j := &host{name: e.host, user: e.user, port: e.port, via: "none"}
			s, err := w.settings.of(e.host, w.config.home)
			if err == nil && i == 0 && s.jump != "" {
				j.via = s.jump // the tier's via is for machines
			}
			if err == nil && i == 0 && s.jump == "" && s.command != "" {
				got.err = w.proxyCommand(e.host)
			} else {
				got.hops, got.err = w.to(j, depth+1)
			}
			w.seen[jumpAt{e, i == 0}] = got
		}
		if got.err != nil {
			return nil, got.err
		}
		if i > 0 {
			hops = append(hops, got.hops[len(got.hops)-1])
			continue
		}
		hops = append(hops, got.hops...)
	}
	if len(hops) > maxJumps {
		return nil, fmt.Errorf("its way has %d jump hosts; allowed are %d", len(hops), maxJumps)
	}
	return slices.Clip(hops), nil
}

// once is list without repetitions; nil where it is empty.
func once(list []string) []string {
	var kept []string
	for _, s := range list {
		if !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return kept
}

// expandHome makes ~/ the home folder.
func expandHome(file, home string) string {
	if rest, ok := strings.CutPrefix(file, "~/"); ok && home != "" {
		return filepath.Join(home, rest)
	}
	return file
}
