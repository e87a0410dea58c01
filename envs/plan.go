// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/problem"
)

// Options choose among what a definition offers.
type Options struct {
	Tier      string   // "": $EVENKEEL_TIER is the caller's business; then default, then the only one
	As        string   // a second copy beside the first
	Locked    bool     // a missing lock is a problem
	Providers []string // names of the providers that can be opened here; nil: KnownProviders
}

// KnownProviders are the names that the project itself uses; plugins of others add theirs.
func KnownProviders() []string {
	return []string{"libvirt", "docker", "openstack", "ec2", "metal", "hosts", "fake"}
}

// remote reports whether a provider's machines are surely not on this computer. Of plugins of others only the plugin knows: Plan.Local.
func remote(provider string) bool {
	return slices.Contains([]string{"openstack", "ec2", "metal", "hosts"}, provider)
}

// MakePlan is what def comes to in one tier. It reads nothing and changes nothing; equal input makes equal plans. The Plan is nil where the
// list holds an Error; notes tell of what is wrong with tiers that were not chosen.
func MakePlan(def *Definition, o Options) (*Plan, problem.List) {
	name, problems := chooseTier(def, o.Tier)
	if problems != nil {
		return nil, problems
	}
	tier := def.Tiers[name]
	p := &Plan{
		Env: def.Name + "." + name, Project: def.ID, Name: def.Name, Tier: name, Provider: tier.Provider, Config: located(def.Dir, tier.Provider, tier.Config),
		Access: accessIn(def, tier), TLS: def.TLS, TTL: tier.TTL, Protected: tier.Protected,
		Recipes: map[string]*images.Recipe{}, places: def.places,
	}
	if def.Keep != nil {
		k := *def.Keep
		p.Keep = &k
	}
	if tier.Local {
		p.Local = def.Local
	}
	problems = append(problems, checkCopy(p, o.As)...)
	problems = append(problems, checkProviders(def, name, o.Providers)...)
	for _, kind := range slices.Sorted(maps.Keys(def.Machines)) {
		if at := tier.Machines[kind].External; at != "" {
			p.External = with(p.External, kind, at)
			p.outside = with(p.outside, kind, slices.Clone(def.Machines[kind].Allow))
			continue
		}
		p.Machines = append(p.Machines, machines(def, name, kind)...)
		if image := def.Machines[kind].Image; image != "" {
			p.Recipes[image] = def.Recipes[image]
		}
	}
	slices.SortFunc(p.Machines, func(a, b Machine) int { return CompareNames(a.Name, b.Name) })
	if o.Locked {
		problems = append(problems, checkLocks(def, tier)...)
	}
	if problems.Err() != nil {
		return nil, problems
	}
	return p, problems
}

func chooseTier(def *Definition, asked string) (string, problem.List) {
	all := slices.Sorted(maps.Keys(def.Tiers))
	name := cmp.Or(asked, def.Default)
	if name == "" && len(all) == 1 {
		name = all[0]
	}
	if name == "" {
		at := def.place("tiers")
		at.Message = "there are several tiers and none is chosen: " + strings.Join(all, ", ")
		at.Hint = "say --tier NAME, set EVENKEEL_TIER, or write a line default: NAME"
		return "", problem.List{at}
	}
	if _, ok := def.Tiers[name]; !ok {
		at := def.place("tiers")
		at.Message = fmt.Sprintf("there is no tier %q; there are %s", clip(name), strings.Join(all, ", "))
		if near := problem.Nearest(name, all); near != "" {
			at.Hint = fmt.Sprintf("did you mean %s?", near)
		}
		return "", problem.List{at}
	}
	return name, nil
}

// checkCopy adds as to the environment's ID.
func checkCopy(p *Plan, as string) problem.List {
	if as == "" {
		return nil
	}
	p.Env += "." + as
	at := problem.Problem{Severity: problem.Error}
	switch {
	case !isLabel(as):
		at.Message = fmt.Sprintf("--as: got %q; allowed are at most 63 of a-z, 0-9 and -, beginning with a letter and not ending in -", clip(as))
	case len(p.Env) > maxID:
		at.Message = fmt.Sprintf("--as: the environment's ID would be %s, %d characters; allowed are %d", clip(p.Env), len(p.Env), maxID)
		at.Hint = "choose a shorter name for the copy"
	default:
		return nil
	}
	return problem.List{at}
}

// checkProviders: an unknown provider is an error of the chosen tier and a note of others.
func checkProviders(def *Definition, chosen string, known []string) problem.List {
	if known == nil {
		known = KnownProviders()
	}
	var problems problem.List
	for _, name := range slices.Sorted(maps.Keys(def.Tiers)) {
		provider := def.Tiers[name].Provider
		if provider == "" || slices.Contains(known, provider) { // "": a problem that was told
			continue
		}
		at := def.place("tiers." + name + ".provider")
		if name != chosen {
			at.Severity = problem.Note
		}
		at.Message = fmt.Sprintf("got the provider %q; there are %s", provider, strings.Join(known, ", "))
		at.Hint = fmt.Sprintf("a provider of another maker is a program env-provider-%s, looked for beside this one and in $EVENKEEL_PLUGIN_PATH", provider)
		if near := problem.Nearest(provider, known); near != "" {
			at.Hint = fmt.Sprintf("did you mean %s?", near)
		}
		problems = append(problems, at)
	}
	return problems
}

// checkLocks: every recipe of the plan has a lock.
func checkLocks(def *Definition, tier Tier) problem.List {
	var problems problem.List
	told := map[string]bool{}
	for _, kind := range slices.Sorted(maps.Keys(def.Machines)) {
		image := def.Machines[kind].Image
		if recipe := def.Recipes[image]; image == "" || tier.Machines[kind].External != "" || told[image] || recipe != nil && recipe.Lock != nil {
			continue
		}
		told[image] = true
		at := def.place(recipePath(kind))
		at.Message = fmt.Sprintf("the recipe %s has no lock that fits it, and --locked allows none to be made", image)
		at.Hint = fmt.Sprintf("run `evenkeel image lock` and commit %s.lock", strings.TrimSuffix(image, ".yaml"))
		problems = append(problems, at)
	}
	return problems
}

// accessIn is who may log in: what the tier's own access names takes the place of the definition's.
func accessIn(def *Definition, tier Tier) Access {
	a := Access{
		User: cmp.Or(def.Access.User, DefaultUser), Keys: slices.Clone(def.Access.Keys), UserCA: slices.Clone(def.Access.UserCA),
		Files: maps.Clone(def.Access.Files),
	}
	if own := tier.Access; own != nil {
		a.User = cmp.Or(own.User, a.User)
		if own.Keys != nil {
			a.Keys = slices.Clone(own.Keys)
		}
		if own.UserCA != nil {
			a.UserCA = slices.Clone(own.UserCA)
		}
		for line, file := range own.Files {
			a.Files = with(a.Files, line, file)
		}
	}
	return a
}

// machines are those of one kind in one tier. They share nothing with def that could be changed.
func machines(def *Definition, tierName, name string) []Machine {
	tier := def.Tiers[tierName]
	kind, over := def.Machines[name], tier.Machines[name]
	said := settingsOf(def, tierName, name)
	var all []Machine
	for number := range cmp.Or(over.Count, kind.Count) {
		m := Machine{
			Name: name + "-" + strconv.Itoa(number+1), Kind: name, Image: kind.Image,
			CPUs: cmp.Or(over.CPUs, kind.CPUs), Memory: cmp.Or(over.Memory, kind.Memory), Disk: cmp.Or(over.Disk, kind.Disk),
			Allow: slices.Clone(kind.Allow), Stateless: kind.Stateless, Data: slices.Clone(kind.Data), Code: slices.Clone(kind.Code), Rebuild: kind.Rebuild,
		}
		for _, s := range said {
			m.origins = with(m.origins, s.Name, s.From)
			if s.Secret != nil {
				m.Secrets = with(m.Secrets, s.Name, *s.Secret)
			} else {
				m.Settings = with(m.Settings, s.Name, s.Value)
			}
		}
		for i, d := range m.Data {
			m.Data[i].Size = cmp.Or(over.Data[d.Name], d.Size)
		}
		if over.Rebuild != nil {
			m.Rebuild = *over.Rebuild
		}
		if recipe := def.Recipes[kind.Image]; recipe != nil {
			m.ImageKey = recipe.Key()
			m.RestartOn = restarts(recipe.RestartOn)
		}
		m.Publish = publish(kind.Allow, tier.Publish[m.Name])
		if kind.Health != nil {
			h := *kind.Health
			m.Health = &h
		}
		all = append(all, m)
	}
	return all
}

// restarts turns a recipe's "on what is this unit restarted" round: which units are restarted when this changes.
func restarts(on map[string][]string) map[string][]string {
	var units map[string][]string
	for _, unit := range slices.Sorted(maps.Keys(on)) {
		for _, cause := range on[unit] {
			units = with(units, cause, append(units[cause], unit))
		}
	}
	return units
}

// with is m, made where it is nil, with one more entry.
func with[V any](m map[string]V, key string, value V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[key] = value
	return m
}

// publish is every port that may be reached from anywhere, once, by port and protocol.
func publish(rules []Rule, pins map[int]int) []Publish {
	var all []Publish
	for _, r := range rules {
		if r.From != Anywhere {
			continue
		}
		for port := r.PortLow; port <= r.PortHigh; port++ {
			p := Publish{Port: port, Proto: r.Proto, HostPort: pins[port]}
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	slices.SortFunc(all, func(a, b Publish) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), strings.Compare(a.Proto, b.Proto))
	})
	return all
}

// CompareNames orders machine names by kind, then by number: web-2 stands before web-10.
func CompareNames(a, b string) int {
	kindA, numberA := splitName(a)
	kindB, numberB := splitName(b)
	return cmp.Or(strings.Compare(kindA, kindB), cmp.Compare(numberA, numberB), strings.Compare(a, b))
}

// splitName is kind and number of a machine's name; number is 0 where there is none in its plain form.
func splitName(name string) (kind string, number int) {
	at := strings.LastIndexByte(name, '-')
	if at < 0 {
		return name, 0
	}
	number, err := strconv.Atoi(name[at+1:])
	if err != nil || strconv.Itoa(number) != name[at+1:] {
		return name, 0
	}
	return name[:at], number
}

// place is where path stands; a definition made without a file has no places.
func (d *Definition) place(path string) problem.Problem {
	if p, ok := d.places[path]; ok {
		return p
	}
	return problem.Problem{Severity: problem.Error, File: d.File, Path: path}
}
