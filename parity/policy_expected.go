// SPDX-License-Identifier: Apache-2.0

package parity

import "github.com/evenkeel/evenkeel/envs"

// ExpectedIn is what a definition gives facts in the tier of a plan that it gives others in other tiers (TierPolicy.Expected).
func ExpectedIn(def *envs.Definition, plan *envs.Plan) map[string]string {
	return nil
}
