// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/parity"
)

func (a *App) schemaVerb() verb {
	return verb{
		name: "schema", args: "[env|recipe|snapshot]", about: "print the JSON Schema of env.yaml, of a recipe or of snapshots of machines",
		lacks: definitionFlags(),
		run:   runSchema,
	}
}

func runSchema(_ context.Context, c *call) error {
	if err := c.maxArgs(1); err != nil {
		return err
	}
	schema := envs.Schema
	if len(c.args) == 1 {
		switch c.args[0] {
		case "env":
		case "recipe":
			schema = images.Schema
		case "snapshot":
			schema = parity.SnapshotSchema
		default:
			return usagef("there is no schema %q; allowed are env, recipe, snapshot", c.args[0])
		}
	}
	_, err := c.Stdout.Write(schema())
	return err
}
