// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	maxNesting = 100
	maxLeaves  = 20_000
	maxPath    = 2048 // bytes of where a leaf stands
)

// readJSON reads one value; of a key that stands twice programs take one or the other, so that is no form.
func readJSON(text string) ([]pair, bool) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var f flat
	ok := f.json(d, "", 0)
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, false
	}
	return f.pairs, ok
}

// flat is a tree as its leaves.
type flat struct{ pairs []pair }

func (f *flat) leaf(at, value string) bool {
	f.pairs = append(f.pairs, pair{at, value})
	return len(f.pairs) <= maxLeaves
}

func (f *flat) json(d *json.Decoder, at string, depth int) bool {
	token, err := d.Token()
	if err != nil || depth > maxNesting {
		return false
	}
	switch t := token.(type) {
	case json.Delim:
		return f.jsonTree(d, t, at, depth)
	case string:
		return f.leaf(at, strconv.Quote(t))
	case json.Number:
		return f.leaf(at, t.String())
	case bool:
		return f.leaf(at, strconv.FormatBool(t))
	}
	return f.leaf(at, "null")
}

func (f *flat) jsonTree(d *json.Decoder, open json.Delim, at string, depth int) bool {
	if !f.leaf(at, open.String()) {
		return false
	}
	seen := map[string]bool{}
	for i := 0; d.More(); i++ {
		below := at + "[" + strconv.Itoa(i) + "]"
		if open == '{' {
			token, err := d.Token()
			key, ok := token.(string)
			if err != nil || !ok || seen[key] {
				return false
			}
			seen[key] = true
			below = at + "." + quoteKey(key)
		}
		if len(below) > maxPath || !f.json(d, below, depth+1) {
			return false
		}
	}
	_, err := d.Token()
	return err == nil
}

// quoteKey keeps a key with a dot in it apart from two keys.
func quoteKey(key string) string {
	if key == "" || strings.ContainsAny(key, ".[]\"\\ ") {
		return strconv.Quote(key)
	}
	return key
}

// readYAML reads all documents of a text. Aliases are followed; scalars keep their tag, so that "1" is not 1.
func readYAML(text string) ([]pair, bool) {
	d := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	var f flat
	for i := 0; ; i++ {
		var n yaml.Node
		err := d.Decode(&n)
		if errors.Is(err, io.EOF) {
			return f.pairs, true
		}
		if err != nil || i > maxNesting {
			return nil, false
		}
		at := ""
		if i > 0 {
			at = "document " + strconv.Itoa(i+1)
		}
		if !f.yaml(&n, at, 0) {
			return nil, false
		}
	}
}

func (f *flat) yaml(n *yaml.Node, at string, depth int) bool {
	if depth > maxNesting || len(at) > maxPath {
		return false
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return len(n.Content) == 1 && f.yaml(n.Content[0], at, depth+1)
	case yaml.AliasNode:
		return f.yaml(n.Alias, at, depth+1)
	case yaml.SequenceNode:
		if !f.leaf(at, "["+n.ShortTag()) {
			return false
		}
		for i, item := range n.Content {
			if !f.yaml(item, at+"["+strconv.Itoa(i)+"]", depth+1) {
				return false
			}
		}
		return true
	case yaml.MappingNode:
		return f.yamlMap(n, at, depth)
	case yaml.ScalarNode:
		if tag := n.ShortTag(); tag != "!!str" {
			return f.leaf(at, strings.TrimPrefix(tag, "!!")+" "+n.Value)
		}
		if n.Style == 0 && oldYAML(n.Value) {
			return f.leaf(at, "plain "+n.Value)
		}
		return f.leaf(at, strconv.Quote(n.Value))
	}
	return false
}

func (f *flat) yamlMap(n *yaml.Node, at string, depth int) bool {
	if !f.leaf(at, "{"+n.ShortTag()) {
		return false
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
			return false
		}
		name := strings.TrimPrefix(key.ShortTag(), "!!") + " " + key.Value
		if key.ShortTag() == "!!str" {
			name = quoteKey(key.Value)
		}
		if seen[name] {
			return false
		}
		seen[name] = true
		if !f.yaml(n.Content[i+1], at+"."+name, depth+1) {
			return false
		}
	}
	return true
}

// oldYAML reports whether programs that read YAML 1.1 take a plain word for a truth value, or for a number to the base of 60, and others for a text.
func oldYAML(word string) bool {
	switch strings.ToLower(word) {
	case "yes", "no", "on", "off":
		return true
	}
	return strings.Contains(word, ":") && strings.Trim(word, "0123456789_:.+-") == ""
}
