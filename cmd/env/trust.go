// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/internal/trust"
)

func (a *App) trustVerb() verb {
	return verb{
		name: "trust", about: "let the definition's commands run on this computer",
		more: "A definition may say that a secret comes from a command. It runs as you, outside any sandbox, so it runs only when you have allowed it: " +
			"here, or when a verb that needs it asks on a terminal. Consent is for one folder and for each command word for word, with the files of the project that it " +
			"names as they are; what changes asks again. It is about the commands of all tiers, and asks unless --yes.",
		flags: []cli.Flag{
			boolFlag("yes", "allow them without asking"),
			boolFlag("list", "show what was allowed, in all projects"),
			boolFlag("revoke", "forget what was allowed in this project"),
		},
		lacks: []string{"tier", "as", "identity"},
		run:   runTrust,
	}
}

// trusting is what `trust --json` prints.
type trusting struct {
	Project  string         `json:"project"`
	Commands []trustCommand `json:"commands"`
}

type trustCommand struct {
	Command string `json:"command"`
	Allowed bool   `json:"allowed"`
	Why     string `json:"why,omitempty"` // of one that is not allowed
}

func runTrust(ctx context.Context, c *call) error {
	if err := c.noArgs(); err != nil {
		return err
	}
	list, revoke, yes := c.flag.Bool("list"), c.flag.Bool("revoke"), c.flag.Bool("yes")
	if list && (revoke || yes) || revoke && yes {
		return usagef("--yes, --list and --revoke exclude each other")
	}
	store, err := c.trusted()
	if err != nil {
		return err
	}
	if list {
		return c.listTrust(store)
	}
	if revoke {
		return c.revokeTrust(store)
	}
	def, err := c.definition()
	if err != nil {
		return err
	}
	commands := def.Commands()
	missing, err := store.Missing(def.Dir, commands)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		if !c.json() || !yes {
			c.tellRequests(def.Dir, missing)
		}
		if yes, err = c.mayTrust(ctx, yes); err != nil {
			return err
		}
		if yes {
			if err := store.Allow(def.Dir, commandsOf(missing)); err != nil {
				return err
			}
			missing = nil
		}
	}
	if err := c.printTrust(def.Dir, commands, missing); err != nil {
		return err
	}
	if len(missing) > 0 {
		return exitStatus(exitError)
	}
	return nil
}

// mayTrust is the user's word: --yes, or an answer on the terminal.
func (c *call) mayTrust(ctx context.Context, yes bool) (bool, error) {
	if yes {
		return true, nil
	}
	if _, asks := terminal(c.Stdin); asks {
		return c.askYes(ctx, "let this run, now and as long as it does not change?")
	}
	e := usagef("cannot ask whether this may run: there is no terminal")
	e.hint = "evenkeel trust --yes"
	return false, e
}

func (c *call) printTrust(dir string, commands []string, missing []trust.Request) error {
	why := map[string]string{}
	for _, r := range missing {
		why[r.Command] = r.Why
	}
	if c.json() {
		t := trusting{Project: dir, Commands: []trustCommand{}}
		for _, command := range commands {
			t.Commands = append(t.Commands, trustCommand{command, why[command] == "", why[command]})
		}
		return c.printJSON(t)
	}
	if len(commands) == 0 {
		return c.printf("%s: nothing in the definition runs on this computer\n", c.shown(dir))
	}
	for _, command := range commands {
		word := "allowed"
		if why[command] != "" {
			word = "refused"
		}
		if err := c.printf("%s  %s\n", word, oneLine(command)); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) listTrust(store trust.Store) error {
	all, err := store.List()
	if err != nil {
		return err
	}
	if c.json() {
		return c.printJSON(append([]trust.Project{}, all...))
	}
	if len(all) == 0 {
		return c.printf("nothing was allowed\n")
	}
	t := newTable("PROJECT", "ALLOWED", "COMMAND")
	for _, p := range all {
		for _, g := range p.Grants {
			t.add(p.Dir, age(g.Allowed)+" ago", g.Command)
		}
	}
	return t.print(c.Stdout)
}

// revokeTrust works where the definition is broken, too: it needs its folder only.
func (c *call) revokeTrust(store trust.Store) error {
	file, err := c.definitionFile()
	if err != nil {
		return err
	}
	n, err := store.Revoke(filepath.Dir(file))
	if err != nil {
		return err
	}
	if c.json() {
		return c.printJSON(struct {
			Project string `json:"project"`
			Revoked int    `json:"revoked"`
		}{filepath.Dir(file), n})
	}
	if n == 0 {
		return c.printf("%s: nothing was allowed\n", c.shown(filepath.Dir(file)))
	}
	return c.printf("%s: %s may not run any more\n", c.shown(filepath.Dir(file)), counted(n, "command"))
}
