// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What a YAML inventory may be at most, aliases followed.
const (
	maxYAMLNodes = 2_000_000
	maxYAMLDepth = 64
)

// yamlReader walks the nodes of an inventory in YAML (ansible.builtin.yaml): groups with hosts, children and vars.
type yamlReader struct {
	*inventory
	nodes int
}

func parseYAML(file string, data []byte) *inventory {
	r := &yamlReader{inventory: newInventory(file)}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var top yaml.Node
	if err := dec.Decode(&top); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		r.refuse(0, 0, "%s", clip(strings.TrimPrefix(err.Error(), "yaml: ")))
		return r.inventory
	}
	if len(top.Content) == 0 {
		r.refuse(0, 0, "it is empty")
		return r.inventory
	}
	for _, e := range r.entries(top.Content[0], "groups") {
		r.yamlGroup(e.key, e.value, 0)
	}
	return r.inventory
}

type yamlEntry struct{ key, value *yaml.Node }

// entries are those of a map; null is an empty one. What is none is refused.
func (r *yamlReader) entries(n *yaml.Node, what string) (list []yamlEntry) {
	if n = r.resolve(n); n == nil || n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.refuse(n.Line, n.Column, "here stand %s, as a map", what)
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if r.nodes++; r.nodes > maxYAMLNodes {
			r.refuse(n.Line, n.Column, "it has more than %d entries", maxYAMLNodes)
			return nil
		}
		if n.Content[i].Kind != yaml.ScalarNode || n.Content[i].Tag == "!!merge" {
			r.refuse(n.Content[i].Line, n.Content[i].Column, "a key is a plain text here")
			continue
		}
		list = append(list, yamlEntry{n.Content[i], n.Content[i+1]})
	}
	return list
}

// resolve follows an alias.
func (r *yamlReader) resolve(n *yaml.Node) *yaml.Node {
	for range maxYAMLDepth {
		if n == nil || n.Kind != yaml.AliasNode {
			return n
		}
		n = n.Alias
	}
	return nil
}

func (r *yamlReader) yamlGroup(key, value *yaml.Node, depth int) {
	name := key.Value
	if !isGroup(name) {
		r.refuse(key.Line, key.Column, "got the group %q; allowed are letters, digits and ._-", clip(name))
		return
	}
	if depth > maxYAMLDepth {
		r.refuse(key.Line, key.Column, "groups stand in each other more than %d deep", maxYAMLDepth)
		return
	}
	g := r.group(name, key.Line)
	g.declared = true
	for _, e := range r.entries(value, "hosts, children and vars") {
		switch e.key.Value {
		case "hosts":
			if n := r.resolve(e.value); n != nil && n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
				r.add(n.Value, name, nil, n.Line, n.Column) // one host alone
				continue
			}
			for _, h := range r.entries(e.value, "hosts") {
				r.add(h.key.Value, name, r.vars(h.value), h.key.Line, h.key.Column)
			}
		case "children":
			if n := r.resolve(e.value); n != nil && n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
				r.child(g, n, nil, depth)
				continue
			}
			for _, c := range r.entries(e.value, "groups") {
				r.child(g, c.key, c.value, depth)
			}
		case "vars":
			for name, v := range r.vars(e.value) {
				g.vars[name] = v
			}
		}
		// Ansible passes over other keys, with a warning.
	}
}

func (r *yamlReader) child(g *group, key, value *yaml.Node, depth int) {
	r.yamlGroup(key, value, depth+1)
	if r.groups[key.Value] != nil { // else it was refused
		g.children = append(g.children, key.Value)
	}
}

// vars are those that matter, as text.
func (r *yamlReader) vars(n *yaml.Node) map[string]string {
	got := map[string]string{}
	for _, e := range r.entries(n, "variables") {
		if !wanted(e.key.Value) {
			continue
		}
		v := r.resolve(e.value)
		if v == nil || v.Kind != yaml.ScalarNode {
			r.refuse(e.key.Line, e.key.Column, "%s is a text or a number", e.key.Value)
			continue
		}
		if v.Tag == "!vault" {
			got[e.key.Value] = "{{ vault }}" // Ansible alone can read it
			continue
		}
		if v.Tag != "!!null" {
			got[e.key.Value] = v.Value
		}
	}
	return got
}
