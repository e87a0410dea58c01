// SPDX-License-Identifier: Apache-2.0

package ssh_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
	"github.com/evenkeel/evenkeel/test/conformance"
)

// newKey is a host key and its public half without comment.
func newKey(t *testing.T) (sshtest.HostKey, string) {
	t.Helper()
	private, public, err := ssh.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	return sshtest.HostKey{Private: private}, strings.TrimSpace(string(public))
}

func serving(keys ...sshtest.HostKey) func(*rig) {
	return func(r *rig) { r.cfg.HostKeys = func() ([]sshtest.HostKey, error) { return keys, nil } }
}

func TestHostThatWeDidNotMakeIsBelievedByWhatIsKnownOfItAlone(t *testing.T) {
	ca, err := ssh.NewHostCA()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ssh.NewHostCA()
	if err != nil {
		t.Fatal(err)
	}
	signed := func(ca *ssh.HostCA, life time.Duration, principals ...string) (sshtest.HostKey, string) {
		key, public := newKey(t)
		if key.Certificate, err = ca.Sign([]byte(public), principals, life); err != nil {
			t.Fatal(err)
		}
		return key, public
	}
	plain, known := newKey(t)
	_, other := newKey(t)
	_, revoked := newKey(t)
	long, longKey := signed(ca, 0, "web-1.example")
	short, _ := signed(ca, time.Hour, "WEB-1.example", "web-2.example")
	starred, _ := signed(ca, time.Hour, "*.example")
	elsewhere, _ := signed(ca, 0, "db-1.example")
	expired, _ := signed(ca, time.Nanosecond, "web-1.example")
	strange, strangeKey := signed(stranger, 0, "web-1.example")
	only := func(line string) []string { return []string{line} }
	for _, c := range []struct {
		what                       string
		has                        sshtest.HostKey
		keys, authorities, revoked []string
		want                       string // "" it is believed, else of the error
	}{
		{"its known key", plain, []string{other, known}, nil, nil, ""},
		{"a changed key", plain, only(other), nil, nil, "which is none of the 1 expected"},
		{"a revoked key", plain, only(known), nil, only(known), "is revoked"},
		{"another key is revoked", plain, only(known), nil, only(revoked), ""},
		{"a certificate for good", long, nil, only(ca.PublicKey()), nil, ""},
		{"a certificate within its time, by another case", short, nil, only(ca.PublicKey()), nil, ""},
		{"a certificate for a pattern", starred, nil, only(ca.PublicKey()), nil, ""},
		{"a certificate for another host", elsewhere, nil, only(ca.PublicKey()), nil, `for ["db-1.example"], not for "web-1.example"`},
		{"an expired certificate", expired, nil, only(ca.PublicKey()), nil, "expired"},
		{"a stranger's certificate", strange, nil, only(ca.PublicKey()), nil, "which is none of the 1 authorities expected"},
		{"a stranger's certificate over a known key", strange, only(strangeKey), only(ca.PublicKey()), nil, ""},
		{"a revoked authority", long, nil, only(ca.PublicKey()), only(ca.PublicKey()), "which is revoked"},
		{"a certificate over a revoked key", long, nil, only(ca.PublicKey()), only(longKey), "is revoked"},
		{"a known key beside a certificate that nobody asked for", long, only(longKey), nil, nil, ""},
		{"no certificate where only an authority is known", plain, nil, only(ca.PublicKey()), nil, "offers the plain key"},
		{"nothing is known", plain, nil, nil, nil, "nothing says which host key"},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := newRig(t, serving(c.has))
			client, err := ssh.Dial(t.Context(), ssh.Target{
				Address: r.server.Addr(), User: "jo", Principal: "web-1.example", HostKeys: c.keys, Authorities: c.authorities, Revoked: c.revoked, Identity: r.identity,
			})
			if err == nil {
				if client.Finished() {
					t.Error("it passes for a machine of ours")
				}
				_ = client.Close()
			}
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got %v, want a connection", err)
			case c.want != "" && (!errors.Is(err, ssh.ErrUntrusted) || !strings.Contains(err.Error(), c.want) || ssh.HostOf(err) != r.server.Addr()):
				t.Errorf("got %v about %q, want ErrUntrusted with %q", err, ssh.HostOf(err), c.want)
			}
		})
	}
}

// A jump host is believed by its own key, and an error says whose it was.
func TestJumpHostIsVerifiedToo(t *testing.T) {
	hopKey, hopPublic := newKey(t)
	key, public := newKey(t)
	hop, inner := newRig(t, serving(hopKey)), newRig(t, serving(key))
	target := func(hopKnown, known string) ssh.Target {
		return ssh.Target{
			Address: inner.server.Addr(), User: "jo", HostKeys: []string{known}, Identity: inner.identity,
			Via: &ssh.Target{Address: hop.server.Addr(), User: "jo", HostKeys: []string{hopKnown}, Identity: hop.identity},
		}
	}
	client, err := ssh.Dial(t.Context(), target(hopPublic, public))
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if _, err := ssh.Dial(t.Context(), target(public, public)); !errors.Is(err, ssh.ErrUntrusted) || ssh.HostOf(err) != hop.server.Addr() {
		t.Errorf("got %v about %s, want ErrUntrusted about the jump host", err, ssh.HostOf(err))
	}
	if _, err := ssh.Dial(t.Context(), target(hopPublic, hopPublic)); !errors.Is(err, ssh.ErrUntrusted) || ssh.HostOf(err) != inner.server.Addr() {
		t.Errorf("got %v about %s, want ErrUntrusted about the machine", err, ssh.HostOf(err))
	}
}

func TestKnownHostsAreLookedUpAsOpenSSHDoes(t *testing.T) {
	keys := map[string]string{}
	for _, n := range []string{"plain", "port", "wild", "ca", "revoked", "multi", "cased"} {
		_, keys[n] = newKey(t)
	}
	k, err := ssh.ParseKnown([]byte(strings.Join([]string{
		"# a comment", "", "web-1.example " + keys["plain"] + " a comment", "[web-1.example]:2222 " + keys["port"],
		"*.lab,!bad.lab " + keys["wild"], "@cert-authority *.example " + keys["ca"], "@revoked * " + keys["revoked"],
		"a,b,[c]:22 " + keys["multi"], "UPPER.Example " + keys["cased"], "broken line", "x ssh-ed25519 !!!", "@strange y " + keys["plain"], "\x00\xff",
	}, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host string
		port int
		keys string
		ca   bool
	}{
		{"web-1.example", 22, "plain", true},
		{"web-1.example", 0, "plain", true},
		{"WEB-1.EXAMPLE", 22, "plain", true},
		{"web-1.example", 2222, "port", true}, // the authority's pattern holds for the name, whatever the port
		{"web-1.example", 2223, "plain", true},
		{"x.lab", 22, "wild", false},
		{"x.lab", 99, "wild", false},
		{"bad.lab", 22, "", false},
		{"b", 22, "multi", false},
		{"c", 22, "", false},
		{"upper.example", 22, "cased", true},
		{"y", 22, "", false},
		{"nobody", 22, "", false},
	} {
		got := k.Lookup(c.host, c.port)
		if want := keys[c.keys]; strings.Join(got.Keys, ",") != want || slices.Contains(got.Authorities, keys["ca"]) != c.ca || !slices.Contains(got.Revoked, keys["revoked"]) {
			t.Errorf("%s:%d: got %+v, want the key %q (%s), the authority: %v, and the revoked", c.host, c.port, got, c.keys, want, c.ca)
		}
	}
	if _, err := ssh.ParseKnown([]byte("ok " + keys["plain"] + "\n@revoked * nonsense\n")); err == nil || !strings.Contains(err.Error(), "line 2 revokes") {
		t.Errorf("got %v, want line 2 named", err)
	}
}

func TestHashedNamesAreThoseOfSSHKeygen(t *testing.T) {
	program, err := exec.LookPath("ssh-keygen")
	conformance.Require(t, "ssh-keygen", err)
	file := filepath.Join(t.TempDir(), "known_hosts")
	_, key := newKey(t)
	_, other := newKey(t)
	write(t, file, []byte("web-1.example "+key+"\n[db-1.example]:2222 "+other+"\n"), 0o600)
	if out, err := exec.Command(program, "-H", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), "example") {
		t.Fatalf("got %s, %v, want hashed names", text, err)
	}
	k, err := ssh.ReadKnown(filepath.Join(t.TempDir(), "not there"), file)
	if err != nil {
		t.Fatal(err)
	}
	if got := k.Lookup("web-1.example", 22).Keys; !slices.Equal(got, []string{key}) {
		t.Errorf("got %v, want %s", got, key)
	}
	if got := k.Lookup("db-1.example", 2222).Keys; !slices.Equal(got, []string{other}) {
		t.Errorf("got %v, want %s", got, other)
	}
	if got := k.Lookup("db-1.example", 22).Keys; got != nil {
		t.Errorf("got %v, want none", got)
	}
	if _, err := ssh.ReadKnown(t.TempDir()); err == nil {
		t.Error("a folder is read")
	}
}

func TestIdentityFilesOfAHostComeBehindTheNamedKeyAndBeforeOthers(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	dir := t.TempDir()
	made := func(name string) (file, public string) {
		key, line := newKey(t)
		file = filepath.Join(dir, name)
		write(t, file, key.Private, 0o600)
		return file, line
	}
	named, first := made("named")
	own, second := made("own")
	id, err := ssh.LoadIdentity(named, filepath.Join(dir, "generated"))
	if err != nil {
		t.Fatal(err)
	}
	before := id.PublicKeys()
	more, err := id.With(own, filepath.Join(dir, "not there"), named)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := more.PublicKeys(), []string{first, second, before[1]}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !slices.Equal(id.PublicKeys(), before) {
		t.Error("the identity itself was changed")
	}
	var none *ssh.Identity
	if got, err := none.With(own); err != nil || !slices.Equal(got.PublicKeys(), []string{second}) {
		t.Errorf("got %v, %v, want the one key", got, err)
	}
	write(t, filepath.Join(dir, "open"), []byte("x"), 0o644)
	if _, err := id.With(filepath.Join(dir, "open")); err == nil {
		t.Error("a key that others may read is used")
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true}, {"*", "x", true}, {"?", "", false}, {"?", "x", true}, {"a*c", "abbc", true}, {"a*c", "abb", false}, {"*.x.*", "a.x.b", true},
		{"", "", true}, {"", "a", false}, {"a?c", "abc", true}, {"a**", "a", true}, {strings.Repeat("*a", 50), strings.Repeat("a", 5000) + "b", false},
	} {
		if got := ssh.Match(c.pattern, c.name); got != c.want {
			t.Errorf("%q, %q: got %v", c.pattern, c.name, got)
		}
	}
}

func FuzzParseKnown(f *testing.F) {
	f.Add([]byte("a ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ\n"), "a")
	f.Add([]byte("|1|x|y ssh-rsa AAAA\n@cert-authority * ssh-rsa AAAA\n@revoked\n"), "b")
	f.Fuzz(func(t *testing.T, data []byte, host string) {
		k, err := ssh.ParseKnown(data)
		if err != nil {
			return
		}
		got := k.Lookup(host, 2222)
		for _, line := range slices.Concat(got.Keys, got.Authorities, got.Revoked) {
			if _, err := ssh.PlainKey(line); err != nil || strings.ContainsAny(line, "\n\r") {
				t.Errorf("got the line %q: %v", line, err)
			}
		}
	})
}
