// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin"
)

func (a *App) doctorVerb() verb {
	return verb{
		name: "doctor", about: "check what this computer and the places need",
		more: "Each line that fails says what to type. With --tier it is about that tier's place only. No environment is changed.",
		run:  runDoctor,
	}
}

// finding is one entry of `doctor --json`.
type finding struct {
	About string `json:"about"`
	providers.Finding
}

func runDoctor(ctx context.Context, c *call) error {
	if err := c.noArgs(); err != nil {
		return err
	}
	list := c.checkHere()
	sites, err := c.sites()
	if err != nil {
		return err
	}
	if len(sites) == 0 {
		list = append(list, finding{"providers", providers.Finding{What: "no provider is here", Remedy: "put env-provider-NAME beside evenkeel, or name its folder in EVENKEEL_PLUGIN_PATH"}})
	}
	for _, s := range sites {
		found, err := c.examine(ctx, s)
		if isCancel(err) {
			return err
		}
		if err != nil {
			if !s.named && providers.CodeOf(err) == providers.Invalid {
				continue // it needs configuration that only a definition gives
			}
			found = []providers.Finding{{What: err.Error(), Remedy: hint(err)}}
		}
		for _, f := range found {
			list = append(list, finding{s.provider, f})
		}
	}
	return c.printFindings(list)
}

// examine asks a provider about its place.
func (c *call) examine(ctx context.Context, s site) (found []providers.Finding, err error) {
	err = c.withSite(ctx, s, func(_ *plugin.Launched, p providers.Provider) error {
		d, ok := providers.As[providers.Doctor](p)
		if !ok {
			found = []providers.Finding{{OK: true, What: "it can be opened; it checks nothing by itself"}}
			return nil
		}
		found, err = d.Diagnose(ctx)
		return err
	})
	return found, err
}

// checkHere looks at what the command itself needs.
func (c *call) checkHere() []finding {
	var list []finding
	for _, dir := range []func() (string, error){c.user().StateDir, c.user().CacheDir} {
		f := providers.Finding{OK: true}
		path, err := dir()
		if err == nil {
			err = writable(path)
		}
		if err != nil {
			f = providers.Finding{What: err.Error(), Remedy: "give yourself the right to write there, or set XDG_STATE_HOME and XDG_CACHE_HOME"}
		} else {
			f.What = path + " can be written"
		}
		list = append(list, finding{"files", f})
	}
	path, err := systemEnv("/usr/bin/env", "/bin/env")
	f := providers.Finding{OK: true, What: "what is not ours is handed on to " + path}
	if err != nil {
		f = providers.Finding{What: "called as env, nothing can be handed on: " + err.Error(), Remedy: "install coreutils, or take our program away from /usr/bin/env"}
	}
	return append(list, finding{"hand-off", f})
}

func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return fmt.Errorf("cannot write into %s: %w", dir, err)
	}
	_ = f.Close()
	return os.Remove(f.Name())
}

func (c *call) printFindings(list []finding) error {
	bad := 0
	for _, f := range list {
		if !f.OK {
			bad++
		}
		if c.json() {
			continue
		}
		mark := "ok  "
		if !f.OK {
			mark = "FAIL"
		}
		if err := c.printf("%s  %s: %s\n", mark, f.About, oneLine(f.What)); err != nil {
			return err
		}
		if !f.OK && f.Remedy != "" {
			if err := c.printf("      type: %s\n", oneLine(f.Remedy)); err != nil {
				return err
			}
		}
	}
	if c.json() {
		if err := c.printJSON(list); err != nil {
			return err
		}
	}
	if bad > 0 {
		return exitStatus(exitError)
	}
	return nil
}
