// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
)

// What the core lays on db-1. Each value has what a shell, a line or a C string would take for something else.
const (
	greeting = "a \"b\" 'c' $HOME `id` \\ ü # =;"
	token    = "s3cr\x00et $x\n'\n"
)

// keys are two ways to log in beside the suite's own identity: a key, and a certificate of an authority.
type keys struct {
	jo, joined *ssh.Identity
	ca         string
}

func newKeys(t *testing.T) keys {
	t.Helper()
	ca, err := sshtest.NewUserCA()
	if err != nil {
		t.Fatal(err)
	}
	private, public, err := ssh.GenerateKey("joined")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(public, []string{providers.LoginUser}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "joined")
	if err := errors.Join(os.WriteFile(file, private, 0o600), os.WriteFile(file+"-cert.pub", cert, 0o600)); err != nil {
		t.Fatal(err)
	}
	k := keys{ca: ca.PublicKey()}
	if k.joined, err = ssh.LoadIdentity(file, ""); err != nil {
		t.Fatal(err)
	}
	if k.jo, err = ssh.LoadIdentity("", filepath.Join(dir, "jo")); err != nil {
		t.Fatal(err)
	}
	return k
}

// core is the core's view of the environment, whose definition has db-1 alone: with its larger data disk, and with what is laid on it.
func (p *pair) core(k keys) *providers.Core {
	return &providers.Core{
		Plan: &envs.Plan{
			Env: p.env, Project: p.dbSpec.Labels[providers.LabelProject],
			Access: envs.Access{Keys: append(slices.Clone(k.jo.PublicKeys()), p.identity.PublicKeys()...), UserCA: []string{k.ca}},
			Machines: []envs.Machine{{
				Name: "db-1", Kind: "db", Image: p.h.Image.Recipe, ImageKey: p.h.Image.Key, CPUs: p.dbSpec.CPUs, Memory: p.dbSpec.Memory, Disk: p.dbSpec.Disk,
				Data:     []envs.Data{{Name: "pg", Size: pgGrown, Mount: pgMount}},
				Allow:    []envs.Rule{{From: p.web.Address + "/32", PortLow: openPort, PortHigh: openPort, Proto: "tcp"}},
				Settings: map[string]string{"GREETING": greeting, "SHOP_PORT": "5432"},
				Secrets:  map[string]envs.Secret{"TOKEN": {Env: "TOKEN"}, "OLD": {Env: "OLD"}},
			}},
		},
		Plugin: p.h.Plugin, Provider: p.p, Identity: p.identity, Owner: "suite@conformance", Deadline: p.h.BootDeadline,
		Image:   func(context.Context, string, providers.Progress) (images.Image, error) { return p.h.Image, nil },
		Secrets: envs.Values{"db-1": {"TOKEN": envs.NewValue([]byte(token)), "OLD": envs.NewValue([]byte("old"))}},
	}
}

// up runs the core and wants the action for db-1.
func (p *pair) up(t *testing.T, c *providers.Core, want providers.Action) {
	t.Helper()
	result, err := c.Up(t.Context(), providers.UpOptions{})
	if err != nil {
		t.Fatalf("Up: %v", err)
	}
	i := slices.IndexFunc(result.Changes, func(ch providers.Change) bool { return ch.Machine == "db-1" })
	if i < 0 || result.Changes[i].Action != want {
		t.Errorf("got changes %+v, want %s of db-1", result.Changes, want)
	}
	p.db = p.list(t, p.p, p.env)[0]
}

// laid makes db-1 anew with the core: its disk has what was written before the rebuild, and on it lies what the definition says.
func laid(t *testing.T, p *pair) {
	p.keys = newKeys(t)
	p.up(t, p.core(p.keys), providers.Create)
	p.dbShell = p.shell(t, p.db)
	if !p.dbShell.Finished() {
		t.Error("the core left the machine its bootstrap certificate")
	}
	p.wantLaid(t)
	p.wantLogin(t, "a key of the definition", p.keys.jo, nil)
	p.wantLogin(t, "a certificate of an authority of the definition", p.keys.joined, nil)
}

func (p *pair) wantLaid(t *testing.T) {
	t.Helper()
	for line, want := range map[string]string{
		`. ` + providers.PathSettings + ` && printf "%s|%s" "$GREETING" "$SHOP_PORT"`:        greeting + "|5432",
		`base64 -w0 ` + providers.PathSecrets + `TOKEN`:                                      base64.StdEncoding.EncodeToString([]byte(token)),
		`cat ` + providers.PathSecrets + `OLD`:                                               "old",
		`stat -c "%a %U" ` + providers.PathSettings + ` ` + providers.PathSecrets + `TOKEN`:  "600 root\n600 root",
		`stat -c "%a %U" ` + providers.PathSecrets + ` && ls -A ` + providers.PathSecrets:    "700 root\nOLD\nTOKEN",
		`getent hosts db | while read -r address _; do echo "$address"; done`:                p.db.Address,
		`cat ` + pgMount + `/link && stat -c %a ` + pgMount + `/base ` + pgMount + `/base/1`: "row\n700\n600",
	} {
		if got := command(t, p.dbShell, "sudo -n sh -c "+ssh.Quote(line)); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	serve(t, p.dbShell, "db-1", openPort, closedPort)
	if got, err := fetchFrom(t, p.webShell, p.db.Address, openPort); err != nil || got != "db-1" {
		t.Errorf("web-1 gets %q, %v from the port that is allowed, want db-1's name", got, err)
	}
	if got, err := fetchFrom(t, p.webShell, p.db.Address, closedPort); err == nil {
		t.Errorf("web-1 gets %q from a port that is not allowed", got)
	}
}

// wantLogin dials db-1 as somebody.
func (p *pair) wantLogin(t *testing.T, what string, who *ssh.Identity, want error) {
	t.Helper()
	target := p.target(p.db)
	target.Identity, target.Bootstrap = who, false
	client, err := ssh.Dial(t.Context(), target)
	if err == nil {
		_ = client.Close()
	}
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// laidStays restarts db-1 without the core.
func laidStays(t *testing.T, p *pair) {
	starter, ok := providers.As[providers.Starter](p.p)
	if !ok {
		return
	}
	if err := starter.StopMachine(t.Context(), p.db.ID); err != nil {
		t.Fatal(err)
	}
	m, err := starter.StartMachine(t.Context(), p.db.ID)
	if err != nil {
		t.Fatal(err)
	}
	p.db = m
	p.dbShell = p.shell(t, m)
	p.wantLaid(t)
}

// laidGoes takes out of the definition what was in it.
func laidGoes(t *testing.T, p *pair) {
	same := p.core(p.keys)
	p.up(t, same, providers.Same)
	less := p.core(p.keys)
	db := &less.Plan.Machines[0]
	db.Settings, db.Secrets = map[string]string{"GREETING": "bye"}, map[string]envs.Secret{"TOKEN": {Env: "TOKEN"}}
	less.Secrets = envs.Values{"db-1": {"TOKEN": envs.NewValue([]byte("new"))}}
	less.Plan.Access = envs.Access{Keys: p.identity.PublicKeys()}
	p.up(t, less, providers.Settle)
	line := `cat ` + providers.PathSettings + ` && for f in ` + providers.PathSecrets + `*; do echo "$f $(cat "$f")"; done`
	if got, want := command(t, p.dbShell, "sudo -n sh -c "+ssh.Quote(line)), "GREETING=\"bye\"\n"+providers.PathSecrets+"TOKEN new"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p.wantLogin(t, "a key that is no longer in the definition", p.keys.jo, ssh.ErrAuth)
	p.wantLogin(t, "a certificate of an authority that is no longer in it", p.keys.joined, ssh.ErrAuth)
	if text := command(t, p.dbShell, "sudo -n cat "+providers.PathAuthorizedKeys+providers.LoginUser); strings.Contains(text, p.keys.ca) {
		t.Errorf("got authorized keys %q, want no authority in them", text)
	}
}
