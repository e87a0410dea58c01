// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/internal/problem"
)

// A tier of machines that exist already (provider hosts) may say that its inventory comes from a command, config: {inventory: {command: [...]}}. Like a
// secret's, it runs here and with the user's consent, never in the plugin: what it prints is given to the provider as inventory.output.

// ReadOnly reports whether a provider's machines are surely only read. Of plugins of others only the plugin knows.
func ReadOnly(provider string) bool { return provider == existing }

const existing = "hosts"

// maxOutput bounds what an inventory's command prints.
const maxOutput = 14 << 20

// InventoryCommand is the shell line that the inventory of the plan's machines comes from; "" where it comes from no command.
func (p *Plan) InventoryCommand() string { return inventoryCommand(p.Provider, p.Config) }

func inventoryCommand(provider string, config json.RawMessage) string {
	var c struct {
		Inventory struct {
			Command []string `json:"command"`
		} `json:"inventory"`
	}
	if provider != existing || json.Unmarshal(config, &c) != nil {
		return "" // the provider says what is wrong with it
	}
	var words []string
	for _, w := range c.Inventory.Command {
		words = append(words, shellWord(w))
	}
	return strings.Join(words, " ")
}

var plainWord = lazyregexp.New(`^[A-Za-z0-9_@%+=:,./-]+$`)

// shellWord is w as one word of a shell's line.
func shellWord(w string) string {
	if plainWord.MatchString(w) {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

// ReadInventory is the plan's Config with what its InventoryCommand prints; without a command it is the Config as it is. The list says why the command did
// not run, or what became of it.
func ReadInventory(ctx context.Context, p *Plan, r SecretReader) (json.RawMessage, problem.List) {
	line := p.InventoryCommand()
	if line == "" {
		return p.Config, nil
	}
	at := problem.Problem{Severity: problem.Error, Path: "tiers." + p.Tier + ".config.inventory"}
	if known, ok := p.places["tiers."+p.Tier+".provider"]; ok {
		at.File, at.Line, at.Column, at.Source = known.File, known.Line, known.Column, known.Source
	}
	if r.Allowed == nil || !r.Allowed(line) {
		at.Message, at.Hint = "its command may not run here yet: "+quoted(line), "what a repository names runs on your computer only when you have allowed it: evenkeel trust"
		return nil, problem.List{at}
	}
	r.most = maxOutput
	out, fault := r.run(ctx, "its command", "/bin/sh", "-c", line)
	if fault == "" && len(bytes.TrimSpace(out)) == 0 {
		fault = "its command printed nothing"
	}
	if fault != "" {
		at.Message = fault + ": " + quoted(line)
		return nil, problem.List{at}
	}
	config := map[string]json.RawMessage{}
	inventory := map[string]json.RawMessage{}
	err := json.Unmarshal(p.Config, &config)
	if err == nil {
		err = json.Unmarshal(config["inventory"], &inventory)
	}
	if err == nil {
		inventory["output"], err = json.Marshal(strings.ToValidUTF8(string(out), "\ufffd"))
	}
	if err == nil {
		config["inventory"], err = json.Marshal(inventory)
	}
	raw, err2 := json.Marshal(config)
	if err != nil || err2 != nil { // it was read for the command already
		at.Message = "its configuration is no map"
		return nil, problem.List{at}
	}
	return raw, nil
}

// located makes the files that the config of existing machines names absolute: they are relative to the definition, as all its files are.
func located(dir, provider string, config json.RawMessage) json.RawMessage {
	c := map[string]json.RawMessage{}
	if provider != existing || json.Unmarshal(config, &c) != nil {
		return slices.Clone(config)
	}
	file := func(raw json.RawMessage) json.RawMessage {
		var s string
		if json.Unmarshal(raw, &s) != nil || s == "" || filepath.IsAbs(s) || strings.HasPrefix(s, "~/") {
			return raw
		}
		b, err := json.Marshal(filepath.Join(dir, s))
		if err != nil {
			return raw
		}
		return b
	}
	for _, key := range []string{"ssh_config", "inventory", "known_hosts"} {
		raw, ok := c[key]
		if !ok {
			continue
		}
		var list []json.RawMessage
		var fields map[string]json.RawMessage
		switch {
		case json.Unmarshal(raw, &list) == nil:
			for i := range list {
				list[i] = file(list[i])
			}
			raw = marshalled(list, raw)
		case json.Unmarshal(raw, &fields) == nil && fields["file"] != nil:
			fields["file"] = file(fields["file"])
			raw = marshalled(fields, raw)
		default:
			raw = file(raw)
		}
		c[key] = raw
	}
	return marshalled(c, config)
}

// marshalled is v as JSON; was, which it was made of, where that cannot be.
func marshalled(v any, was json.RawMessage) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return was
	}
	return b
}
