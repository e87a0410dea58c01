// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin"
)

func (a *App) providersVerb() verb {
	return verb{
		name: "providers", about: "list the providers found here",
		more:  "Programs called env-provider-NAME, beside this one and in the folders of $EVENKEEL_PLUGIN_PATH.",
		lacks: definitionFlags(),
		run:   runProviders,
	}
}

// foundProvider is one entry of `providers --json`.
type foundProvider struct {
	plugin.Found
	Traits  providers.Traits `json:"traits"`
	Formats []images.Format  `json:"formats"`
	Error   string           `json:"error,omitempty"` // it could not be started
}

func runProviders(ctx context.Context, c *call) error {
	if err := c.noArgs(); err != nil {
		return err
	}
	found, err := plugin.Find()
	if err != nil {
		return err
	}
	list := []foundProvider{}
	for _, f := range found {
		list = append(list, c.ask(ctx, f))
	}
	if c.json() {
		return c.printJSON(list)
	}
	t := newTable("PROVIDER", "MACHINES ARE", "BOOTS", "PATH")
	for _, p := range list {
		where := "elsewhere"
		if p.Traits.Local {
			where = "on this computer"
		}
		if p.Traits.HostKernel {
			where = "containers"
		}
		if p.Traits.ReadOnly {
			where = "there already, only read"
		}
		if p.Error != "" {
			where = "cannot be started: " + p.Error
		}
		formats := ""
		for i, f := range p.Formats {
			if i > 0 {
				formats += ", "
			}
			formats += string(f)
		}
		t.add(p.Name, where, formats, p.Path)
	}
	return t.print(c.Stdout)
}

// ask starts a provider to hear what it is.
func (c *call) ask(ctx context.Context, f plugin.Found) foundProvider {
	p := foundProvider{Found: f, Formats: []images.Format{}}
	launched, err := plugin.Launch(ctx, f.Name, nil, c.log())
	if err != nil {
		p.Error = err.Error()
		return p
	}
	defer launched.Close()
	p.Traits = launched.Traits
	p.Formats = append(p.Formats, launched.Formats...)
	return p
}
