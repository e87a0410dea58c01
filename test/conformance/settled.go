// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
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

// appMount is where the project's code is on db-1.
const appMount = "/srv/app"

// user is what the core works with: folders, and two ways to log in beside the suite's own identity, a key and a certificate of an authority.
type user struct {
	jo, joined *ssh.Identity
	ca         string
	code       string // the project's folder
	state      string
}

func newUser(t *testing.T, dir string) user {
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
	file := filepath.Join(dir, "joined")
	if err := errors.Join(os.WriteFile(file, private, 0o600), os.WriteFile(file+"-cert.pub", cert, 0o600)); err != nil {
		t.Fatal(err)
	}
	k := user{ca: ca.PublicKey(), code: filepath.Join(dir, "code"), state: filepath.Join(dir, "state")}
	project(t, k.code)
	if k.joined, err = ssh.LoadIdentity(file, ""); err != nil {
		t.Fatal(err)
	}
	if k.jo, err = ssh.LoadIdentity("", filepath.Join(dir, "jo")); err != nil {
		t.Fatal(err)
	}
	return k
}

// project is a folder with one file, under git: a place that is not local gets a commit of it.
func project(t *testing.T, dir string) {
	t.Helper()
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "hello"), []byte("of the project\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, words := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "one"}} {
		git := exec.Command("git", append([]string{"-C", dir}, words...)...)
		git.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null")
		if out, err := git.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", words, err, out)
		}
	}
}

// core is the core's view of the environment, whose definition has db-1 with its larger data disk and what is laid on it. To it, web-1 is one that
// somebody else runs: external.
func (p *pair) core(k user) *providers.Core {
	return &providers.Core{
		Plan: &envs.Plan{
			Env: p.env, Project: p.dbSpec.Labels[providers.LabelProject], TLS: true,
			// One by its address, one by a name that only the machine can resolve.
			External: map[string]string{"web": net.JoinHostPort(p.web.Address, strconv.Itoa(openPort)), "mail": "db-1." + p.env + ":25"},
			Access:   envs.Access{Keys: append(slices.Clone(k.jo.PublicKeys()), p.identity.PublicKeys()...), UserCA: []string{k.ca}},
			Machines: []envs.Machine{{
				Name: "db-1", Kind: "db", Image: p.h.Image.Recipe, ImageKey: p.h.Image.Key, CPUs: p.dbSpec.CPUs, Memory: p.dbSpec.Memory, Disk: p.dbSpec.Disk,
				Data:     []envs.Data{{Name: "pg", Size: pgGrown, Mount: pgMount}},
				Code:     []envs.Code{{From: k.code, To: appMount}},
				Allow:    []envs.Rule{{From: "web", PortLow: openPort, PortHigh: openPort, Proto: "tcp"}},
				Settings: map[string]string{"GREETING": greeting, "SHOP_PORT": "5432"},
				Secrets:  map[string]envs.Secret{"TOKEN": {Env: "TOKEN"}, "OLD": {Env: "OLD"}},
			}},
		},
		Plugin: p.h.Plugin, Provider: p.p, Identity: p.identity, Owner: "suite@conformance", Deadline: p.h.BootDeadline,
		TLSDir: filepath.Join(k.state, "tls"), CodeDir: filepath.Join(k.state, "code"),
		Image:   func(context.Context, string, providers.Progress) (images.Image, error) { return p.h.Image, nil },
		Secrets: envs.Values{"db-1": {"TOKEN": envs.NewValue([]byte(token)), "OLD": envs.NewValue([]byte("old"))}},
	}
}

// up runs the core and wants the action for db-1. It returns why.
func (p *pair) up(t *testing.T, c *providers.Core, want providers.Action) (reasons []string) {
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
	if i >= 0 {
		reasons = result.Changes[i].Reasons
	}
	return reasons
}

// laid makes db-1 anew with the core: its disk has what was written before the rebuild, and on it lies what the definition says.
func laid(t *testing.T, p *pair) {
	p.user = newUser(t, p.whole.TempDir())
	p.up(t, p.core(p.user), providers.Create)
	p.dbShell = p.shell(t, p.db)
	if !p.dbShell.Finished() {
		t.Error("the core left the machine its bootstrap certificate")
	}
	p.wantLaid(t)
	p.wantLogin(t, "a key of the definition", p.user.jo, nil)
	p.wantLogin(t, "a certificate of an authority of the definition", p.user.joined, nil)
}

// wantTLS wants db-1's certificate to be of the authority it trusts, made out to all its names, and its key to be its own alone.
func (p *pair) wantTLS(t *testing.T) {
	t.Helper()
	read := func(name string) []byte {
		return []byte(command(t, p.dbShell, "sudo -n cat "+providers.PathTLS+name))
	}
	pair, err := tls.X509KeyPair(read("cert.pem"), read("key.pem"))
	if err != nil {
		t.Errorf("certificate and key: %v", err)
		return
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(read("ca.pem")) {
		t.Error("no authority is there")
	}
	for _, name := range []string{"db-1", "db", p.db.HostName(), p.db.Address, "localhost"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("as %s: %v", name, err)
		}
	}
}

func (p *pair) wantLaid(t *testing.T) {
	t.Helper()
	for line, want := range map[string]string{
		`. ` + providers.PathSettings + ` && printf "%s|%s" "$GREETING" "$SHOP_PORT"`:       greeting + "|5432",
		`base64 -w0 ` + providers.PathSecrets + `TOKEN`:                                     base64.StdEncoding.EncodeToString([]byte(token)),
		`cat ` + providers.PathSecrets + `OLD`:                                              "old",
		`stat -c "%a %U" ` + providers.PathSettings + ` ` + providers.PathSecrets + `TOKEN`: "600 root\n600 root",
		`stat -c "%a %U" ` + providers.PathTLS + `key.pem`:                                  "600 root",
		`cat ` + appMount + `/hello`:                                                        "of the project",
		`stat -c "%a %U" ` + providers.PathSecrets + ` && ls -A ` + providers.PathSecrets:   "700 root\nOLD\nTOKEN",
		`getent hosts db | while read -r address _; do echo "$address"; done`:               p.db.Address,
		`getent hosts web | while read -r address _; do echo "$address"; done`:              p.web.Address,
		// Found by a unit of its own, which after a start may still be at it.
		`for i in $(seq 90); do getent hosts mail >/dev/null && break; sleep 1; done; getent hosts mail | while read -r address _; do echo "$address"; done`: p.db.Address,
		`cat ` + pgMount + `/link && stat -c %a ` + pgMount + `/base ` + pgMount + `/base/1`:                                                                 "row\n700\n600",
	} {
		if got := command(t, p.dbShell, "sudo -n sh -c "+ssh.Quote(line)); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	p.wantTLS(t)
	p.wantEnd(t)
	serve(t, p.dbShell, "db-1", openPort, closedPort)
	if got, err := fetchFrom(t, p.webShell, p.db.Address, openPort); err != nil || got != "db-1" {
		t.Errorf("web-1 gets %q, %v from the port that is allowed, want db-1's name", got, err)
	}
	if got, err := fetchFrom(t, p.webShell, p.db.Address, closedPort); err == nil {
		t.Errorf("web-1 gets %q from a port that is not allowed", got)
	}
}

// wantEnd wants db-1 to switch itself off when its labels say that it expires: with the environment that it was made in.
func (p *pair) wantEnd(t *testing.T) {
	t.Helper()
	at := p.db.Labels.Time(providers.LabelExpires)
	if want := p.webSpec.Labels.Time(providers.LabelExpires); !at.Equal(want) {
		t.Errorf("db-1 expires %v, want it to with its environment, %v", at, want)
	}
	const timer = "evenkeel-expires.timer"
	if got := command(t, p.dbShell, "cat /etc/systemd/system/"+timer); !strings.Contains(got, "\nOnCalendar="+at.Format("2006-01-02 15:04:05 UTC")+"\n") {
		t.Errorf("got the timer\n%s\nwant it at %v", got, at)
	}
	if got, err := try(t, p.dbShell, "systemctl is-active "+timer); got != "active" {
		t.Errorf("the timer is %q, %v; want it to wait", got, err)
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

// codeComesBack changes the project's code on db-1, where it is kept alike with the user's.
func (p *pair) codeComesBack(t *testing.T) {
	if !p.h.Plugin.Traits.Local {
		return
	}
	command(t, p.dbShell, "cd "+appMount+" && echo of the machine >there && rm hello")
	p.up(t, p.core(p.user), providers.Settle)
	if got, err := os.ReadFile(filepath.Join(p.user.code, "there")); string(got) != "of the machine\n" {
		t.Errorf("what the machine wrote comes to %q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(p.user.code, "hello")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what the machine deleted is still there: %v", err)
	}
}

// laidGoes takes out of the definition what was in it. A service that reads the settings is restarted, one that does not is left alone.
func laidGoes(t *testing.T, p *pair) {
	p.up(t, p.core(p.user), providers.Same)
	p.codeComesBack(t)
	less := p.core(p.user)
	less.Plan.TLS = false
	delete(less.Plan.External, "mail")
	db := &less.Plan.Machines[0]
	db.RestartOn = map[string][]string{"settings": {"ssh"}, "data": {"nftables"}}
	db.Settings, db.Secrets = map[string]string{"GREETING": "bye"}, map[string]envs.Secret{"TOKEN": {Env: "TOKEN"}}
	less.Secrets = envs.Values{"db-1": {"TOKEN": envs.NewValue([]byte("new"))}}
	less.Plan.Access = envs.Access{Keys: p.identity.PublicKeys()}
	if said := strings.Join(p.up(t, less, providers.Settle), "; "); !strings.Contains(said, "restarted ssh") || strings.Contains(said, "nftables") {
		t.Errorf("got %q, want ssh restarted, and that alone", said)
	}
	if got := command(t, p.dbShell, "grep mail /etc/hosts || true"); got != "" {
		t.Errorf("got %q for a name that stands for nothing any more", got)
	}
	line := `cat ` + providers.PathSettings + ` && for f in ` + providers.PathSecrets + `*; do echo "$f $(cat "$f")"; done`
	if got, want := command(t, p.dbShell, "sudo -n sh -c "+ssh.Quote(line)), "GREETING=\"bye\"\n"+providers.PathSecrets+"TOKEN new"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := command(t, p.dbShell, "sudo -n sh -c 'ls -A "+providers.PathTLS+" 2>/dev/null; true'"); got != "" {
		t.Errorf("got %q, want certificate and key gone", got)
	}
	p.wantLogin(t, "a key that is no longer in the definition", p.user.jo, ssh.ErrAuth)
	p.wantLogin(t, "a certificate of an authority that is no longer in it", p.user.joined, ssh.ErrAuth)
	if text := command(t, p.dbShell, "sudo -n cat "+providers.PathAuthorizedKeys+providers.LoginUser); strings.Contains(text, p.user.ca) {
		t.Errorf("got authorized keys %q, want no authority in them", text)
	}
}
