// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
)

const day = 24 * time.Hour

// encrypted is an environment with TLS whose authority is kept in a folder of its own.
func encrypted(t *testing.T, at func(...envs.Machine) *providers.Core, machines ...envs.Machine) *providers.Core {
	c := at(machines...)
	c.Plan.TLS = true
	c.TLSDir = filepath.Join(t.TempDir(), "tls")
	return c
}

// tlsHeld is what a machine has in PathTLS.
type tlsHeld struct{ cert, key, ca string }

func holds(t *testing.T, c *providers.Core, m providers.Machine) tlsHeld {
	t.Helper()
	text := on(t, c, m, "cd /etc/evenkeel/tls; cat cert.pem; echo ----; cat key.pem; echo ----; cat ca.pem")
	parts := strings.Split(text, "\n----\n")
	if len(parts) != 3 {
		t.Fatalf("got %q", text)
	}
	return tlsHeld{parts[0] + "\n", parts[1] + "\n", parts[2]}
}

func certificateOf(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatalf("no certificate in %q", text)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// talks is what comes of a TLS connection to server under a name, by a client that trusts what client does, both with certificates.
func talks(t *testing.T, server, client tlsHeld, name string, now time.Time) error {
	t.Helper()
	config := func(h tlsHeld) *tls.Config {
		pair, err := tls.X509KeyPair([]byte(h.cert), []byte(h.key))
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(h.ca))
		return &tls.Config{
			Certificates: []tls.Certificate{pair}, RootCAs: roots, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert,
			ServerName: name, Time: func() time.Time { return now },
		}
	}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	done := make(chan error, 1)
	go func() { done <- tls.Server(far, config(server)).HandshakeContext(t.Context()) }()
	asking := tls.Client(near, config(client))
	err := asking.HandshakeContext(t.Context())
	if err != nil {
		_ = near.Close()
		return errors.Join(err, <-done)
	}
	go func() { _, _ = io.Copy(io.Discard, asking) }() // the server's tickets; ends with the pipe
	return <-done
}

func TestEachMachineGetsACertificateThatTheOthersBelieve(t *testing.T) {
	c := encrypted(t, world(t, nil), shop()...)
	for i := range c.Plan.Machines {
		c.Plan.Machines[i].Health = nil
	}
	res := up(t, c, providers.UpOptions{})
	db, web1 := holds(t, c, res.Machines[0]), holds(t, c, res.Machines[1])
	for _, name := range []string{"db", "db-1", "db-1.shop.laptop", "localhost", "127.0.0.1", "::1", res.Machines[0].Address} {
		if err := talks(t, db, web1, name, time.Now()); err != nil {
			t.Errorf("web-1 asks %s: %v", name, err)
		}
	}
	if err := talks(t, db, web1, "web-1", time.Now()); err == nil {
		t.Error("db-1 passes for web-1")
	}
	if got := on(t, c, res.Machines[0], "cd /etc/evenkeel; stat -c '%n %a %u' tls tls/*"); got != "tls 755 0\ntls/ca.pem 644 0\ntls/cert.pem 644 0\ntls/key.pem 600 0\n" {
		t.Errorf("modes are %q", got)
	}
	if strings.Contains(db.ca+db.cert, "PRIVATE") || strings.Count(db.key, "PRIVATE KEY-----\n") != 2 {
		t.Error("keys are where they do not belong")
	}
	private(t, c.TLSDir)
	if res := up(t, c, providers.UpOptions{}); res.Changed() {
		t.Errorf("up again came to %+v", res.Changes)
	}
	if holds(t, c, res.Machines[0]) != db {
		t.Error("up again issued a certificate")
	}
	c.Plan.TLS = false
	if got := reasonsOf(t, up(t, c, providers.UpOptions{})); got != "tls changed" {
		t.Errorf("reasons are %q", got)
	}
	if got := on(t, c, res.Machines[0], "ls -A /etc/evenkeel/tls 2>/dev/null || :"); got != "" {
		t.Errorf("without tls there is still %q", got)
	}
	if _, err := c.Down(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.TLSDir); !os.IsNotExist(err) {
		t.Errorf("down left the authority: %v", err)
	}
}

// private: nobody but its owner may look into dir.
func private(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCertificatesAreRenewedInTheirLastThirdAndTheAuthorityLongBefore(t *testing.T) {
	c := encrypted(t, world(t, nil), web("1"), web("2"))
	c.Plan.Machines[0].RestartOn = map[string][]string{"tls": {"ssh"}}
	began := time.Now()
	later := func(days int) time.Time {
		now := began.Add(time.Duration(days) * day)
		c.At(func() time.Time { return now })
		return now
	}
	res := up(t, c, providers.UpOptions{})
	first := holds(t, c, res.Machines[0])

	later(58)
	if res := up(t, c, providers.UpOptions{}); res.Changed() {
		t.Errorf("after 58 of 90 days it came to %+v", res.Changes)
	}
	later(62)
	list, err := c.Status(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if s := list[0]; s.Ready == nil || *s.Ready || !strings.Contains(s.Reason, "its certificate ends on "+began.Add(90*day).UTC().Format(time.DateOnly)) {
		t.Errorf("after 62 days status says %s", s.Reason)
	}
	if got := reasonsOf(t, up(t, c, providers.UpOptions{})); got != "tls changed; restarted ssh" {
		t.Errorf("reasons are %q", got)
	}
	second := holds(t, c, res.Machines[0])
	if second.ca != first.ca || second.cert == first.cert || second.key == first.key {
		t.Error("a renewal keeps the authority and changes certificate and key")
	}

	// Half through the authority's life its successor is made known; what the old one issued goes on.
	now := later(370)
	up(t, c, providers.UpOptions{})
	third := holds(t, c, res.Machines[0])
	if strings.Count(third.ca, "BEGIN CERTIFICATE") != 2 || !strings.HasSuffix(third.ca, first.ca) {
		t.Errorf("machines trust %q, want the successor before the first", third.ca)
	}
	if old := certificateOf(t, first.ca); certificateOf(t, third.cert).CheckSignatureFrom(old) != nil {
		t.Error("the successor issues before it is known everywhere")
	}
	if err := talks(t, third, tlsHeld{holds(t, c, res.Machines[1]).cert, holds(t, c, res.Machines[1]).key, first.ca}, "web-1", now); err != nil {
		t.Errorf("a machine that knows the first authority only: %v", err)
	}
	now = later(500) // in the first authority's last third
	up(t, c, providers.UpOptions{})
	fourth := holds(t, c, res.Machines[0])
	if fourth.ca != third.ca || certificateOf(t, fourth.cert).CheckSignatureFrom(certificateOf(t, third.ca)) != nil {
		t.Error("in the first one's last third the successor issues")
	}
	if err := talks(t, fourth, tlsHeld{fourth.cert, fourth.key, third.ca}, "web-1", now); err != nil {
		t.Error(err)
	}
	later(750) // the first has ended
	up(t, c, providers.UpOptions{})
	if fifth := holds(t, c, res.Machines[0]); strings.Contains(fifth.ca, first.ca) {
		t.Error("machines go on trusting an authority that ended")
	}
}

func TestAnotherClientKeepsWhatIsRightAndElseLaysItsOwnAuthorityEverywhere(t *testing.T) {
	at := world(t, nil)
	mine := encrypted(t, at, web("1"), web("2"))
	res := up(t, mine, providers.UpOptions{})
	before := holds(t, mine, res.Machines[0])

	theirs := encrypted(t, at, web("1"), web("2"))
	if res := up(t, theirs, providers.UpOptions{}); res.Changed() {
		t.Errorf("their up came to %+v", res.Changes)
	}
	if _, err := os.Stat(theirs.TLSDir); !os.IsNotExist(err) {
		t.Error("an authority was made that nobody needs")
	}
	// They add a machine, and have no key to issue for it.
	theirs.Plan.Machines = append(theirs.Plan.Machines, web("3"))
	res = up(t, theirs, providers.UpOptions{})
	one, three := holds(t, theirs, res.Machines[0]), holds(t, theirs, res.Machines[2])
	if one.ca == before.ca || one.ca != three.ca {
		t.Error("machines trust different authorities")
	}
	if err := talks(t, one, three, "web-1", time.Now()); err != nil {
		t.Error(err)
	}
	// We find all of it right, and change nothing back.
	mine.Plan = theirs.Plan
	if res := up(t, mine, providers.UpOptions{}); res.Changed() {
		t.Errorf("our up came to %+v", res.Changes)
	}
}

func TestACertificateThatWasNotLaidInFullIsIssuedAnew(t *testing.T) {
	c := encrypted(t, world(t, nil), web("1"))
	m := up(t, c, providers.UpOptions{}).Machines[0]
	before := holds(t, c, m)
	on(t, c, m, "echo laying >/etc/evenkeel/settled")
	up(t, c, providers.UpOptions{})
	if after := holds(t, c, m); after.cert == before.cert || after.ca != before.ca {
		t.Error("certificate and key that may be of two runs were kept, or the authority was not")
	}
	on(t, c, m, "echo forged >/etc/evenkeel/tls/cert.pem")
	if got := reasonsOf(t, up(t, c, providers.UpOptions{})); got != "tls changed" {
		t.Errorf("reasons are %q", got)
	}
}

func TestAnAuthorityThatCannotBeReadStopsBeforeAnythingIsLaid(t *testing.T) {
	c := encrypted(t, world(t, nil), web("1"))
	m := up(t, c, providers.UpOptions{}).Machines[0]
	file := filepath.Join(c.TLSDir, "authority.pem")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	record := on(t, c, m, "cat /etc/evenkeel/settled")
	for name, bad := range map[string][]byte{"cut": text[:len(text)/2], "words": []byte("hello"), "the wrong way round": bytes.ReplaceAll(text, []byte("EC PRIVATE"), []byte("PUBLIC"))} {
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := c.Up(t.Context(), providers.UpOptions{})
		if providers.CodeOf(err) != providers.Invalid || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "hello") {
			t.Errorf("%s: got %v, want Invalid and the file", name, err)
		}
	}
	if got := on(t, c, m, "cat /etc/evenkeel/settled"); got != record {
		t.Error("something was laid")
	}
}

// What a machine says of itself is read like everything that comes from outside.
func FuzzLook(f *testing.F) {
	salt, sum := strings.Repeat("0a", 16), strings.Repeat("1b", 32)
	block := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no certificate")}))
	for _, said := range []string{
		"", "clock 1000.5\n", "clock 1e308\nlaying\n", "clock 1\nsalt " + salt + "\ntls " + sum + "\nnames -\n" + block + block, block, "salt x\ntls y\n-----BEGIN ",
		"salt " + salt + "\nsalt " + salt + "\n\x00\xff tls " + sum,
	} {
		f.Add(said)
	}
	f.Fuzz(func(t *testing.T, said string) {
		c := &providers.Core{Plan: plan(web("1"))}
		c.Plan.TLS = true
		record, kept := c.Look(said, web("1"), providers.Machine{Name: "web-1", Address: "10.0.0.1"})
		if kept {
			t.Error("a certificate that nobody issued was kept")
		}
		if again, _ := c.Look(record, web("1"), providers.Machine{}); again != record {
			t.Errorf("read again, %q is %q", record, again)
		}
	})
}
