// SPDX-License-Identifier: Apache-2.0

package envs

import (
	_ "embed"
	"slices"
)

//go:embed env.schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of env.yaml, for editors. It knows the keys that Load knows; keys of later versions are in it and refused.
// What needs more than one value to judge (an unknown machine in a rule, a port pinned twice) only Load finds.
func Schema() []byte { return slices.Clone(schema) }
