// SPDX-License-Identifier: Apache-2.0

package ssh_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
)

func TestUserCertificateBesideTheKeyLetsIn(t *testing.T) {
	ca, err := sshtest.NewUserCA()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := sshtest.NewUserCA()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what       string
		signer     *sshtest.UserCA
		principals []string
		life       time.Duration
		line       string // of authorized_keys, before the authority
		lets       bool
	}{
		{"a certificate of the user", ca, []string{"deploy"}, time.Hour, `cert-authority,principals="deploy" `, true},
		{"one of several principals", ca, []string{"jo", "deploy"}, time.Hour, "cert-authority ", true},
		{"another user's", ca, []string{"jo"}, time.Hour, `cert-authority,principals="deploy" `, false},
		{"an expired one", ca, []string{"deploy"}, -time.Second, `cert-authority,principals="deploy" `, false},
		{"another authority's", stranger, []string{"deploy"}, time.Hour, `cert-authority,principals="deploy" `, false},
		{"a plain line of the authority", ca, []string{"deploy"}, time.Hour, "", false},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := newRig(t, func(r *rig) {
				r.cfg.Authorized = func(string) []string { return []string{c.line + ca.PublicKey()} }
			})
			private, public, err := ssh.GenerateKey("")
			if err != nil {
				t.Fatal(err)
			}
			cert, err := c.signer.Sign(public, c.principals, c.life)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "id")
			write(t, file, private, 0o600)
			write(t, file+"-cert.pub", cert, 0o644)
			if r.identity, err = ssh.LoadIdentity(file, ""); err != nil {
				t.Fatal(err)
			}
			if got := r.identity.PublicKeys(); len(got) != 1 || !strings.HasPrefix(string(public), got[0]) {
				t.Errorf("got public keys %q, want the plain one alone", got)
			}
			client, err := ssh.Dial(t.Context(), r.target())
			if err == nil {
				_ = client.Close()
			}
			if c.lets && err != nil || !c.lets && !errors.Is(err, ssh.ErrAuth) {
				t.Errorf("got %v, want that it lets in: %t", err, c.lets)
			}
		})
	}
}

func TestCertificateOfAnotherKeyIsPassedOver(t *testing.T) {
	ca, err := sshtest.NewUserCA()
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := ssh.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	private, public, err := ssh.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(other, []string{"deploy"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for i, beside := range [][]byte{cert, []byte("nonsense"), public} {
		file := filepath.Join(t.TempDir(), fmt.Sprint("id", i))
		write(t, file, private, 0o600)
		write(t, file+"-cert.pub", beside, 0o644)
		r := newRig(t, func(r *rig) {
			r.cfg.Authorized = func(string) []string { return []string{string(public)} }
		})
		if r.identity, err = ssh.LoadIdentity(file, ""); err != nil {
			t.Fatal(err)
		}
		r.dial(t)
		if got := r.identity.PublicKeys(); !slices.ContainsFunc(got, func(k string) bool { return strings.HasPrefix(string(public), k) }) {
			t.Errorf("got %q, want the file's key", got)
		}
	}
}
