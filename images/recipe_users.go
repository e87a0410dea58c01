// SPDX-License-Identifier: Apache-2.0

package images

import "slices"

// HasUser reports whether every machine of the recipe has this login, made by the recipe.
func (r *Recipe) HasUser(name string) bool {
	return slices.ContainsFunc(r.spec.Users, func(a account) bool { return a.Name == name })
}
