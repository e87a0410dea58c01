// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/parity/facts"
	"github.com/evenkeel/evenkeel/providers"
)

func (a *App) factsVerb() verb {
	return verb{
		name: "facts", args: "[MACHINE...]", about: "read machines: packages, configuration, services, accounts, ages",
		more: "One script that only reads runs on each machine (--print-collector shows it), by one SSH session; nothing is installed or written there. Without sudo rights some sections are unknown. " +
			"What is said is the machine's own word; secrets are masked. -o keeps snapshots that audit and compare read later, one a line. " +
			"The exit status is 3 where a machine was unreachable or a section of it unknown.",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write snapshots to `FILE`, one a line; - is standard output"},
			&cli.StringFlag{Name: "from", Usage: "show the snapshots of `FILE` instead of reading machines"},
			&cli.StringFlag{Name: "section", Usage: "read only sections `NAME,...`; of one machine show their facts"},
			&cli.StringFlag{Name: "known", Value: "on", Usage: "`off`: everything travels, also what was read before"},
			&cli.DurationFlag{Name: "deadline", Usage: "give one machine `TIME` to answer", DefaultText: "2m"},
			&cli.IntFlag{Name: "parallel", Usage: "read `N` machines at once", DefaultText: "64"},
			boolFlag("print-collector", "print the script, as a program that can be put on machines"),
			boolFlag("print-sudoers", "print what a site needs whose sudo is to permit that program alone"),
		},
		run: runFacts,
	}
}

// factsOf is one call of facts.
type factsOf struct {
	*call
	groups   []collectors.Group // nil: all
	sections []string
	out      io.Writer // of snapshots; nil: none
	said     []string  // what is shown of each machine, when all were read
	names    []string  // for each of said, to sort by
	ours     string    // the digest of our collector, where it was to read; else ""
	missing  bool      // something is unknown
	detail   bool      // facts are shown, not a summary
}

func runFacts(ctx context.Context, c *call) (err error) {
	f := &factsOf{call: c}
	if err := f.chosen(); err != nil {
		return err
	}
	switch {
	case c.flag.Bool("print-collector"):
		text, _ := facts.Script(f.all())
		_, err := io.WriteString(c.Stdout, text)
		return err
	case c.flag.Bool("print-sudoers"):
		return c.printSudoers()
	}
	if c.cut {
		return usagef("facts takes machine names, got -- besides")
	}
	if known := c.flag.String("known"); known != "on" && known != "off" {
		return usagef("--known: got %q; allowed are on, off", known)
	}
	if c.flag.Duration("deadline") < 0 || c.flag.Int("parallel") < 0 {
		return usagef("--deadline and --parallel must be above 0")
	}
	finish, err := f.openOut()
	if err != nil {
		return err
	}
	defer func() { err = finish(err) }()
	if from := c.flag.String("from"); from != "" {
		err = f.fromFile(from)
	} else {
		err = f.fromMachines(ctx)
	}
	if err != nil {
		return err
	}
	return f.show()
}

// chosen reads --section. With a section comes what each machine has of its own of it, as audit and compare do it.
func (f *factsOf) chosen() error {
	text := f.flag.String("section")
	if text == "" {
		return nil
	}
	var known []string
	for _, g := range collectors.All() {
		known = append(known, g.Name)
	}
	for name := range strings.SplitSeq(text, ",") {
		i := slices.Index(known, name)
		if i < 0 {
			err := usagef("--section: there is no section %q", name)
			if err.hint = "allowed are " + strings.Join(known, ", "); nearest(name, known) != "" {
				err.hint = "did you mean " + nearest(name, known) + "?"
			}
			return err
		}
		for _, g := range collectors.All() {
			if (g.Name == known[i] || g.Name == known[i]+parity.OwnSuffix) && !slices.Contains(f.sections, g.Name) {
				f.sections = append(f.sections, g.Name)
				f.groups = append(f.groups, g)
			}
		}
	}
	slices.SortFunc(f.groups, func(a, b collectors.Group) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

func (f *factsOf) all() []collectors.Group {
	if f.groups == nil {
		return collectors.All()
	}
	return f.groups
}

// openOut opens where snapshots go; finish puts a whole file in place, or none.
func (f *factsOf) openOut() (finish func(error) error, err error) {
	name := f.flag.String("out")
	switch {
	case name == "" && !f.json():
		return func(err error) error { return err }, nil
	case name == "" || name == "-":
		f.out = f.Stdout
		return func(err error) error { return err }, nil
	}
	path := f.path(name)
	file, err := os.CreateTemp(filepath.Dir(path), ".facts-*") // 0600: facts are not for everybody
	if err != nil {
		return nil, fmt.Errorf("cannot write %s: %w", name, err)
	}
	f.out = file
	return func(err error) error {
		_, incomplete := err.(exitStatus) //nolint:errorlint // it is never wrapped
		if closeErr := file.Close(); closeErr != nil && err == nil {
			err = fmt.Errorf("cannot write %s: %w", name, closeErr)
		}
		if err == nil || incomplete {
			if renameErr := os.Rename(file.Name(), path); renameErr != nil {
				err = fmt.Errorf("cannot write %s: %w", name, renameErr)
			} else {
				return err
			}
		}
		_ = os.Remove(file.Name()) // the failure is told
		return err
	}, nil
}

func (f *factsOf) fromFile(name string) error {
	file, err := os.Open(f.path(name))
	if err != nil {
		return fmt.Errorf("cannot read snapshots: %w", err)
	}
	defer file.Close()
	met := map[string]bool{}
	err = parity.ReadSnapshots(file, f.shown(f.path(name)), func(s *parity.Snapshot) error {
		if len(f.args) > 0 && !slices.Contains(f.args, s.Subject.Name) && !slices.Contains(f.args, s.Subject.Kind) {
			return nil
		}
		met[s.Subject.Name], met[s.Subject.Kind] = true, true
		f.detail = len(f.sections) > 0 && len(f.args) == 1
		if f.sections != nil {
			s.Sections = slices.DeleteFunc(s.Sections, func(s parity.Section) bool { return !slices.Contains(f.sections, s.Name) })
		}
		return f.take(s)
	})
	if err != nil {
		return err
	}
	for _, name := range f.args {
		if !met[name] {
			return usagef("cannot find machine %q in %s", name, f.flag.String("from"))
		}
	}
	return nil
}

func (f *factsOf) fromMachines(ctx context.Context) error {
	p, err := f.open(ctx, placeOptions{identity: true})
	if err != nil {
		return err
	}
	defer p.close()
	list, err := p.Status(ctx, false)
	if err != nil {
		return err
	}
	if list, err = pick(p, list, f.args); err != nil {
		return err
	}
	for _, kind := range slices.Sorted(maps.Keys(p.Plan.External)) {
		if len(f.args) == 0 && !f.quiet() {
			fmt.Fprintf(f.Stderr, "evenkeel: left out: %s is external to this tier\n", providers.Printable(kind))
		}
	}
	f.detail = len(f.sections) > 0 && len(list) == 1
	_, f.ours = facts.Script(f.all())
	o := collectOptions{groups: f.groups, parallel: f.flag.Int("parallel"), deadline: f.flag.Duration("deadline")}
	if f.flag.String("known") == "on" {
		kept, err := f.audits(ctx)
		if err != nil {
			f.log().Warn("facts are read anew", "error", err)
		} else {
			defer kept.Close()
			o.cache = kept
		}
	}
	for _, m := range list {
		if m.State == "" {
			f.missing = true
			f.say(m.Name, fmt.Sprintf("%s: it does not exist yet\n", m.Name))
		}
	}
	return f.collect(ctx, p, list, o, f.take)
}

// pick are those machines of list that words name, by themselves or by their kind; all where there are no words.
func pick(p *place, list []providers.Status, words []string) ([]providers.Status, error) {
	met := map[string]bool{}
	found := slices.DeleteFunc(slices.Clone(list), func(s providers.Status) bool {
		byName, byKind := slices.Contains(words, s.Name), s.Planned && slices.Contains(words, s.Kind)
		if byName {
			met[s.Name] = true
		}
		if byKind {
			met[s.Kind] = true
		}
		return len(words) > 0 && !byName && !byKind
	})
	for _, w := range words {
		if !met[w] {
			return nil, usagef("cannot find machine %q: environment %s has %s", w, p.Plan.Env, names(list))
		}
	}
	return found, nil
}

// take takes in a snapshot: writes it, or keeps what will be shown of it.
func (f *factsOf) take(s *parity.Snapshot) error {
	unknown := slices.ContainsFunc(s.Sections, func(s parity.Section) bool { return s.Unknown != "" })
	f.missing = f.missing || s.Unreachable != "" || unknown
	if f.out != nil {
		line, err := parity.MarshalSnapshot(s)
		if err != nil {
			return err
		}
		if _, err := f.out.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("cannot write snapshots: %w", err)
		}
	}
	if f.out != f.Stdout {
		text := summary(s, f.ours)
		if f.detail {
			text = detail(s)
		}
		f.say(s.Subject.Name, text)
	}
	return nil
}

func (f *factsOf) say(name, text string) {
	f.names = append(f.names, name)
	f.said = append(f.said, text)
}

// show prints what was said of each machine, by name.
func (f *factsOf) show() error {
	if f.out != f.Stdout {
		order := make([]int, len(f.names))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(f.names[a], f.names[b]) })
		for _, i := range order {
			if err := f.printf("%s", f.said[i]); err != nil {
				return err
			}
		}
	}
	if f.missing {
		return exitStatus(exitIncomplete)
	}
	return nil
}

// printSudoers prints the sudoers line that permits the collector alone, and how to lay both.
func (c *call) printSudoers() error {
	_, digest := facts.Script(collectors.All())
	return c.printf(`# Lets %[1]s run one program as root, which only reads, and of which only this copy: another digest is refused.
#
#   evenkeel facts --print-collector >evenkeel-facts
#   sudo install -o root -g root -m 0755 evenkeel-facts %[2]s
#   evenkeel facts --print-sudoers | sudo tee /etc/sudoers.d/evenkeel-facts >/dev/null
#   sudo chmod 0440 /etc/sudoers.d/evenkeel-facts && sudo visudo -c
#
# Put the name of the account that reads machines in place of %[1]s. A newer evenkeel may read more, and then prints another digest here; until
# both are laid again, what this copy reads is read.
%[1]s ALL=(root) NOPASSWD: sha256:%[3]s %[2]s
`, providers.LoginUser, facts.PinnedPath, digest)
}

func clock(t time.Time) string { return t.Format("2006-01-02 15:04:05") + " UTC" }
