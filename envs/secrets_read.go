// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/internal/problem"
)

// MaxSecret is the size of a secret at most, in bytes.
const MaxSecret = 1 << 20

// SecretReader is what secrets are read with.
type SecretReader struct {
	Dir string   // the project's folder: commands run there
	Env []string // NAME=VALUE: what env sources name, and the environment of commands and of sops
	// Allowed says whether a command may run; nil: none may. What it refuses is a problem.
	Allowed func(command string) bool
	Limit   time.Duration // of one command; 0 means a minute
	most    int           // bytes a command may print; 0: MaxSecret
}

// Commands are the shell lines that the plan's secrets come from, each once, sorted: what needs consent to run.
func (p *Plan) Commands() []string {
	all := map[string]bool{}
	for _, m := range p.Machines {
		addCommands(all, m.Secrets)
	}
	return slices.Sorted(maps.Keys(all))
}

// Commands are those of all tiers together, with those that inventories come from.
func (d *Definition) Commands() []string {
	all := map[string]bool{}
	addCommands(all, d.Secrets)
	for _, k := range d.Machines {
		addCommands(all, k.Secrets)
	}
	for _, t := range d.Tiers {
		addCommands(all, t.Secrets)
		if line := inventoryCommand(t.Provider, t.Config); line != "" {
			all[line] = true
		}
		for _, o := range t.Machines {
			addCommands(all, o.Secrets)
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func addCommands(all map[string]bool, secrets map[string]Secret) {
	for _, s := range secrets {
		if s.Command != "" {
			all[s.Command] = true
		}
	}
}

// ReadSecrets reads the secrets of the plan's machines, each source once, one after the other. The Values hold the machines of which every
// secret was read, those without secrets too. The list holds an Error for each that could not be, with whose it is and what to do, and a Note for
// what is worth a warning; no value is ever in it. Nothing of plan is changed.
func ReadSecrets(ctx context.Context, plan *Plan, r SecretReader) (Values, problem.List) {
	read := map[Secret]answered{}
	var problems problem.List
	failed := map[string]bool{} // machines
	for _, u := range uses(plan) {
		a, done := read[u.secret]
		if !done {
			a = r.read(ctx, u.secret)
			read[u.secret] = a
		}
		if a.note != "" && !done {
			problems = append(problems, u.problem(problem.Note, a.note, a.hint))
		}
		if a.fault != "" {
			problems = append(problems, u.problem(problem.Error, a.fault, a.hint))
			for _, m := range u.machines {
				failed[m] = true
			}
		}
	}
	problems.Sort()
	values := Values{}
	for _, m := range plan.Machines {
		if failed[m.Name] {
			continue
		}
		values[m.Name] = map[string]Value{}
		for name, s := range m.Secrets {
			values[m.Name][name] = read[s].value
		}
	}
	return values, problems
}

// answered is what came of one source: a value, or a fault. hint says what to do about the fault or the note.
type answered struct {
	value             Value
	fault, note, hint string
}

// use is a secret as it is said in one place of the definition.
type use struct {
	path, name string
	secret     Secret
	at         problem.Problem
	machines   []string
	kinds      []string
}

// uses are the plan's secrets by where they are said.
func uses(plan *Plan) []use {
	byPath := map[string]use{}
	for _, m := range plan.Machines {
		for name, s := range m.Secrets {
			path := m.origins[name] + "." + name
			if m.origins[name] == "" { // a plan made by hand
				path = "machines." + m.Kind + ".secrets." + name
			}
			u := byPath[path]
			u.path, u.name, u.secret, u.machines = path, name, s, append(u.machines, m.Name)
			if !slices.Contains(u.kinds, m.Kind) {
				u.kinds = append(u.kinds, m.Kind)
			}
			at, ok := plan.places[path]
			if !ok {
				at = problem.Problem{Path: path}
			}
			u.at = at
			byPath[path] = u
		}
	}
	var all []use
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		all = append(all, byPath[path])
	}
	return all
}

func (u use) problem(severity problem.Severity, message, hint string) problem.Problem {
	p := u.at
	p.Severity, p.Hint = severity, hint
	p.Message = fmt.Sprintf("%s (for %s)", message, strings.Join(u.kinds, ", "))
	return p
}

func (r SecretReader) read(ctx context.Context, s Secret) answered {
	switch {
	case s.Env != "":
		return r.fromEnv(s.Env)
	case s.File != "":
		return r.fromFile(s.File)
	case s.SOPS != "":
		return r.fromSOPS(ctx, s.SOPS, s.Key)
	case s.Command != "":
		return r.fromCommand(ctx, s.Command)
	}
	return answered{fault: "it has no source"}
}

func (r SecretReader) fromEnv(name string) answered {
	value, ok := r.getenv(name)
	hint := fmt.Sprintf("export %s, in CI as a masked variable", name)
	switch {
	case !ok:
		return answered{fault: fmt.Sprintf("the environment variable %s is not set", name), hint: hint}
	case value == "":
		return answered{fault: fmt.Sprintf("the environment variable %s is empty", name), hint: hint}
	case len(value) > MaxSecret:
		return answered{fault: fmt.Sprintf("the environment variable %s is larger than 1MiB", name)}
	}
	return answered{value: NewValue([]byte(value))}
}

func (r SecretReader) getenv(name string) (string, bool) {
	for _, e := range r.Env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v, true
		}
	}
	return "", false
}

func (r SecretReader) fromFile(name string) answered {
	path, err := r.expand(name)
	if err != nil {
		return answered{fault: err.Error()}
	}
	f, info, err := r.open(path)
	if err != nil {
		a := answered{fault: fmt.Sprintf("cannot read the file %s: %v", clip(path), leaf(err))}
		if errors.Is(err, fs.ErrNotExist) {
			a.fault = fmt.Sprintf("the file %s does not exist", clip(path))
			a.hint = "write the secret into it, readable by you only (chmod 600), and keep it out of git"
		}
		return a
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSecret+1))
	switch {
	case err != nil:
		return answered{fault: fmt.Sprintf("cannot read the file %s: %v", clip(path), leaf(err))}
	case len(data) > MaxSecret:
		return answered{fault: fmt.Sprintf("the file %s is larger than 1MiB", clip(path))}
	case len(data) == 0:
		return answered{fault: fmt.Sprintf("the file %s is empty", clip(path))}
	}
	a := answered{value: NewValue(data)}
	if mode := info.Mode().Perm(); mode&0o044 != 0 {
		a.note = fmt.Sprintf("others on this computer may read the file %s (mode %04o)", clip(path), mode)
		a.hint = "chmod 600 " + clip(path)
	}
	return a
}

func (r SecretReader) expand(name string) (string, error) {
	inHome, ok := strings.CutPrefix(name, "~/")
	if !ok {
		return name, nil
	}
	home, _ := r.getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", fmt.Errorf("cannot tell where %s is: HOME is no absolute path", clip(name))
	}
	return filepath.Join(home, inHome), nil
}

// open opens a regular file. One inside the project is not reached through links out of it: the repository says what it reads by name.
func (r SecretReader) open(path string) (*os.File, fs.FileInfo, error) {
	stat, open := os.Stat, os.Open
	if rel, err := filepath.Rel(r.Dir, path); err == nil && r.Dir != "" && filepath.IsLocal(rel) {
		root, err := os.OpenRoot(r.Dir)
		if err != nil {
			return nil, nil, err
		}
		defer root.Close()
		stat = func(string) (fs.FileInfo, error) { return root.Stat(rel) }
		open = func(string) (*os.File, error) { return root.Open(rel) }
	}
	info, err := stat(path) // before it is opened: that of a pipe would wait
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("it is no regular file")
	}
	f, err := open(path)
	if err != nil {
		return nil, nil, err
	}
	return f, info, nil
}
