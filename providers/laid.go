// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/envs"
)

// Laid are the files that Settle would lay today, machine -> path -> SHA-256 of the content in hex: of every planned machine that is there. It reads the place's
// list, and no machine. Left out is what cannot be said so: /etc/hosts, of which only a block is laid (/etc/evenkeel/hosts is that block); certificates, of which a machine keeps its own; and
// secrets, since a plain digest of a short one gives it away.
func (c *Core) Laid(ctx context.Context) (map[string]map[string]string, error) {
	if c.Plugin.Traits.ReadOnly {
		return nil, nil // nothing is laid there
	}
	have, err := c.found(ctx)
	if err != nil {
		return nil, err
	}
	all := have.all()
	laid := map[string]map[string]string{}
	for _, m := range c.Plan.Machines {
		there, ok := have.now[m.Name]
		if !ok {
			continue
		}
		files := map[string]string{}
		want := c.newSettlement(seat{m, there.inRole()}, all, nil)
		for _, part := range []string{partNames, partRules, partSettings, partKeys, partData} {
			for _, f := range want.parts[part] {
				if at := laidAt(f.name); at != "" {
					sum := sha256.Sum256(f.content)
					files[at] = hex.EncodeToString(sum[:])
				}
			}
		}
		laid[m.Name] = files
	}
	return laid, nil
}

// Logins are the lines of authorized_keys that each login of a plan's machines has, where keys are those of plain keys: the plan's, and on local tiers the client's own.
func Logins(plan *envs.Plan, keys []string) map[string][]string {
	lines := map[string][]string{}
	for _, user := range loginUsers(plan) {
		lines[user] = append(slices.Clone(keys), certificateAuthorities(plan.Access.UserCA, user)...)
	}
	return lines
}

// Logins are those of the environment's machines.
func (c *Core) Logins() map[string][]string { return Logins(c.Plan, c.loginKeys()) }

// laidAt is where settle.sh puts a file of its payload, "" for one of which it makes something else.
func laidAt(name string) string {
	const dir = "/etc/evenkeel/"
	user, isKeys := strings.CutPrefix(name, "keys/")
	switch {
	case isKeys:
		return PathAuthorizedKeys + user
	case name == "rules.nft":
		return dir + "nft/" + name
	case name == "data":
		return PathData
	case name == "hosts", name == "settings.env", name == "external", name == "external.sh":
		return path.Join(dir, name)
	}
	return ""
}
