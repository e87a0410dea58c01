// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/evenkeel/evenkeel/envs"
)

// settingsReport is what `status --settings --json` prints. docs/json.md describes it.
type settingsReport struct {
	Env   string         `json:"env"`
	Tier  string         `json:"tier"`
	Kinds []kindSettings `json:"kinds"`
}

type kindSettings struct {
	Kind     string        `json:"kind"`
	Machines []string      `json:"machines"`
	Settings []settingLine `json:"settings"`
}

// settingLine is a setting or a secret; of a secret the value is a mask.
type settingLine struct {
	envs.Setting
	Value string `json:"value"`
}

// statusSettings shows what each kind of machines is given. It reads the definition and no secret.
func (c *call) statusSettings() error {
	def, plan, err := c.plan(false)
	if err != nil {
		return err
	}
	r := settingsReport{Env: plan.Env, Tier: plan.Tier, Kinds: []kindSettings{}}
	for _, m := range plan.Machines {
		i := slices.IndexFunc(r.Kinds, func(k kindSettings) bool { return k.Kind == m.Kind })
		if i >= 0 {
			r.Kinds[i].Machines = append(r.Kinds[i].Machines, m.Name)
			continue
		}
		k := kindSettings{Kind: m.Kind, Machines: []string{m.Name}, Settings: []settingLine{}}
		for _, s := range envs.SettingsOf(def, plan, m.Kind) {
			l := settingLine{Setting: s, Value: s.Value}
			if s.Secret != nil {
				l.Value = envs.Value{}.String()
			}
			k.Settings = append(k.Settings, l)
		}
		r.Kinds = append(r.Kinds, k)
	}
	if c.json() {
		return c.printJSON(r)
	}
	for i, k := range r.Kinds {
		if i > 0 {
			if err := c.printf("\n"); err != nil {
				return err
			}
		}
		if err := c.printf("%s: %s\n", r.Env, listed(k.Machines)); err != nil {
			return err
		}
		if len(k.Settings) == 0 {
			if err := c.printf("no settings and no secrets\n"); err != nil {
				return err
			}
			continue
		}
		t := newTable("NAME", "VALUE", "SAID IN", "COMES FROM")
		for _, s := range k.Settings {
			t.add(s.Name, s.Value, cmp.Or(s.From, "(every tier)"), sourceOf(s.Secret))
		}
		if err := t.print(c.Stdout); err != nil {
			return err
		}
	}
	return nil
}

// sourceOf says in words where a secret is read.
func sourceOf(s *envs.Secret) string {
	switch {
	case s == nil:
		return ""
	case s.Env != "":
		return "variable " + s.Env
	case s.File != "":
		return "file " + s.File
	case s.SOPS != "" && s.Key != "":
		return fmt.Sprintf("sops %s, %s", s.SOPS, s.Key)
	case s.SOPS != "":
		return "sops " + s.SOPS
	}
	return "command " + s.Command
}
