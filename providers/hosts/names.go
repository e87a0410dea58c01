// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// maxHosts bounds one inventory, ranges expanded.
const maxHosts = 100_000

// What may be a name. All of them come to stand in terminals, in files of OpenSSH and in lines to type, so nothing else is let in.
var (
	label       = lazyregexp.New(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)
	hostForm    = lazyregexp.New(`^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$`)
	userForm    = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9._@+$-]*$`)
	patternForm = lazyregexp.New(`^(group:[A-Za-z0-9_][A-Za-z0-9._-]*|[A-Za-z0-9._*?:-]+)$`)
	groupForm   = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
)

// isHost: a host name, an inventory's name for a host, or an address.
func isHost(s string) bool {
	if len(s) > 253 {
		return false
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Zone() == ""
	}
	return hostForm.MatchString(s) && !strings.Contains(s, "..")
}

func isUser(s string) bool { return len(s) <= 256 && userForm.MatchString(s) }

func isGroup(s string) bool { return len(s) <= 128 && groupForm.MatchString(s) }

// endpoint is what somebody wrote as [user@]host[:port]; port 0: not said.
type endpoint struct {
	user, host string
	port       int
}

func parseEndpoint(s string) (e endpoint, err error) {
	text := strings.TrimPrefix(s, "ssh://")
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		if e.user, text = text[:i], text[i+1:]; !isUser(e.user) {
			return e, fmt.Errorf("got the login %q in %q; allowed are letters, digits and ._@+$-", clip(e.user), clip(s))
		}
	}
	port := ""
	switch rest, bracketed := strings.CutPrefix(text, "["); {
	case bracketed:
		var closed bool
		if e.host, port, closed = strings.Cut(rest, "]"); !closed || port != "" && port[0] != ':' {
			return e, fmt.Errorf("got %q; an IPv6 address with port is written [2001:db8::1]:22", clip(s))
		}
		if a, err := netip.ParseAddr(e.host); err != nil || !a.Is6() {
			return e, fmt.Errorf("got %q; in brackets stands an IPv6 address", clip(s))
		}
		port = strings.TrimPrefix(port, ":")
	case strings.Count(text, ":") == 1:
		e.host, port, _ = strings.Cut(text, ":")
		if port == "" {
			return e, fmt.Errorf("got %q; there is no port behind the colon", clip(s))
		}
	default:
		e.host = text
	}
	if !isHost(e.host) {
		return e, fmt.Errorf("got the host %q; allowed are a host name (letters, digits and ._-) and an address", clip(e.host))
	}
	if port != "" {
		e.port, err = parsePort(port)
	}
	return e, err
}

func parsePort(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 65535 {
		return 0, fmt.Errorf("got the port %q; allowed is a number from 1 to 65535", clip(s))
	}
	return n, nil
}

// parseJumps reads a ProxyJump: endpoints by commas, the first dialled first. "none" and "" are none.
func parseJumps(s string) (list []endpoint, err error) {
	if s == "" || strings.EqualFold(s, "none") {
		return nil, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		e, err := parseEndpoint(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("jump host: %w", err)
		}
		list = append(list, e)
	}
	if len(list) > maxJumps {
		return nil, fmt.Errorf("got %d jump hosts; allowed are %d", len(list), maxJumps)
	}
	return list, nil
}

// matches: one of the patterns names the host, or a group that it is in.
func matches(patterns []string, h *host) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if group, is := strings.CutPrefix(p, "group:"); is {
			return slices.Contains(h.groups, group) || slices.Contains(h.above, group)
		}
		return ssh.Match(strings.ToLower(p), strings.ToLower(h.name))
	})
}

// machineName is what the machine of h is called, by the rule of n.
func (n names) machineName(h *host) string {
	for _, as := range []string{h.written, h.name} {
		if name, ok := n.Of[as]; ok {
			return name
		}
	}
	name := strings.ToLower(h.name)
	if _, err := netip.ParseAddr(name); err == nil {
		return strings.Trim(strings.ReplaceAll(name, ":", "-"), "-")
	}
	if !n.Full {
		name, _, _ = strings.Cut(name, ".")
	}
	return name
}

// kindOf is the kind of h: by the map of kinds, of which one may match, else the one group that it is directly in.
func (c config) kindOf(h *host) (string, error) {
	if c.Kinds == nil {
		if len(h.groups) == 1 && label.MatchString(h.groups[0]) && len(h.groups[0]) <= 32 {
			return h.groups[0], nil
		}
		return "", nil
	}
	var found []string
	for kind, patterns := range c.Kinds {
		if matches(patterns, h) {
			found = append(found, kind)
		}
	}
	slices.Sort(found)
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%s is of the kinds %s by config.kinds; a machine is of one", h.name, strings.Join(found, " and "))
}
