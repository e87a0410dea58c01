// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

func (a *App) accessVerb() verb {
	return verb{
		name: "access", about: "show who can log in where",
		more: "It reads the definition and contacts no machine: `evenkeel up` lays the keys, and takes away those that are no longer there; " +
			"`evenkeel status --check` says whether that was done. On local tiers your own keys are laid too.",
		run: runAccess,
	}
}

// accessReport is what `access --json` prints. docs/json.md describes it.
type accessReport struct {
	Env      string              `json:"env"`
	Logins   []string            `json:"logins"`
	Machines map[string][]string `json:"machines"` // by kind
	Keys     []accessKey         `json:"keys"`
	Made     bool                `json:"made"` // `up` makes one more key, for the user: there is none yet
}

// accessKey is one key that lets in: everywhere in the environment, as each of its logins.
type accessKey struct {
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
	Comment     string `json:"comment,omitempty"`
	From        string `json:"from,omitempty"` // file of the project; "" for the user's own
	CA          bool   `json:"ca"`             // it lets in who has a certificate signed by it, in the login's name
	Own         bool   `json:"own"`
}

func runAccess(ctx context.Context, c *call) error {
	if err := c.noArgs(); err != nil {
		return err
	}
	_, plan, err := c.plan(false)
	if err != nil {
		return err
	}
	if envs.ReadOnly(plan.Provider) {
		return providers.ReadOnlyError(plan.Provider, "say who can log in to", "environment "+plan.Env)
	}
	r := accessReport{Env: plan.Env, Logins: []string{providers.LoginUser}, Machines: map[string][]string{}, Keys: []accessKey{}}
	if !slices.Contains(r.Logins, plan.Access.User) {
		r.Logins = append(r.Logins, plan.Access.User)
	}
	for _, m := range plan.Machines {
		r.Machines[m.Kind] = append(r.Machines[m.Kind], m.Name)
	}
	for _, line := range plan.Access.Keys {
		r.Keys = append(r.Keys, keyOf(line, plan.Access.Files[line]))
	}
	own, made, err := c.ownKeys(ctx, plan)
	if err != nil {
		return err
	}
	r.Made = made
	for _, line := range own {
		k := keyOf(line, "")
		k.Own = true
		if !slices.ContainsFunc(r.Keys, func(o accessKey) bool { return o.Fingerprint == k.Fingerprint }) {
			r.Keys = append(r.Keys, k)
		}
	}
	for _, line := range plan.Access.UserCA {
		k := keyOf(line, plan.Access.Files[line])
		k.CA = true
		r.Keys = append(r.Keys, k)
	}
	if c.json() {
		return c.printJSON(r)
	}
	return c.printAccess(r)
}

// ownKeys are those that `up` would lay for this user, on local tiers only, and whether it would make one more: this makes none.
func (c *call) ownKeys(ctx context.Context, plan *envs.Plan) (lines []string, made bool, err error) {
	launched, err := plugin.Launch(ctx, plan.Provider, nil, c.log())
	if err != nil {
		return nil, false, err
	}
	local := launched.Traits.Local
	if err := launched.Close(); err != nil || !local {
		return nil, false, err
	}
	file, generated, err := c.keyFiles()
	if err != nil {
		return nil, false, err
	}
	if _, err := os.Stat(generated); errors.Is(err, fs.ErrNotExist) {
		generated, made = "", true
	}
	id, err := ssh.LoadIdentity(file, generated)
	if err != nil {
		return nil, false, err
	}
	return id.PublicKeys(), made, nil
}

// keyOf describes an authorized_keys line.
func keyOf(line, from string) accessKey {
	k := accessKey{From: from}
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return k
	}
	k.Type, k.Comment = fields[0], strings.Join(fields[2:], " ")
	if blob, err := base64.StdEncoding.DecodeString(fields[1]); err == nil {
		sum := sha256.Sum256(blob)
		k.Fingerprint = "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]) // as ssh-keygen -l
	}
	return k
}

func (c *call) printAccess(r accessReport) error {
	var kinds []string
	for _, kind := range sorted(r.Machines) {
		if names := r.Machines[kind]; len(names) == 1 {
			kinds = append(kinds, names[0])
		} else {
			kinds = append(kinds, fmt.Sprintf("%s to %s", names[0], names[len(names)-1]))
		}
	}
	if err := c.printf("%s: whoever has one of these keys logs in as %s on %s\n", r.Env, strings.Join(r.Logins, " or "), listed(kinds)); err != nil {
		return err
	}
	if r.Made {
		if err := c.printf("`evenkeel up` makes a key for you and lets it in, too\n"); err != nil {
			return err
		}
	}
	if len(r.Keys) == 0 && r.Made {
		return nil
	}
	if len(r.Keys) == 0 {
		return c.printf("there is none; name files of public keys: access: {keys: [keys/*.pub]}\n")
	}
	t := newTable("WHO", "TYPE", "FINGERPRINT", "FROM")
	for _, k := range r.Keys {
		from, kind := k.From, strings.TrimSuffix(strings.TrimPrefix(k.Type, "ssh-"), "@openssh.com")
		if k.Own {
			from = "you"
		}
		if k.CA {
			kind += ", signs certificates"
		}
		t.add(k.Comment, kind, k.Fingerprint, from)
	}
	return t.print(c.Stdout)
}
