// SPDX-License-Identifier: Apache-2.0

package images

import (
	_ "embed"
	"slices"
)

//go:embed recipe.schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of recipes, for editors. LoadRecipe checks more.
func Schema() []byte { return slices.Clone(schema) }
