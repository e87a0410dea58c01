// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"path"
	"path/filepath"
	"strings"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

const maxSecrets = 128 // of one map

const secretHint = "say where it comes from: {env: NAME}, {file: PATH}, {command: LINE} or {sops: FILE, key: NAME}"

// secrets is a map of names to sources.
func (l *loader) secrets(n *strictyaml.Node) map[string]Secret {
	var m map[string]Secret
	entries := n.Entries()
	if len(entries) > maxSecrets {
		n.Errorf("got %d secrets; allowed are %d", len(entries), maxSecrets)
		return nil
	}
	for _, e := range entries {
		l.settingName(e, "secret")
		m = with(m, e.Key, l.secret(e))
	}
	return m
}

func (l *loader) secret(e strictyaml.Entry) Secret {
	if e.Value.Is() == "scalar" {
		// What stands there may be the secret itself, so its line is not shown.
		p := e.At.Errorf("a secret's value does not stand in a definition, which is shared")
		p.Source, p.Hint = "", secretHint
		return Secret{}
	}
	f := e.Value.Fields(secretKeys)
	if f == nil {
		return Secret{}
	}
	asked := 0
	for _, key := range []string{"env", "command", "file", "sops"} {
		if f.Get(key) != nil {
			asked++
		}
	}
	if asked != 1 {
		e.Value.Errorf("got %d of env, command, file and sops; wanted is one", asked).Hint = secretHint
	}
	s := Secret{
		Env: variable(f.Get("env")), Command: f.Get("command").Line(),
		File: l.secretFile(f.Get("file")), SOPS: l.secretFile(f.Get("sops")), Key: sopsKey(f.Get("key")),
	}
	if f.Get("key") != nil && f.Get("sops") == nil {
		f.At("key").Errorf("key is for sops only: it chooses a value of the file that sops decrypts")
	}
	return s
}

func variable(n *strictyaml.Node) string {
	name := n.Line()
	if name != "" && (!settingForm.MatchString(name) || len(name) > maxSettingName) {
		p := n.Errorf("got %q; the name of an environment variable has letters, digits and _ and does not begin with a digit", clip(name))
		if bare := strings.Trim(name, "${}"); settingForm.MatchString(bare) {
			p.Hint = "write " + bare
		}
		return ""
	}
	return name
}

// secretFile is the path of a file that is read when secrets are, not now: inside the project, or the user's own.
func (l *loader) secretFile(n *strictyaml.Node) string {
	name := n.Line()
	inHome, home := strings.CutPrefix(name, "~/")
	switch {
	case name == "":
		return ""
	case home && filepath.IsLocal(inHome) && path.Clean(inHome) == inHome:
		return name
	case filepath.IsAbs(name) && path.Clean(name) == name && name != "/":
		return name
	case strings.HasPrefix(name, "~") || filepath.IsAbs(name) || !filepath.IsLocal(name) || path.Clean(name) != name:
		n.Errorf("got %q; wanted is a file inside the project, named relative to env.yaml, or one of the user's own, which begins with ~/ or /, without any .. in it", clip(name))
		return ""
	}
	return filepath.Join(l.def.Dir, name)
}

var sopsKeyForm = lazyregexp.New(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

func sopsKey(n *strictyaml.Node) string {
	key := n.Line()
	if key != "" && (!sopsKeyForm.MatchString(key) || len(key) > maxSettingName) {
		n.Errorf("got %q; wanted is a key of the decrypted file, with dots between levels, such as db.password", clip(key))
		return ""
	}
	return key
}
