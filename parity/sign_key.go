// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// keyFileBytes bounds a key's file.
const keyFileBytes = 64 << 10

const keyHint = "make one: openssl genpkey -algorithm ed25519 -out audit.key, and its public half: openssl pkey -in audit.key -pubout -out audit.pub"

// ReadSigningKey reads an ed25519 private key, PKCS #8 in PEM without a passphrase, that nobody else may read. Keys of SSH are refused: what
// signs audits should open no machine.
func ReadSigningKey(file string) (ed25519.PrivateKey, error) {
	block, err := readPEM(file, true)
	if err != nil {
		return nil, fmt.Errorf("cannot use the signing key %s: %w", file, err)
	}
	switch block.Type {
	case "PRIVATE KEY":
	case "ENCRYPTED PRIVATE KEY":
		return nil, fmt.Errorf("cannot use the signing key %s: it has a passphrase; %s", file, keyHint)
	default:
		return nil, fmt.Errorf("cannot use the signing key %s: got a %q, want a PRIVATE KEY; %s", file, block.Type, keyHint)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("cannot use the signing key %s: %w", file, err)
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("cannot use the signing key %s: got a %T, want ed25519; %s", file, key, keyHint)
	}
	return ed, nil
}

// ReadTrustedKey reads an ed25519 public key in PEM.
func ReadTrustedKey(file string) (ed25519.PublicKey, error) {
	block, err := readPEM(file, false)
	if err != nil {
		return nil, fmt.Errorf("cannot use the key %s: %w", file, err)
	}
	if block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("cannot use the key %s: got a %q, want a PUBLIC KEY; %s", file, block.Type, keyHint)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("cannot use the key %s: %w", file, err)
	}
	ed, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("cannot use the key %s: got a %T, want ed25519; %s", file, key, keyHint)
	}
	return ed, nil
}

func readPEM(file string, secret bool) (*pem.Block, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, errors.Unwrap(err)
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no regular file")
	case secret && info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("others may read it (mode %04o, want 0600)", info.Mode().Perm())
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, keyFileBytes))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("it holds no PEM block; " + keyHint)
	}
	return block, nil
}
