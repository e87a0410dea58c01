// SPDX-License-Identifier: Apache-2.0

package hosts

// ParseInventory is whether an inventory is accepted, in each of the forms, for fuzzing.
func ParseInventory(form string, data []byte) (hosts []string, problems error) {
	var inv *inventory
	switch form {
	case "ini":
		inv = parseINI("inventory", data)
	case "yaml":
		inv = parseYAML("inventory", data)
	default:
		inv = parseJSON("inventory", data)
	}
	list, wrong := inv.hosts()
	for _, h := range list {
		hosts = append(hosts, h.name)
	}
	return hosts, wrong.Err()
}

// ExpandRanges is expandRanges.
func ExpandRanges(pattern string) ([]string, error) { return expandRanges(pattern, maxHosts) }

// ParseEndpoint is parseEndpoint, as it is dialled.
func ParseEndpoint(s string) (user, host string, port int, err error) {
	e, err := parseEndpoint(s)
	return e.user, e.host, e.port, err
}

// SSHConfig is what text says of alias.
func SSHConfig(text, alias string) (hostName, user, jump string, err error) {
	c, err := decodeSSHConfig([]byte(text))
	if err != nil {
		return "", "", "", err
	}
	s, err := (&sshConfig{file: c}).of(alias, "/home/jo")
	return s.hostName, s.user, s.jump, err
}
