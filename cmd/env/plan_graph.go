// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evenkeel/evenkeel/envs"
)

// planGraph is `plan --graph`: a picture of the definition in one tier.
func (c *call) planGraph() error {
	if c.json() {
		return usagef("--graph and --json exclude each other")
	}
	file, format := c.flag.String("output"), c.flag.String("format")
	if format == "" {
		format = "mermaid"
		if strings.EqualFold(filepath.Ext(file), ".svg") {
			format = "svg"
		}
	}
	if format != "mermaid" && format != "svg" {
		return usagef("--format: got %q; allowed is mermaid or svg", format)
	}
	_, plan, err := c.plan(c.flag.Bool("locked"))
	if err != nil {
		return err
	}
	graph := envs.MakeGraph(plan)
	picture := []byte(graph.Mermaid())
	if format == "svg" {
		picture = graph.SVG()
	}
	if file == "" || file == "-" {
		return c.printf("%s", picture)
	}
	if err := os.WriteFile(c.path(file), picture, 0o644); err != nil {
		return fmt.Errorf("cannot write the picture: %w", err)
	}
	return nil
}
