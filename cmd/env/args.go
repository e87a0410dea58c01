// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// line is a verb's arguments taken apart: flags may stand before and after the arguments, and what follows `--` is never a flag.
type line struct {
	flags []string
	args  []string
	after []string // behind --
	cut   bool     // there was a --
}

// takeApart sorts the words that follow a verb. An unknown option is an error that names the nearest known one.
func takeApart(words []string, flags []cli.Flag) (line, error) {
	var l line
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w == "--":
			l.after, l.cut = words[i+1:], true
			return l, nil
		case w == "-" || !strings.HasPrefix(w, "-"):
			l.args = append(l.args, w)
			continue
		}
		name, _, joined := strings.Cut(strings.TrimLeft(w, "-"), "=")
		f := flagNamed(flags, name)
		if f == nil {
			return l, unknownOption(w, flags)
		}
		l.flags = append(l.flags, w)
		if _, isBool := f.(*cli.BoolFlag); isBool || joined {
			continue
		}
		if i++; i == len(words) {
			return l, usagef("option %s needs a value", w)
		}
		l.flags = append(l.flags, words[i])
	}
	return l, nil
}

func flagNamed(flags []cli.Flag, name string) cli.Flag {
	i := slices.IndexFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	if i < 0 {
		return nil
	}
	return flags[i]
}

func unknownOption(word string, flags []cli.Flag) error {
	var known []string
	for _, f := range flags {
		for _, n := range f.Names() {
			known = append(known, dashed(n))
		}
	}
	name, _, _ := strings.Cut(word, "=")
	if near := nearest(name, known); near != "" {
		err := usagef("there is no option %s here", name)
		err.hint = "did you mean " + near + "?"
		return err
	}
	err := usagef("there is no option %s here; allowed are %s", name, strings.Join(known, ", "))
	if flagNamed(flags, "tty") != nil {
		err.hint = "words for a machine stand behind `--`"
	}
	return err
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// usageError is a command line that means nothing.
type usageError struct {
	text string
	hint string
}

func usagef(format string, args ...any) *usageError {
	return &usageError{text: fmt.Sprintf(format, args...)}
}

func (e *usageError) Error() string { return e.text }
