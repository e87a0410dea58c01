// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

const (
	maxSettingName = 128
	maxSetting     = 4096 // bytes
)

var settingForm = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Setting is a setting or a secret of one kind of machines, with where it is said.
type Setting struct {
	Name   string  `json:"name"`
	Value  string  `json:"value,omitempty"`  // of a setting
	Secret *Secret `json:"secret,omitempty"` // of a secret
	From   string  `json:"from"`             // path in the definition: tiers.ci.settings; "" where it was made from the plan
}

// SettingsOf are the settings and secrets of a kind of plan, which was made of def, by name.
func SettingsOf(def *Definition, plan *Plan, kind string) []Setting {
	return settingsOf(def, plan.Tier, kind)
}

// settingsOf lays the four places over each other that may say settings and secrets, the wider below the narrower.
func settingsOf(def *Definition, tierName, kindName string) []Setting {
	all := map[string]Setting{}
	for name, value := range addresses(def, tierName) {
		all[name] = Setting{Name: name, Value: value}
	}
	for _, l := range layers(def, tierName, kindName) {
		for name, value := range l.settings {
			all[name] = Setting{Name: name, Value: value, From: l.path + "settings"}
		}
		for name, secret := range l.secrets {
			all[name] = Setting{Name: name, Secret: &secret, From: l.path + "secrets"}
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
}

// layer is one place of a definition; path ends in a dot, or is "" for the top.
type layer struct {
	path     string
	settings map[string]string
	secrets  map[string]Secret
}

func layers(def *Definition, tierName, kindName string) []layer {
	tier, kind := def.Tiers[tierName], def.Machines[kindName]
	over := tier.Machines[kindName]
	inTier := "tiers." + tierName + "."
	return []layer{
		{"", def.Settings, def.Secrets},
		{"machines." + kindName + ".", kind.Settings, kind.Secrets},
		{inTier, tier.Settings, tier.Secrets},
		{inTier + "machines." + kindName + ".", over.Settings, over.Secrets},
	}
}

// EnvAddress is the setting that says where a kind of machines is found: EVENKEEL_DB_ADDR.
func EnvAddress(kind string) string {
	return "EVENKEEL_" + strings.ToUpper(strings.ReplaceAll(kind, "-", "_")) + "_ADDR"
}

// addresses are where each kind is found in a tier: the kind's name, which resolves to its machines, and the first port that it lets in; or the
// external one. A kind that lets nothing in has none.
func addresses(def *Definition, tierName string) map[string]string {
	all := map[string]string{}
	for name, kind := range def.Machines {
		if at := def.Tiers[tierName].Machines[name].External; at != "" {
			all[EnvAddress(name)] = at
		} else if len(kind.Allow) > 0 {
			all[EnvAddress(name)] = net.JoinHostPort(name, strconv.Itoa(kind.Allow[0].PortLow))
		}
	}
	return all
}

// settings is a map of environment variables, each value one line.
func (l *loader) settings(n *strictyaml.Node) map[string]string {
	var m map[string]string
	for _, e := range n.Entries() {
		l.settingName(e, "setting")
		value := e.Value.Str()
		switch {
		case strings.Contains(value, "\n"):
			e.Value.Errorf("got a text of several lines; a setting is one line").Hint = "put it into a file of the recipe"
		case len(value) > maxSetting:
			e.Value.Errorf("got a text of %d bytes; a setting has at most %d", len(value), maxSetting)
		}
		m = with(m, e.Key, value)
	}
	return m
}

// settingName checks the name of a setting or a secret, and remembers where it stands.
func (l *loader) settingName(e strictyaml.Entry, noun string) {
	switch {
	case !settingForm.MatchString(e.Key):
		e.At.Errorf("got %q; a %s's name has letters, digits and _ and does not begin with a digit", clip(e.Key), noun)
	case len(e.Key) > maxSettingName:
		e.At.Errorf("got a name of %d characters; allowed are %d", len(e.Key), maxSettingName)
	}
	l.said[e.At.Path()] = e.At
	l.def.places[e.At.Path()] = e.At.Place()
}

// oneMeaning refuses a name that is a setting and a secret of one machine: the one would be read where the other is meant.
func (l *loader) oneMeaning() {
	told := map[string]bool{}
	for _, tierName := range slices.Sorted(maps.Keys(l.def.Tiers)) {
		for _, kindName := range slices.Sorted(maps.Keys(l.def.Machines)) {
			settings, secrets := map[string]string{}, map[string]string{} // the path by the name
			for _, y := range layers(l.def, tierName, kindName) {
				for _, name := range slices.Sorted(maps.Keys(y.settings)) {
					settings[name] = y.path + "settings." + name
					l.clash(told, settings[name], "a secret", secrets[name])
				}
				for _, name := range slices.Sorted(maps.Keys(y.secrets)) {
					secrets[name] = y.path + "secrets." + name
					l.clash(told, secrets[name], "a setting", settings[name])
				}
			}
		}
	}
}

func (l *loader) clash(told map[string]bool, path, noun, other string) {
	if other == "" || told[path] {
		return
	}
	told[path] = true
	l.said[path].Errorf("this name is %s already (%s); on one machine it is one or the other", noun, other).Hint =
		fmt.Sprintf("a setting stands in /etc/evenkeel/settings.env, a secret in a file of its own: give one of them another name, or make both %ss", strings.TrimPrefix(noun, "a "))
}
