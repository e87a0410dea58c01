// SPDX-License-Identifier: Apache-2.0

// Package plugin carries the provider contract between processes: go-plugin, gRPC, real messages.
// It is the only package that knows either. The one rule: a provider cannot tell whether it is called directly or through here.
package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"os"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/providers"
)

// Serve runs p as a plugin process until the client goes away; it is the whole main of a provider binary.
func Serve(p providers.Plugin) {}

// Found is a plugin binary.
type Found struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

// Find lists env-provider-* binaries beside the running binary, then in $EVENKEEL_PLUGIN_PATH (a list of folders); the first of a name wins.
func Find() ([]Found, error) { return nil, errors.New("not written yet") }

// Launched is a running plugin process whose provider is not yet opened. Plugin.Open opens through it.
type Launched struct {
	providers.Plugin
}

// Launch starts the binary of the named provider. hold, where not nil, is an open file the process inherits, so that a lock on it lives as
// long as the plugin does. An unknown name is NotFound and lists the known ones.
func Launch(ctx context.Context, name string, hold *os.File, log hclog.Logger) (*Launched, error) {
	return nil, errors.New("not written yet")
}

// Close ends the process: stdin is closed, running Puts are cancelled and awaited (60 s), then it is killed.
func (l *Launched) Close() error { return nil }

var _ = json.RawMessage(nil)
