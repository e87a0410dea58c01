// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/go-hclog"
	"github.com/urfave/cli/v2"
)

// globalFlags are the options that every verb knows, but for those it lacks.
func globalFlags(lacks ...string) []cli.Flag {
	all := []cli.Flag{
		&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "the definition is `FILE`, not the next env.yaml upwards"},
		&cli.StringFlag{Name: "tier", Usage: "act on `TIER` of the definition (else $EVENKEEL_TIER, else its default)"},
		&cli.StringFlag{Name: "as", Usage: "act on a second copy beside the first, called `COPY`"},
		boolFlag("json", "print the result as JSON"),
		boolFlag("quiet", "print the result only, no progress", "q"),
		boolFlag("verbose", "print what is done underneath", "v"),
		boolFlag("no-color", "no colours ($NO_COLOR does the same)"),
		&cli.StringFlag{Name: "identity", Usage: "log in with the private key in `FILE` (else $EVENKEEL_SSH_KEY_FILE, the agent, a key made for you)"},
	}
	return slices.DeleteFunc(all, func(f cli.Flag) bool { return slices.Contains(lacks, f.Names()[0]) })
}

// definitionFlags are about an environment: the verbs that act on none lack them, so that nobody believes they were heard.
func definitionFlags() []string { return []string{"file", "tier", "as", "identity"} }

// helpFlags stands in the place of urfave/cli's own flag, which is one variable of the process that every call writes to.
func helpFlags() []cli.Flag { return []cli.Flag{boolFlag("help", "show help", "h")} }

func boolFlag(name, usage string, aliases ...string) cli.Flag {
	return &cli.BoolFlag{Name: name, Aliases: aliases, Usage: usage, DisableDefaultText: true}
}

func (c *call) json() bool    { return c.flag.Bool("json") }
func (c *call) quiet() bool   { return c.flag.Bool("quiet") }
func (c *call) verbose() bool { return c.flag.Bool("verbose") }

// color says whether stream is one that colours help on.
func (a *App) color(stream any) bool {
	if _, ok := terminal(stream); !ok {
		return false
	}
	return a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb" && !a.said("--no-color")
}

// said reports whether an option stands among the arguments. It is for what must be known even where the arguments could not be parsed.
func (a *App) said(option string) bool {
	for _, w := range a.Args {
		if w == "--" {
			return false
		}
		if w == option {
			return true
		}
	}
	return false
}

// log is where the packages below tell what they do; verbs and problems do not go there.
func (c *call) log() hclog.Logger {
	level := hclog.Warn
	if c.verbose() {
		level = hclog.Debug
	}
	return hclog.New(&hclog.LoggerOptions{Name: "evenkeel", Level: level, Output: c.Stderr})
}

// path makes a path of the user's absolute.
func (a *App) path(p string) string { return a.user().Path(p) }

// shown is a path as the user would write it: relative where that is shorter to read.
func (a *App) shown(path string) string {
	rel, err := filepath.Rel(a.Dir, path)
	if err != nil || len(rel) > len(path) || filepath.IsAbs(rel) {
		return path
	}
	return rel
}

// loadable is a path by which this process can open a file, and by which problems name it.
func (a *App) loadable(path string) string {
	if here, err := os.Getwd(); err == nil && here == a.Dir {
		return a.shown(path)
	}
	return path
}

// stateDir is our folder below $XDG_STATE_HOME: what must outlive a call but can be made anew.
func (a *App) stateDir() (string, error) { return a.user().StateDir() }
