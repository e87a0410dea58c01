// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// audit-key NAME makes NAME.key and NAME.pub, as openssl does.
func auditKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: audit-key NAME")
	}
	ts.Check(writeAuditKey(ts.MkAbs(args[0])))
}

// auditKeyIn makes a key in dir and returns its file.
func auditKeyIn(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "audit")
	if err := writeAuditKey(name); err != nil {
		t.Fatal(err)
	}
	return name + ".key"
}

func writeAuditKey(name string) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	pub, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600),
		os.WriteFile(name+".pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub}), 0o600),
	)
}
