// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/evenkeel/evenkeel/internal/problem"
)

// App is one call of the command. It touches nothing of the process but what it is given, so that tests call it as it is; the environment that plugins
// and tools of the build inherit is the process's own.
type App struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Args           []string // without the program's name
	Env            []string // NAME=VALUE
	Dir            string   // where env.yaml is looked for
	Executable     string   // what the shell hook calls

	// atOnce is what has to happen before the process may end in the middle: restoring a terminal. The second interrupt calls it.
	atOnce atomic.Pointer[func()]
	// again is what a further interrupt does instead of ending the process.
	again atomic.Pointer[func()]
}

// Exit statuses beside 0.
const (
	exitError       = 1
	exitDiffers     = 2
	exitIncomplete  = 3
	exitInterrupted = 130
)

// exitStatus ends a verb with a status and no message: what is to be said was said.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// verb is one word of the command line.
type verb struct {
	name  string
	args  string // for help: "[NAME...]"
	about string
	more  string // for help, after about
	flags []cli.Flag
	run   func(context.Context, *call) error
	sub   []verb
	lacks []string // the options for all verbs that mean nothing to this one
}

// call is one call of a verb.
type call struct {
	*App
	flag  *cli.Context
	args  []string
	after []string // what stood behind --
	cut   bool     // there was a --

	told problem.List // notes that were said
}

func runHere(args []string) int {
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintf(os.Stderr, "evenkeel: cannot tell the current folder: %v\n", err)
		return exitError
	}
	app := &App{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Args: args, Env: os.Environ(), Dir: dir}
	app.Executable, _ = os.Executable() // "": the hook calls evenkeel by its name
	ctx, stop := untilInterrupted(context.Background(), func() {
		if f := app.again.Load(); f != nil {
			(*f)()
			return
		}
		if f := app.atOnce.Load(); f != nil {
			(*f)()
		}
		left := "`evenkeel up` or `evenkeel down` settles what is left"
		if len(args) > 0 && args[0] == "run" {
			left = "its copy expires, and `evenkeel gc` then removes it"
		}
		fmt.Fprintln(os.Stderr, "evenkeel: stopped at once; "+left)
		os.Exit(exitInterrupted)
	})
	defer stop()
	return app.Run(ctx)
}

// Run answers a.Args and returns the exit status. Cancelling ctx interrupts it; what the verb made is then undone before Run returns.
func (a *App) Run(ctx context.Context) int {
	err := a.dispatch(ctx)
	if err == nil {
		return 0
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		a.reportInterrupt(ctx, err)
		return exitInterrupted
	}
	a.report(err)
	if len(a.Args) > 0 && a.Args[0] == "run" { // whose command may have said 1
		return exitNotOurs
	}
	return exitError
}

func (a *App) dispatch(ctx context.Context) error {
	if len(a.Args) > 0 && a.Args[0] == completeWord {
		return a.complete(a.Args[1:])
	}
	list := a.verbs()
	if len(a.Args) == 0 {
		app := a.cli(list, nil)
		app.Writer = a.Stderr
		_ = app.RunContext(ctx, []string{"evenkeel", "--help"}) // printing help is all it does
		return exitStatus(exitError)
	}
	word := a.Args[0]
	switch word {
	case "--help", "-h", "help":
		if len(a.Args) > 1 && !strings.HasPrefix(a.Args[1], "-") {
			return a.helpOn(ctx, list, a.Args[1:])
		}
		return a.cli(list, nil).RunContext(ctx, []string{"evenkeel", "--help"})
	case "--version":
		word = "version"
	}
	word, _ = alias(word)
	v, err := find(list, word)
	if err != nil {
		return err
	}
	path, words := []string{"evenkeel", v.name}, a.Args[1:]
	if two, ok := second(list, v.name, words); ok {
		v, path, words = two, []string{"evenkeel", two.name}, words[1:]
	}
	if v.sub != nil {
		at := slices.IndexFunc(words, func(w string) bool { return !strings.HasPrefix(w, "-") })
		if at < 0 || slices.Contains(words[:at], "--help") {
			return a.cli(list, nil).RunContext(ctx, append(path, "--help"))
		}
		sub, err := findSub(v, words[at])
		if err != nil {
			return err
		}
		path, words = append(path, sub.name), slices.Delete(slices.Clone(words), at, at+1)
		v = sub
	}
	l, err := takeApart(words, a.flags(v))
	if err != nil {
		return err
	}
	if slices.Contains(l.flags, "--help") || slices.Contains(l.flags, "-h") {
		return a.cli(list, nil).RunContext(ctx, append(path, "--help"))
	}
	path = append(path, l.flags...)
	path = append(path, "--")
	return a.cli(list, &l).RunContext(ctx, append(path, l.args...))
}

// helpOn is `evenkeel help VERB [SUB]`.
func (a *App) helpOn(ctx context.Context, list []verb, words []string) error {
	v, err := find(list, words[0])
	if err != nil {
		return err
	}
	if two, ok := second(list, v.name, words[1:]); ok {
		v, words = two, words[1:]
	}
	path := []string{"evenkeel", v.name}
	if len(words) > 1 && v.sub != nil {
		sub, err := findSub(v, words[1])
		if err != nil {
			return err
		}
		path = append(path, sub.name)
	}
	return a.cli(list, nil).RunContext(ctx, append(path, "--help"))
}

func (a *App) flags(v verb) []cli.Flag {
	return slices.Concat(v.flags, globalFlags(v.lacks...), helpFlags())
}

// cli is the verbs as urfave/cli knows them; l is what the verb called gets beside its flags.
func (a *App) cli(list []verb, l *line) *cli.App {
	app := &cli.App{
		Name: "evenkeel", Usage: "one environment, the same from a laptop to production", CustomAppHelpTemplate: appHelp,
		Writer: a.Stdout, ErrWriter: a.Stderr, Reader: a.Stdin,
		HideVersion: true, HideHelp: true, Flags: helpFlags(),
		ExitErrHandler: func(*cli.Context, error) {},
	}
	for _, v := range list {
		app.Commands = append(app.Commands, a.command(v, l))
	}
	return app
}

func (a *App) command(v verb, l *line) *cli.Command {
	cmd := &cli.Command{
		Name: v.name, Usage: v.about, ArgsUsage: v.args, Description: wrapped(v.more), HideHelp: true, CustomHelpTemplate: verbHelp,
		OnUsageError: func(_ *cli.Context, err error, _ bool) error { return usagef("%v", err) },
	}
	if v.sub != nil {
		cmd.CustomHelpTemplate, cmd.Flags = subHelp, helpFlags()
		for _, s := range v.sub {
			cmd.Subcommands = append(cmd.Subcommands, a.command(s, l))
		}
		return cmd
	}
	cmd.Flags = a.flags(v)
	cmd.Action = func(c *cli.Context) error {
		return v.run(c.Context, &call{App: a, flag: c, args: c.Args().Slice(), after: l.after, cut: l.cut})
	}
	return cmd
}

// second is the verb of two words that begins with first and goes on with the next: audit verify.
func second(list []verb, first string, next []string) (verb, bool) {
	if len(next) == 0 {
		return verb{}, false
	}
	i := slices.IndexFunc(list, func(v verb) bool { return v.name == first+" "+next[0] })
	if i < 0 {
		return verb{}, false
	}
	return list[i], true
}

func find(list []verb, word string) (verb, error) {
	i := slices.IndexFunc(list, func(v verb) bool { return v.name == word })
	if i >= 0 {
		return list[i], nil
	}
	switch {
	case slices.Contains(laterVerbs(), word):
		return verb{}, usagef("%s is not supported yet", word)
	case strings.HasPrefix(word, "-"):
		err := usagef("the first word must be a verb, got %s", word)
		err.hint = "options stand behind the verb: evenkeel up " + word
		return verb{}, err
	}
	err := usagef("there is no verb %q", word)
	err.hint = "evenkeel --help lists them"
	if near := nearest(word, verbs()); near != "" {
		err.hint = "did you mean " + near + "?"
	}
	return verb{}, err
}

func findSub(v verb, word string) (verb, error) {
	var names []string
	for _, s := range v.sub {
		if s.name == word {
			return s, nil
		}
		names = append(names, s.name)
	}
	if slices.Contains(laterImageVerbs(), word) {
		return verb{}, usagef("%s %s is not supported yet", v.name, word)
	}
	return verb{}, usagef("there is no %s %q; allowed are %s", v.name, word, strings.Join(names, ", "))
}

func nearest(word string, known []string) string { return problem.Nearest(word, known) }

// noArgs refuses arguments of a verb that takes none.
func (c *call) noArgs() error { return c.maxArgs(0) }

func (c *call) maxArgs(n int) error {
	extra := c.args
	if len(extra) >= n {
		extra = extra[n:]
	} else {
		extra = nil
	}
	if c.cut {
		extra = append(slices.Clone(extra), c.after...)
	}
	if len(extra) == 0 {
		return nil
	}
	return usagef("%s takes %s, got %q besides", strings.TrimPrefix(c.flag.Command.HelpName, "evenkeel "), counted(n, "argument"), strings.Join(extra, " "))
}

func counted(n int, noun string) string {
	switch n {
	case 0:
		return "no " + noun
	case 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (a *App) getenv(name string) string { return a.user().Getenv(name) }

// terminal is the file behind a stream that is a terminal.
func terminal(stream any) (*os.File, bool) {
	f, ok := stream.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}
