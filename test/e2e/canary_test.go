// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// sung has secrets from every source, and TLS, whose key is one too.
const sung = `evenkeel: 1
name: shop
id: "a1b2c3"
image: images/web.yaml
tls: true
settings: {TITLE: canary-setting-5d1e}
secrets: {FROM_ENV: {env: SHOP_SECRET}, FROM_FILE: {file: vault/file}, FROM_COMMAND: {command: cat vault/command}, FROM_SOPS: {sops: vault/sops, key: a.b}}
machines:
  web: {count: 2, stateless: true, allow: [{from: anywhere, port: 80}], health: {http: ":80/", within: 20s}}
  db: {secrets: {OF_DB: {env: DB_SECRET}}, data: [{name: pg, size: 16MiB, mount: /var/lib/pg}], health: {exec: "test -s /etc/evenkeel/secrets/OF_DB", within: 5s}}
tiers:
  laptop: {provider: fake, config: {world: WORLD, http: [80], latency: {put_machine: 100ms}}}
`

// canaries are the secrets by their names, with where they may lie.
var canaries = map[string]string{"FROM_ENV": "canary-env-81c4", "FROM_FILE": "canary-file-77aa", "FROM_COMMAND": "canary-command-0b3f", "FROM_SOPS": "canary-sops-6c2d", "OF_DB": "canary-db-e419"}

// songs are the forms in which a secret could be found: itself, encoded, or as a digest that anybody can guess it from.
func songs(secret string) [][]byte {
	sum := sha256.Sum256([]byte(secret))
	return [][]byte{
		[]byte(secret), []byte(hex.EncodeToString([]byte(secret))), []byte(hex.EncodeToString(sum[:])),
		// Of the three places in a group of three bytes that it may begin at, without the characters that its neighbours share.
		[]byte(base64.RawStdEncoding.EncodeToString([]byte(secret))[:12]),
		[]byte(base64.RawStdEncoding.EncodeToString([]byte("x" + secret))[2:14]),
		[]byte(base64.RawStdEncoding.EncodeToString([]byte("xx" + secret))[3:15]),
	}
}

// heard is whether text holds any secret, and which.
func heard(text []byte) (string, bool) {
	for name, secret := range canaries {
		if slices.ContainsFunc(songs(secret), func(s []byte) bool { return bytes.Contains(text, s) }) {
			return name, true
		}
	}
	if bytes.Contains(text, []byte("canary-setting-5d1e")) {
		return "TITLE", true
	}
	return "", false
}

// watchArguments looks at every process's arguments until stop is called, which returns those that held a secret or a setting.
func watchArguments() (stop func() []string) {
	done, found := make(chan struct{}), make(chan []string)
	go func() {
		var all []string
		for {
			files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, f := range files {
				line, _ := os.ReadFile(f) // it may have ended
				if name, ok := heard(line); ok {
					all = append(all, name+" in "+strings.ReplaceAll(string(line), "\x00", " "))
				}
			}
			select {
			case <-done:
				found <- all
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() []string {
		close(done)
		return <-found
	}
}

// own is where a secret or a setting belongs in a machine.
var own = regexp.MustCompile(`/etc/evenkeel/(secrets/(FROM_ENV|FROM_FILE|FROM_COMMAND|FROM_SOPS|OF_DB)|settings\.env)$`)

// ownKey is where a private key belongs: this user's, each machine's, the authority's. The last one signs audits.
var ownKey = regexp.MustCompile(`/state/evenkeel/(ssh/id_ed25519|tls/a1b2c3-shop\.laptop/authority\.pem)$|/etc/(ssh/ssh_host_ed25519_key|evenkeel/tls/key\.pem)$|/audit\.key$`)

// listen greps all files below root but the definition's own and returns how many machines' files hold what they are for.
func listen(t *testing.T, root string, sources ...string) (right int) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || slices.Contains(sources, path) {
			return nil // what vanishes meanwhile holds nothing
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		if bytes.Contains(text, []byte(" PRIVATE KEY-----")) && !ownKey.MatchString(path) {
			t.Errorf("a private key is in %s", path)
		}
		name, ok := heard(text)
		if !ok {
			return nil
		}
		if at := own.FindStringSubmatch(path); at == nil || at[2] != "" && at[2] != name {
			t.Errorf("%s is in %s", name, path)
			return nil
		}
		right++
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return right
}

func TestNoSecretIsLeftAnywhereButInItsMachinesFile(t *testing.T) {
	t.Parallel()
	s := newSite(t, map[string]string{
		"env.yaml": sung, "vault/file": canaries["FROM_FILE"], "vault/command": canaries["FROM_COMMAND"] + "\n",
		"vault/sops": canaries["FROM_SOPS"], "tools/sops": "#!/bin/sh\ntest $# = 4 && cat \"$4\"\n", // in the place of the real one, which need not be here
	})
	root := filepath.Dir(s.dir)
	temp := filepath.Join(root, "tmp")
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(s.dir+"/vault/file", 0o600), os.Chmod(s.dir+"/tools/sops", 0o755)); err != nil {
		t.Fatal(err)
	}
	s.env = []string{"SHOP_SECRET=" + canaries["FROM_ENV"], "DB_SECRET=" + canaries["OF_DB"], "TMPDIR=" + temp, "PATH=" + s.dir + "/tools:" + bin + ":/usr/sbin:/usr/bin:/sbin:/bin"}
	sources := []string{s.dir + "/env.yaml", s.dir + "/vault/file", s.dir + "/vault/command", s.dir + "/vault/sops"}
	stop := watchArguments()
	run := func(status int, args ...string) {
		t.Helper()
		p := s.run(status, args...)
		for _, text := range []string{p.stdout.String(), p.stderr.String()} {
			if name, ok := heard([]byte(text)); ok && (name != "TITLE" || !slices.Contains(args, "--settings") && args[0] != "plan") {
				t.Errorf("evenkeel %s prints %s:\n%s", strings.Join(args, " "), name, text)
			}
		}
	}
	run(0, "trust", "--yes")
	run(0, "up", "-v")
	if got := listen(t, root, sources...); got != 3*5+1 {
		t.Errorf("%d files of machines hold a setting or a secret, want 16", got)
	}
	for _, args := range [][]string{
		{"up", "-v", "--json"}, {"status", "--check", "--json", "-v"}, {"status", "--settings"}, {"status", "--settings", "--json"},
		{"ssh", "web-1", "--", "true"}, {"ssh-config"}, {"access", "--json"}, {"gc", "--dry-run"}, {"stop", "-v"}, {"start", "-v"},
		{"suspend", "-v"}, {"resume", "-v"}, {"snapshot", "save", "-v"}, {"snapshot", "list", "--json"}, {"validate", "--json"}, {"plan", "--json"}, {"logs", "--json"}, {"down", "web-2", "-v"}, {"up", "-v"},
		{"rebuild", "web", "-v"}, {"rebuild", "db", "--allow-downtime", "-v"},
	} {
		run(0, args...)
	}
	// A fake machine has no package manager, so not all of it can be read.
	run(3, "audit", "--offline", "-v", "--out", root+"/audit", "--snapshots", "--sign", auditKeyIn(t, root))
	run(3, "audit", "--offline", "--json")
	run(3, "facts", "-o", root+"/facts.json", "-v")
	if got := listen(t, root, sources...); got != 16 {
		t.Errorf("%d files of machines hold a setting or a secret, want 16: an audit wrote one", got)
	}
	run(0, "run", "-v", "--artifacts", root+"/run", "--", "true")
	run(125, "run", "-v", "--artifacts", root+"/failed", "--within", "1ns", "--", "true")
	for _, kept := range []string{"run/junit.xml", "run/web-1/console.txt", "failed/junit.xml"} {
		if _, err := os.Stat(filepath.Join(root, kept)); err != nil {
			t.Error(err)
		}
	}
	if got := listen(t, root, sources...); got != 16 {
		t.Errorf("%d files hold a setting or a secret, want 16: a run's artifact does", got)
	}
	s.env[1] = "DB_SECRET="
	run(1, "up", "-v")
	s.env[1] = "DB_SECRET=" + canaries["OF_DB"]
	if got := listen(t, root, sources...); got != 16 {
		t.Errorf("%d files of machines hold a setting or a secret, want 16", got)
	}
	run(0, "down", "--data", "-v")
	if got := listen(t, root, sources...); got != 0 {
		t.Errorf("%d files hold one after down", got)
	}
	for _, line := range stop() {
		t.Errorf("an argument list held %s", line)
	}
	s.wantEmpty()
}
