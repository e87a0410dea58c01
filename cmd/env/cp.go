// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/sync"
)

func (a *App) cpVerb() verb {
	return verb{
		name: "cp", args: "SOURCE... TARGET", about: "copy files from and to machines",
		more: "A place on a machine is NAME:PATH, relative to its user's home folder unless it begins with a slash; of a machine to another it goes through this computer. " +
			"As with cp, a TARGET that is a folder gets the sources in it. Modes are kept. Patterns are not expanded on machines. A file of this computer with a colon in its name is written ./a:b.",
		flags: []cli.Flag{
			boolFlag("recursive", "copy folders too", "r"),
			&cli.StringFlag{Name: "user", Usage: "log in as `USER` (else the definition's access.user)"},
		},
		lacks: []string{"json"},
		run:   runCp,
	}
}

// spot is one end of a copy.
type spot struct {
	machine string // "": this computer
	path    string
}

// spotOf reads NAME:PATH, or a path.
func spotOf(text string, plan *envs.Plan) (spot, error) {
	name, rest, is := strings.Cut(text, ":")
	if !is || name == "" || strings.Contains(name, "/") {
		return spot{path: text}, nil
	}
	if !slices.ContainsFunc(plan.Machines, func(m envs.Machine) bool { return m.Name == name || m.Kind == name }) {
		var known []string
		for _, m := range plan.Machines {
			known = append(known, m.Name)
		}
		e := usagef("cannot find machine %q: environment %s has %s", name, plan.Env, listed(known))
		e.hint = "a file of this computer is written ./" + text
		return spot{}, e
	}
	return spot{name, rest}, nil
}

func runCp(ctx context.Context, c *call) error {
	args := append(slices.Clone(c.args), c.after...)
	if len(args) < 2 {
		return usagef("cp takes one or more sources and a target, got %s", counted(len(args), "argument"))
	}
	d, tell := c.show()
	defer d.stop()
	p, err := c.open(ctx, placeOptions{identity: true, progress: tell})
	if err != nil {
		return err
	}
	defer p.close()
	var spots []spot
	for _, a := range args {
		s, err := spotOf(a, p.Plan)
		if err != nil {
			return err
		}
		spots = append(spots, s)
	}
	sources, target := spots[:len(spots)-1], spots[len(spots)-1]
	if target.machine == "" && slices.ContainsFunc(sources, func(s spot) bool { return s.machine == "" }) {
		e := usagef("cp copies from and to machines, and neither %s nor %s is on one", args[0], args[len(args)-1])
		e.hint = "a place on a machine is written " + p.Plan.Machines[0].Name + ":PATH"
		return e
	}
	w := &copying{call: c, place: p, clients: map[string]*ssh.Client{}}
	defer w.close()
	w.options = sync.CopyOptions{Recursive: c.flag.Bool("recursive"), Progress: tell, Skipped: func(name, why string) {
		d.note("not copied: " + name + ": " + why)
		w.skipped = true
	}}
	if err := w.all(ctx, sources, target); err != nil {
		return err
	}
	d.stop()
	if w.skipped {
		return exitStatus(exitDiffers)
	}
	return nil
}

// copying is one call of cp: its connections, one a machine.
type copying struct {
	*call
	place   *place
	options sync.CopyOptions
	clients map[string]*ssh.Client
	skipped bool
}

func (w *copying) close() {
	for _, client := range w.clients {
		_ = client.Close() // nothing is in flight
	}
}

func (w *copying) client(ctx context.Context, name string) (*ssh.Client, error) {
	if client := w.clients[name]; client != nil {
		return client, nil
	}
	m, err := w.place.machine(ctx, name)
	if err != nil {
		return nil, err
	}
	user := w.flag.String("user")
	if user == "" {
		user = w.place.User(m)
	}
	client, err := w.place.Dial(ctx, m, user)
	if err == nil {
		w.clients[name] = client
	}
	return client, err
}

func (w *copying) all(ctx context.Context, sources []spot, target spot) error {
	if target.machine == "" {
		to := w.path(target.path)
		if strings.HasSuffix(target.path, "/") {
			to += "/"
		}
		if info, err := os.Stat(to); len(sources) > 1 && (err != nil || !info.IsDir()) {
			return fmt.Errorf("cannot copy to %s: it is no folder", target.path)
		}
		for _, s := range sources {
			if err := w.fetch(ctx, s, to); err != nil {
				return err
			}
		}
		return nil
	}
	var local []string
	for _, s := range sources {
		if s.machine == "" {
			local = append(local, w.path(s.path))
			continue
		}
		dir, err := os.MkdirTemp("", "evenkeel-cp-")
		if err != nil {
			return fmt.Errorf("cannot copy %s: %w", s.path, err)
		}
		defer os.RemoveAll(dir)
		if err := w.fetch(ctx, s, dir); err != nil {
			return err
		}
		local = append(local, filepath.Join(dir, path.Base(path.Clean(s.path))))
	}
	client, err := w.client(ctx, target.machine)
	if err != nil {
		return err
	}
	return sync.Upload(ctx, client, local, target.path, w.options)
}

func (w *copying) fetch(ctx context.Context, s spot, to string) error {
	client, err := w.client(ctx, s.machine)
	if err != nil {
		return err
	}
	return sync.Download(ctx, client, s.path, to, w.options)
}
