// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"bytes"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// AddWaivers is a file of waivers with those of another behind its own: comments stay, and a waiver whose id is taken gets another. added is what Accept wrote; a
// file that is empty becomes it.
func AddWaivers(file, added []byte) ([]byte, error) {
	if len(bytes.TrimSpace(file)) == 0 {
		return added, nil
	}
	var into, from yaml.Node
	if err := errors.Join(yaml.Unmarshal(file, &into), yaml.Unmarshal(added, &from)); err != nil {
		return nil, fmt.Errorf("cannot add waivers: %w", err)
	}
	to, more := waiversIn(&into), waiversIn(&from)
	if to == nil || more == nil {
		return nil, errors.New("cannot add waivers: the file has no list called waivers")
	}
	taken := map[string]bool{}
	for _, w := range to.Content {
		if id := idOf(w); id != nil {
			taken[id.Value] = true
		}
	}
	for _, w := range more.Content {
		id := idOf(w)
		for first, n := id.Value, 2; taken[id.Value]; n++ {
			id.Value = fmt.Sprintf("%s.%d", first, n)
		}
		taken[id.Value] = true
		to.Content = append(to.Content, w)
	}
	to.Style &^= yaml.FlowStyle // of an empty list: waivers: []
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&into); err != nil {
		return nil, fmt.Errorf("cannot add waivers: %w", err)
	}
	return out.Bytes(), nil
}

// waiversIn is the list of a file's waivers, nil where it has none.
func waiversIn(doc *yaml.Node) *yaml.Node {
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil
	}
	return valueOf(doc.Content[0], "waivers", yaml.SequenceNode)
}

func idOf(waiver *yaml.Node) *yaml.Node { return valueOf(waiver, "id", yaml.ScalarNode) }

// valueOf is the value of a map's key, nil where it is of another kind or not there.
func valueOf(m *yaml.Node, key string, kind yaml.Kind) *yaml.Node {
	if m.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key && m.Content[i+1].Kind == kind {
			return m.Content[i+1]
		}
	}
	return nil
}
