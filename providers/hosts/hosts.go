// SPDX-License-Identifier: Apache-2.0

// Package hosts is the provider of machines that exist already: named by address, by an ssh_config or by an Ansible inventory. It lists them with the way to
// each and the keys it is known by; it makes, changes and deletes nothing, and dials nobody.
//
// It is not for machines that an environment should make. The one rule: a key is believed because known_hosts or a host authority says so, never because it
// was the first one seen.
package hosts

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
)

const name = "hosts"

// Plugin is the provider. It boots no image.
var Plugin = providers.Plugin{Name: name, Traits: providers.Traits{ReadOnly: true}, Open: open}

// provider is the inventory as it was when it was opened.
type provider struct {
	config   config
	machines []providers.Machine // without Env, sorted by name
	sources  []string            // where they come from, for the doctor
}

var (
	_ providers.Provider = (*provider)(nil)
	_ providers.Doctor   = (*provider)(nil)
)

func open(ctx context.Context, raw json.RawMessage, _ hclog.Logger) (providers.Provider, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		home = ""
	}
	c, problems := decode(raw, home)
	p := &provider{config: c}
	if problems.Err() == nil {
		p.machines, p.sources, problems = list(c)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if problems.Err() != nil {
		return nil, &providers.Error{Code: providers.Invalid, Op: "open", Subject: "provider " + name, Err: told(problems)}
	}
	return p, nil
}

// Check implements providers.Provider: no machine can be made here.
func (p *provider) Check(ctx context.Context, spec providers.Spec) ([]providers.Problem, error) {
	refused := providers.ReadOnlyError(name, "create", "machine "+spec.Name)
	return []providers.Problem{{Severity: "error", Path: "machines", Message: refused.Error()}}, ctx.Err()
}

// PutImage implements providers.Provider: it refuses.
func (p *provider) PutImage(context.Context, images.Image, providers.Progress) (providers.ImageRef, error) {
	return "", providers.ReadOnlyError(name, "store", "image")
}

// PutMachine implements providers.Provider: it refuses.
func (p *provider) PutMachine(_ context.Context, spec providers.Spec, _ providers.ImageRef, _ providers.Progress) (providers.Machine, error) {
	return providers.Machine{}, providers.ReadOnlyError(name, "create", "machine "+spec.Name)
}

// Close implements providers.Provider.
func (p *provider) Close() error { return nil }

func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
