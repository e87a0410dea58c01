// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
)

// audit-key NAME makes NAME.key and NAME.pub, as openssl does.
func auditKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: audit-key NAME")
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	ts.Check(err)
	key, err := x509.MarshalPKCS8PrivateKey(private)
	ts.Check(err)
	pub, err := x509.MarshalPKIXPublicKey(public)
	ts.Check(err)
	for _, f := range []struct {
		name, kind string
		der        []byte
	}{{args[0] + ".key", "PRIVATE KEY", key}, {args[0] + ".pub", "PUBLIC KEY", pub}} {
		ts.Check(os.WriteFile(ts.MkAbs(f.name), pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), 0o600))
	}
}
