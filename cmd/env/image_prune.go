// SPDX-License-Identifier: Apache-2.0

package main

import "context"

func runImagePrune(_ context.Context, c *call) error {
	return usagef("image prune is not supported yet")
}
