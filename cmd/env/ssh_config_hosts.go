// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// existing is how OpenSSH finds a machine that was there before us: an entry for it and, where have lacks them, for the jump hosts before it; each is believed by
// the lines known alone. A machine of which no key is known gets none: OpenSSH would refuse it, too.
func (p *place) existing(m providers.Machine, key, trusted string, have []ssh.HostEntry) (entries []ssh.HostEntry, known string) {
	jump := ""
	for i, hop := range m.Host.Hops {
		host, text, err := net.SplitHostPort(hop.Address)
		port, err2 := strconv.Atoi(text)
		if err != nil || err2 != nil {
			return nil, "" // the wire lets none in
		}
		names := []string{strings.NewReplacer(":", "-").Replace(hop.Name+"-"+text) + "." + p.Plan.Env}
		if i == len(m.Host.Hops)-1 {
			names = []string{m.Name, m.HostName()}
		}
		// Certificates are checked against the alias, so it has to be the host's name where an authority vouches; else the port tells hosts of one address apart.
		alias := hop.Name
		if len(hop.Authorities) == 0 && port != 22 {
			alias = "[" + hop.Name + "]:" + text
		}
		entry := ssh.HostEntry{
			Names: names, HostName: host, Port: port, User: cmp.Or(hop.User, p.Plan.Access.User), IdentityFile: key, KnownHosts: trusted,
			HostKeyAlias: alias, ProxyJump: jump,
		}
		if key == "" && len(hop.Identities) > 0 {
			entry.IdentityFile = hop.Identities[0]
		}
		jump = names[0]
		if slices.ContainsFunc(append(slices.Clone(have), entries...), func(h ssh.HostEntry) bool { return h.Names[0] == names[0] }) {
			continue
		}
		lines := ssh.KnownLines(alias, ssh.HostTrust{Keys: hop.Keys, Authorities: hop.Authorities, Revoked: hop.Revoked})
		if len(hop.Keys)+len(hop.Authorities) == 0 {
			return nil, ""
		}
		entries, known = append(entries, entry), known+lines
	}
	return entries, known
}
