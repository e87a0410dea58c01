// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"os"
	"os/exec"
	"slices"
	"strings"
)

var (
	//go:embed scripts/hook.sh
	hookSh string
	//go:embed scripts/hook.fish
	hookFish string
)

func (a *App) hookVerb() verb {
	return verb{
		name: "hook", args: "bash|zsh|fish", about: "print a shell function `env`, for your shell's start-up file",
		more:  "In ~/.bashrc: eval \"$(evenkeel hook bash)\". Interactive shells then know `env up` and its likes; everything else, and every script, gets the system's env as before.",
		lacks: append(definitionFlags(), "json"),
		run:   runHook,
	}
}

func runHook(_ context.Context, c *call) error {
	shell, err := c.shell("hook")
	if err != nil {
		return err
	}
	script, separator := hookSh, "|"
	if shell == "fish" {
		script, separator = hookFish, " "
	}
	words := slices.Concat(verbs(), laterVerbs(), reserved(), []string{"destroy"})
	slices.Sort(words)
	_, err = strings.NewReplacer("@WORDS@", strings.Join(slices.Compact(words), separator), "@EVENKEEL@", quote(c.self())).WriteString(c.Stdout, script)
	return err
}

// shell is the one argument of verbs that print a script.
func (c *call) shell(verb string) (string, error) {
	if err := c.maxArgs(1); err != nil {
		return "", err
	}
	if len(c.args) == 1 && slices.Contains(shells(), c.args[0]) {
		return c.args[0], nil
	}
	if len(c.args) == 0 {
		return "", usagef("%s needs one of %s", verb, listed(shells()))
	}
	return "", usagef("%s needs one of %s, got %q", verb, listed(shells()), c.args[0])
}

func shells() []string { return []string{"bash", "zsh", "fish"} }

// self is how a shell calls this program: by its name where that finds it, so that the hook outlives an update.
func (a *App) self() string {
	if a.Executable == "" {
		return "evenkeel"
	}
	onPath, err := exec.LookPath("evenkeel")
	if err == nil {
		x, errX := os.Stat(onPath)
		y, errY := os.Stat(a.Executable)
		if errX == nil && errY == nil && os.SameFile(x, y) {
			return "evenkeel"
		}
	}
	return a.Executable
}

// quote makes text one word for sh, zsh and fish alike: only \ and ' mean anything within fish's quotes, so both stand outside of them.
func quote(text string) string {
	return "'" + strings.NewReplacer("'", `'\''`, `\`, `'\\'`).Replace(text) + "'"
}
