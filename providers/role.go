// SPDX-License-Identifier: Apache-2.0

package providers

import "strings"

// second is what follows a role in the name of its second machine. Names of a plan end in a number, so it is in none of them.
const second = "b"

// Role is the name of the plan that m stands for: its own. Only where a new machine served before the old one went, its place may call it web-1b: its
// role, and its name to everybody but the place, is web-1 (host name, certificate, the other machines' /etc/hosts). The next such replacement
// is called web-1 again.
func (m Machine) Role() string {
	if m.Host.Given() { // its name is not of our making
		return m.Name
	}
	role, cut := strings.CutSuffix(m.Name, second)
	if cut && role != "" && strings.Contains("0123456789", role[len(role)-1:]) {
		return role
	}
	return m.Name
}

// inRole is m under the name that everybody but its place knows it by.
func (m Machine) inRole() Machine {
	m.Name = m.Role()
	return m
}

// beside is the name of a machine that is to stand beside m in the same role.
func (m Machine) beside() string {
	if m.Name == m.Role() {
		return m.Name + second
	}
	return m.Role()
}

// add sorts m in: of two of one role the whole one serves, of two whole ones the older.
func (h held) add(m Machine) {
	role := m.Role()
	old, twice := h.now[role]
	switch {
	case !twice:
		h.now[role] = m
	case m.serves(old):
		h.now[role], h.spare[role] = m, old
	default:
		h.spare[role] = m
	}
}

// serves: m comes before o, of the same role.
func (m Machine) serves(o Machine) bool {
	if m.whole() != o.whole() {
		return m.whole()
	}
	if !m.Created.Equal(o.Created) {
		return m.Created.Before(o.Created)
	}
	return m.Name < o.Name
}

func (m Machine) whole() bool {
	return m.State == Running || m.State == Stopped || m.State == Suspended
}
