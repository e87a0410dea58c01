// SPDX-License-Identifier: Apache-2.0

// Package strictyaml reads YAML that people write by hand, so strictly that a mistake is told where it stands and never guessed away.
//
// A walker asks for what it expects; each accessor records what does not fit, with its position, and returns a zero value. So one pass
// finds every problem of a file:
//
//	doc := strictyaml.Parse("web.yaml", data)
//	top := doc.Root().Map("from", "packages", "count")
//	from := top.Need("from").Line()                        // a missing key is recorded
//	packages := top.Get("packages").Lines()                // an absent key is nil, and nil has no problems
//	count := cmp.Or(top.Get("count").Int(1, 512), 1)       // defaults are the caller's
//	if !known(from) {
//		top.Get("from").Errorf("unknown release %q", from).Hint = "known are debian:12 and debian:13"
//	}
//	return doc.Problems()
//
// It is not for YAML that machines write at length, and it decodes into no structs. The one rule: all methods of a nil *Node and a
// nil *Fields do nothing and return zero values, so a file that cannot be parsed yields its own problem only.
package strictyaml
