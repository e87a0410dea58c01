// SPDX-License-Identifier: Apache-2.0

package ssh

import (
	"bytes"
	"fmt"
	"strings"
)

// HostEntry is one machine in an OpenSSH client's configuration.
type HostEntry struct {
	Names        []string // what is typed: web-1, web-1.shop.laptop
	HostName     string   // address to dial, without port
	Port         int      // 0 means 22
	User         string
	IdentityFile string // "": the agent's and the user's own keys
	KnownHosts   string // file with the machine's KnownHosts line
	HostKeyAlias string // principal of the machine's host certificate
	ProxyJump    string // [user@]host[:port], or ""
	ProxyCommand string // what carries the connection, as a shell reads it, or ""; HostName is a name only, then
}

// ConfigBlock is the entries as Host blocks of an OpenSSH ssh_config, for Include. The machines' keys are looked for in KnownHosts
// only and by HostKeyAlias only, never asked about and never learned. An entry whose values ssh_config cannot hold (a quote, a line
// break, a pattern for a name, an empty host) becomes a comment that says so, so that the others work.
func ConfigBlock(hosts []HostEntry) []byte {
	var b bytes.Buffer
	for i, h := range hosts {
		if i > 0 {
			b.WriteByte('\n')
		}
		if why := h.unfit(); why != "" {
			fmt.Fprintf(&b, "# left out: %s\n", printable(why))
			continue
		}
		h.write(&b)
	}
	return b.Bytes()
}

func (h HostEntry) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "Host %s\n", strings.Join(h.Names, " "))
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(b, "    %s %s\n", key, configWord(value))
		}
	}
	port := h.Port
	if port == 0 {
		port = 22
	}
	line("HostName", strings.ReplaceAll(h.HostName, "%", "%%"))
	line("Port", fmt.Sprint(port))
	line("User", h.User)
	if h.IdentityFile != "" {
		line("IdentityFile", strings.ReplaceAll(h.IdentityFile, "%", "%%"))
		line("IdentitiesOnly", "yes")
	}
	line("UserKnownHostsFile", strings.ReplaceAll(h.KnownHosts, "%", "%%"))
	line("GlobalKnownHostsFile", "/dev/null")
	line("HostKeyAlias", h.HostKeyAlias)
	line("StrictHostKeyChecking", "yes")
	line("UpdateHostKeys", "no")
	line("ProxyJump", h.ProxyJump)
	if h.ProxyCommand != "" { // the rest of the line as it stands: it is the shell that takes quotes off
		fmt.Fprintf(b, "    ProxyCommand %s\n", strings.ReplaceAll(h.ProxyCommand, "%", "%%"))
	}
}

// configWord quotes a value with spaces; ssh_config(5) knows no escape for a quote inside.
func configWord(v string) string {
	if strings.ContainsAny(v, " \t#=") {
		return `"` + v + `"`
	}
	return v
}

// unfit says why the entry cannot be written, or "".
func (h HostEntry) unfit() string {
	if len(h.Names) == 0 || h.HostName == "" || h.KnownHosts == "" || h.HostKeyAlias == "" {
		return fmt.Sprintf("%q has no name, address, known hosts file or host key alias", h.Names)
	}
	if h.Port < 0 || h.Port > 65535 {
		return fmt.Sprintf("%q has port %d, allowed are 1 to 65535", h.Names, h.Port)
	}
	for _, n := range h.Names {
		if n == "" || strings.ContainsAny(n, " \t*?!,\"#=") {
			return fmt.Sprintf("%q is no plain host name", n)
		}
	}
	for _, v := range append([]string{h.HostName, h.User, h.IdentityFile, h.KnownHosts, h.HostKeyAlias, h.ProxyJump}, h.Names...) {
		if strings.ContainsAny(v, "\"\\") || strings.ContainsFunc(v, func(r rune) bool { return r < 0x20 || r == 0x7f }) || strings.Contains(v, "${") {
			return fmt.Sprintf("%q holds a character that ssh_config cannot quote", v)
		}
		if strings.HasPrefix(v, "-") {
			return fmt.Sprintf("%q begins with a dash", v)
		}
	}
	if strings.ContainsFunc(h.ProxyCommand, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return fmt.Sprintf("%q has a proxy command with a line break in it", h.Names)
	}
	return ""
}

// KnownHosts is the line of a known_hosts file that lets hostCA (authorized_keys form) vouch for principal, with a newline.
func KnownHosts(principal, hostCA string) (string, error) {
	if principal == "" || strings.ContainsAny(principal, " \t\r\n*?!,|[]#") {
		return "", fmt.Errorf("cannot write known_hosts line: %q is no plain host name", principal)
	}
	key, err := parsePlainKey(hostCA)
	if err != nil {
		return "", fmt.Errorf("cannot write known_hosts line for %s: the host CA is no public key: %w", principal, err)
	}
	return "@cert-authority " + principal + " " + authorizedKey(key) + "\n", nil
}
