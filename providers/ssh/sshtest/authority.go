// SPDX-License-Identifier: Apache-2.0

package sshtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// UserCA is an authority that says who somebody is, as a company has one.
type UserCA struct{ signer ssh.Signer }

// NewUserCA makes one.
func NewUserCA() (*UserCA, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	return &UserCA{signer}, err
}

// PublicKey is the authority in authorized_keys form.
func (ca *UserCA) PublicKey() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(ca.signer.PublicKey())))
}

// Sign makes a user certificate over publicKey (authorized_keys form) for the principals, valid from a minute ago for lifetime.
func (ca *UserCA) Sign(publicKey []byte, principals []string, lifetime time.Duration) ([]byte, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey(publicKey)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	cert := &ssh.Certificate{
		Key: key, CertType: ssh.UserCert, KeyId: "test", ValidPrincipals: principals,
		ValidAfter: uint64(now.Add(-time.Minute).Unix()), ValidBefore: uint64(now.Add(lifetime).Unix()),
		Permissions: ssh.Permissions{Extensions: map[string]string{"permit-pty": "", "permit-port-forwarding": ""}},
	}
	if err := cert.SignCert(rand.Reader, ca.signer); err != nil {
		return nil, err
	}
	return ssh.MarshalAuthorizedKey(cert), nil
}
