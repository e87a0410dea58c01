// SPDX-License-Identifier: Apache-2.0

package images

import (
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

// services reads unit -> state, or unit -> {state, restart_on}. A unit without state stays as its package has it.
func (l loader) services(n *strictyaml.Node) (states map[string]string, restart map[string][]string) {
	states, restart = map[string]string{}, map[string][]string{}
	for _, e := range n.Entries() {
		if !unitName.MatchString(e.Key) || strings.HasPrefix(e.Key, "-") {
			e.At.Errorf("%q is no unit; wanted is a name such as nginx or shop.socket", e.Key)
		}
		if e.Value.Is() != "map" {
			states[e.Key] = serviceState(e.Value)
			continue
		}
		f := e.Value.Map("state", "restart_on")
		state, on := f.Get("state"), f.Get("restart_on")
		if len(e.Value.Entries()) == 0 {
			e.At.Errorf("wanted is a state, restart_on, or both")
		}
		if state != nil {
			states[e.Key] = serviceState(state)
		}
		if on == nil {
			continue
		}
		if states[e.Key] == "masked" {
			f.At("restart_on").Errorf("a masked unit cannot be started, and so not be restarted")
		}
		restart[e.Key] = changes(on)
	}
	return states, restart
}

func serviceState(n *strictyaml.Node) string { return n.OneOf("enabled", "disabled", "masked") }

// changes is one word or a list of them, sorted.
func changes(n *strictyaml.Node) []string {
	items := []*strictyaml.Node{n}
	if n.Is() == "list" {
		if items = n.List(); len(items) == 0 {
			n.Errorf("the list is empty; allowed are settings, secrets and tls")
		}
	}
	var out []string
	for _, item := range items {
		word := item.OneOf("settings", "secrets", "tls")
		if word != "" && slices.Contains(out, word) {
			item.Errorf("%s stands here twice", word)
		}
		out = append(out, word)
	}
	slices.Sort(out)
	return out
}
