// SPDX-License-Identifier: Apache-2.0

package ssh

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// clockSkew is how far a machine's clock may be behind ours.
const clockSkew = 10 * time.Minute

// HostCA signs the host keys of one machine. It lives in memory only.
type HostCA struct{ signer ssh.Signer }

// NewHostCA makes a throwaway authority.
func NewHostCA() (*HostCA, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make host CA: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, fmt.Errorf("cannot make host CA: %w", err)
	}
	return &HostCA{signer}, nil
}

// PublicKey is the authority in authorized_keys form without comment: "ssh-ed25519 AAAA...". It fits a label.
func (ca *HostCA) PublicKey() string { return authorizedKey(ca.signer.PublicKey()) }

// Sign makes a host certificate over publicKey (authorized_keys form) for the given principals; lifetime 0 never expires.
// ValidAfter is 10 minutes back, for clocks that are off. The result is in authorized_keys form with a newline.
// A publicKey that is itself a certificate, no principal (it would hold for every host) and a negative lifetime are refused.
func (ca *HostCA) Sign(publicKey []byte, principals []string, lifetime time.Duration) ([]byte, error) {
	key, _, _, rest, err := ssh.ParseAuthorizedKey(publicKey)
	switch _, isCert := key.(*ssh.Certificate); {
	case err != nil:
		return nil, fmt.Errorf("cannot sign host key: %w", &farError{err})
	case isCert:
		return nil, errors.New("cannot sign host key: got a certificate, want a plain public key")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("cannot sign host key: got more than one line")
	case len(principals) == 0:
		return nil, errors.New("cannot sign host key: no principal is named")
	case lifetime < 0:
		return nil, fmt.Errorf("cannot sign host key: lifetime %v is negative", lifetime)
	}
	var serial [8]byte
	_, _ = rand.Read(serial[:]) // never fails (crypto/rand)
	now := time.Now()
	cert := &ssh.Certificate{
		Key: key, Serial: binary.BigEndian.Uint64(serial[:]), CertType: ssh.HostCert, KeyId: principals[0], ValidPrincipals: principals,
		ValidAfter: uint64(now.Add(-clockSkew).Unix()), ValidBefore: ssh.CertTimeInfinity,
	}
	if lifetime > 0 {
		cert.ValidBefore = uint64(now.Add(lifetime).Unix())
	}
	if err := cert.SignCert(rand.Reader, ca.signer); err != nil {
		return nil, fmt.Errorf("cannot sign host key: %w", err)
	}
	return ssh.MarshalAuthorizedKey(cert), nil
}

// GenerateKey makes an ed25519 key: private as OpenSSH PEM, public in authorized_keys form with comment and newline.
func GenerateKey(comment string) (private, public []byte, err error) {
	if strings.ContainsAny(comment, "\r\n\x00") {
		return nil, nil, fmt.Errorf("cannot make key: the comment %q is more than one line", comment)
	}
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(priv, comment)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make key: %w", err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make key: %w", err)
	}
	line := strings.TrimSpace(authorizedKey(key) + " " + comment)
	return pem.EncodeToMemory(block), []byte(line + "\n"), nil
}

// authorizedKey is key in authorized_keys form without comment and newline.
func authorizedKey(key ssh.PublicKey) string {
	return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n")
}
