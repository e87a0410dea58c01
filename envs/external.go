// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"net"
	"net/netip"
	"strconv"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

// hostForm is a host's name of one or more labels (RFC 1123), without the dot at the end.
var hostForm = lazyregexp.New(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// external is what stands for a kind in a tier: host:port.
func (l *loader) external(n *strictyaml.Node) string {
	text := n.Line()
	if text == "" {
		return ""
	}
	const wanted = "host:port, such as db.acme.example:5432, 192.0.2.7:5432 or [2001:db8::7]:5432"
	host, portText, err := net.SplitHostPort(text)
	port, portErr := strconv.Atoi(portText)
	if err != nil || portErr != nil || port < 1 || port > 65535 || strconv.Itoa(port) != portText {
		n.Errorf("got %q; wanted is %s", clip(text), wanted)
		return ""
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		switch {
		case addr.Zone() != "", addr.IsUnspecified(), addr.IsMulticast(), addr.Is4In6():
			n.Errorf("got the address %s; wanted is one that can be reached from every machine", clip(host))
			return ""
		case addr.IsLoopback():
			n.Errorf("got %s, which is each machine itself", clip(host))
			return ""
		}
		return net.JoinHostPort(addr.String(), portText)
	}
	kind, _ := splitName(host)
	switch {
	case len(host) > 253 || !hostForm.MatchString(host) || allDigits(host):
		n.Errorf("got the host %q; wanted is %s", clip(host), wanted)
		return ""
	case host == "localhost":
		n.Errorf("got localhost, which is each machine itself")
		return ""
	case l.has(host) || l.has(kind):
		n.Errorf("got %q, the name of machines of this definition, which would stand for itself; wanted is a name from outside", clip(host))
		return ""
	}
	return text
}

var dottedDigits = lazyregexp.New(`(^|\.)[0-9]+$`)

// allDigits: a name whose last label is a number is read as an address by many programs.
func allDigits(host string) bool { return dottedDigits.MatchString(host) }
