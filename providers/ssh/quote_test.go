// SPDX-License-Identifier: Apache-2.0

package ssh_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/providers/ssh"
)

func FuzzQuoteIsOneWordToTheShell(f *testing.F) {
	for _, s := range []string{"", "a b", "'", "''", `\'`, "$HOME `id` $(id)", "a\nb\n", "-n", "~", "\xff\x80", "!x", "nul\x00here", "*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 10000 { // argv is bounded
			return
		}
		got, err := exec.Command("/bin/sh", "-c", "printf %s. "+ssh.Quote(s)).Output()
		if want := strings.ReplaceAll(s, "\x00", "") + "."; err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	})
}

func FuzzForeignKeysDoNoHarm(f *testing.F) {
	ca, err := ssh.NewHostCA()
	if err != nil {
		f.Fatal(err)
	}
	_, public, err := ssh.GenerateKey("comment")
	if err != nil {
		f.Fatal(err)
	}
	cert, err := ca.Sign(public, []string{"web-1"}, 0)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range [][]byte{nil, public, cert, []byte("ssh-rsa AAAA"), []byte("from=\"x\" ssh-ed25519 "), append(public, public...)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		got, err := ca.Sign(line, []string{"web-1"}, 0)
		switch {
		case err != nil && len(err.Error()) > 1000:
			t.Errorf("an error of %d bytes", len(err.Error()))
		case err == nil && !strings.Contains(string(got), "-cert-v01@openssh.com "):
			t.Errorf("got %q, want a certificate", got)
		}
		if known, err := ssh.KnownHosts("web-1", string(line)); err == nil && strings.Count(known, "\n") != 1 {
			t.Errorf("got %q, want one line", known)
		}
	})
}

func TestSignRefuses(t *testing.T) {
	ca, err := ssh.NewHostCA()
	if err != nil {
		t.Fatal(err)
	}
	_, public, err := ssh.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(public, []string{"web-1"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ca.Sign(cert, []string{"web-1"}, 0); err == nil {
		t.Error("a certificate was signed")
	}
	if _, err := ca.Sign(public, nil, 0); err == nil {
		t.Error("a certificate for every host was signed")
	}
	if _, err := ca.Sign(public, []string{"web-1"}, -1); err == nil {
		t.Error("a negative lifetime was signed")
	}
	if _, err := ca.Sign(append(public, public...), []string{"web-1"}, 0); err == nil {
		t.Error("two keys were signed as one")
	}
	if _, _, err := ssh.GenerateKey("two\nlines"); err == nil {
		t.Error("a comment of two lines was taken")
	}
}
