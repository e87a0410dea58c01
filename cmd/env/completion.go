// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
)

// completeWord asks for what may stand next: evenkeel __complete WORD... UNFINISHED.
const completeWord = "__complete"

var (
	//go:embed scripts/completion.bash
	completionBash string
	//go:embed scripts/completion.zsh
	completionZsh string
	//go:embed scripts/completion.fish
	completionFish string
)

func (a *App) completionVerb() verb {
	return verb{
		name: "completion", args: "bash|zsh|fish", about: "print a completion script for your shell's start-up file",
		more:  "In ~/.bashrc: eval \"$(evenkeel completion bash)\".",
		lacks: append(definitionFlags(), "json"),
		run:   runCompletion,
	}
}

func runCompletion(_ context.Context, c *call) error {
	shell, err := c.shell("completion")
	if err != nil {
		return err
	}
	script := map[string]string{"bash": completionBash, "zsh": completionZsh, "fish": completionFish}[shell]
	_, err = strings.NewReplacer("@EVENKEEL@", quote(c.self())).WriteString(c.Stdout, script)
	return err
}

// complete prints what may stand in the place of the last of words, one a line. Whatever goes wrong, it prints nothing and disturbs nobody.
func (a *App) complete(words []string) error {
	if len(words) == 0 {
		words = []string{""}
	}
	unfinished := words[len(words)-1]
	for _, candidate := range a.candidates(words[:len(words)-1], unfinished) {
		if strings.HasPrefix(candidate, unfinished) {
			if err := a.printf("%s\n", oneLine(candidate)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *App) candidates(before []string, unfinished string) []string {
	if len(before) == 0 {
		if strings.HasPrefix(unfinished, "-") {
			return []string{"--help", "--version"}
		}
		return append(verbs(), "help")
	}
	word, _ := alias(before[0])
	if word == "help" {
		return verbs()
	}
	v, err := find(a.verbs(), word)
	if err != nil || slices.Contains(before, "--") {
		return nil
	}
	before = before[1:]
	if two, ok := second(a.verbs(), v.name, before); ok {
		v, before = two, before[1:]
	}
	if v.sub != nil {
		if len(before) == 0 {
			var names []string
			for _, s := range v.sub {
				names = append(names, s.name)
			}
			return names
		}
		if v, err = findSub(v, before[0]); err != nil {
			return nil
		}
		before = before[1:]
	}
	flags := a.flags(v)
	if len(before) > 0 {
		if f := valueFlag(flags, before[len(before)-1]); f != "" {
			return a.values(v, f, before)
		}
	}
	if strings.HasPrefix(unfinished, "-") {
		var names []string
		for _, f := range flags {
			names = append(names, dashed(f.Names()[0]))
		}
		return names
	}
	if v.name == "history" {
		return a.keysFrom(before, unfinished)
	}
	return a.arguments(v, before)
}

// valueFlag is the name of the option whose value stands behind word, "" where none does.
func valueFlag(flags []cli.Flag, word string) string {
	if !strings.HasPrefix(word, "-") || strings.Contains(word, "=") {
		return ""
	}
	f := flagNamed(flags, strings.TrimLeft(word, "-"))
	if _, isBool := f.(*cli.BoolFlag); f == nil || isBool {
		return ""
	}
	return f.Names()[0]
}

// values are those of an option; the shell's own files where there are none.
func (a *App) values(v verb, option string, before []string) []string {
	switch option {
	case "tier", "baseline":
		if def := a.quietDefinition(before); def != nil {
			return sorted(def.Tiers)
		}
	case "section":
		var names []string
		for _, g := range collectors.All() {
			names = append(names, g.Name)
		}
		return names
	case "known":
		return []string{"on", "off"}
	case "example":
		return envs.Examples()
	case "format":
		if v.name != "plan" {
			return formatNames()
		}
		return []string{"mermaid", "svg"}
	case "fail-on":
		return parity.DiffersWords()
	case "yes":
		if plan := a.quietPlan(before); plan != nil {
			return []string{plan.Env}
		}
	}
	return nil
}

func (a *App) arguments(v verb, before []string) []string {
	switch v.name {
	case "up", "ssh", "ssh-config", "sync", "logs", "stop", "start", "suspend", "resume", "rebuild", "refresh", "down", "facts":
		plan := a.quietPlan(before)
		if plan == nil {
			return nil
		}
		var names []string
		for _, m := range plan.Machines {
			names = append(names, m.Name)
			if v.name != "ssh" && !slices.Contains(names, m.Kind) {
				names = append(names, m.Kind)
			}
		}
		return names
	case "compare": // a machine or an image may be named too; files are the shell's own
		if def := a.quietDefinition(before); def != nil {
			names := sorted(def.Tiers)
			for _, path := range sorted(def.Recipes) {
				names = append(names, def.Recipes[path].Name)
			}
			return names
		}
	case "lock", "build", "show":
		if def := a.quietDefinition(before); def != nil {
			return sorted(def.Recipes)
		}
	case "hook", "completion":
		return shells()
	case "schema":
		return []string{"env", "recipe", "snapshot"}
	}
	return nil
}

// quietDefinition loads the definition that the unfinished command line means.
func (a *App) quietDefinition(before []string) *envs.Definition {
	file := optionIn(before, "--file", "-f")
	if file == "" {
		file, _, _ = envs.Find(a.Dir) // "": nothing to complete
	}
	if file == "" {
		return nil
	}
	def, _, err := envs.Load(a.path(file))
	if err != nil {
		return nil
	}
	return def
}

func (a *App) quietPlan(before []string) *envs.Plan {
	def := a.quietDefinition(before)
	if def == nil {
		return nil
	}
	tier := optionIn(before, "--tier")
	if tier == "" {
		tier = a.getenv("EVENKEEL_TIER")
	}
	plan, _ := envs.MakePlan(def, envs.Options{Tier: tier, As: optionIn(before, "--as")})
	return plan
}

// optionIn is the value of an option in an unfinished command line.
func optionIn(words []string, names ...string) string {
	for i, w := range words {
		name, value, joined := strings.Cut(w, "=")
		if !slices.Contains(names, name) {
			continue
		}
		if joined {
			return value
		}
		if i+1 < len(words) {
			return words[i+1]
		}
	}
	return ""
}

// sorted are the keys of m.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
