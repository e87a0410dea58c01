// SPDX-License-Identifier: Apache-2.0

package strictyaml

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// checker looks once over the whole document for what no walker should meet: endless or exploding aliases, great depth, duplicate
// keys, tags, merge keys. Each anchored value is visited once, so its work is linear in the file, whatever the aliases come to.
type checker struct {
	doc      *Doc
	sizes    map[*yaml.Node]int  // nodes below an anchor, aliases expanded
	open     map[*yaml.Node]bool // anchors that enclose the present node
	unusable bool
}

// check returns the number of nodes n comes to, at most a little over MaxNodes.
func (c *checker) check(n *yaml.Node, path string, depth int) int {
	if c.unusable {
		return 0
	}
	if depth > MaxDepth {
		c.refuse(n, path, fmt.Sprintf("values are nested more than %d deep", MaxDepth))
		return 0
	}
	if n.Kind == yaml.AliasNode {
		return c.alias(n, path, depth)
	}
	if n.Anchor != "" {
		c.open[n] = true
		defer delete(c.open, n)
	}
	if n.Style&yaml.TaggedStyle != 0 {
		c.doc.errorAt(n.Line, n.Column, path, fmt.Sprintf("the tag %s is not supported", clip(n.Tag))).Hint = "remove it; quote the value to make it a text"
	}
	size := 1
	switch n.Kind {
	case yaml.MappingNode:
		size += c.mapping(n, path, depth)
	case yaml.SequenceNode:
		for i, item := range n.Content {
			size += c.check(item, fmt.Sprintf("%s[%d]", path, i), depth+1)
		}
	}
	if size > MaxNodes {
		c.refuse(n, path, fmt.Sprintf("the file comes to more than %d values (aliases counted as often as they are used)", MaxNodes))
	}
	if n.Anchor != "" {
		c.sizes[n] = size
	}
	return size
}

func (c *checker) mapping(n *yaml.Node, path string, depth int) int {
	size := 0
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := path
		switch key = resolve(key); {
		case key.Kind != yaml.ScalarNode:
			c.refuse(n.Content[i], path, "a key is a list or a map; keys are texts")
			return size
		case key.Tag == "!!merge":
			c.doc.errorAt(key.Line, key.Column, path, "merge keys (<<) are not supported").Hint = "write the keys out"
		case first[key.Value] != nil:
			c.doc.errorAt(n.Content[i].Line, n.Content[i].Column, join(path, key.Value), fmt.Sprintf("the key %s stands here twice; the first is at line %d, column %d",
				quote(key.Value), first[key.Value].Line, first[key.Value].Column))
		default:
			first[key.Value] = n.Content[i]
			at = join(path, key.Value)
		}
		size += c.check(n.Content[i], path, depth+1) + c.check(value, at, depth+1)
	}
	return size
}

func (c *checker) alias(n *yaml.Node, path string, depth int) int {
	if c.open[n.Alias] {
		c.refuse(n, path, fmt.Sprintf("the anchor &%s contains itself", clip(n.Alias.Anchor)))
		return 0
	}
	size, seen := c.sizes[n.Alias]
	if !seen {
		size = c.check(n.Alias, path, depth)
	}
	if size > MaxNodes {
		size = MaxNodes + 1
	}
	return size
}

func (c *checker) refuse(n *yaml.Node, path, message string) {
	if !c.unusable {
		c.doc.errorAt(n.Line, n.Column, path, message)
	}
	c.unusable = true
}

// resolve follows aliases; an alias never points to an alias that points back, which the parser excludes.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
