// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// certificateLife is what Let's Encrypt gives, with its advice to renew when a third is left: long enough for an environment that nobody touches for two
	// months, short enough that a key that got out is worth little.
	certificateLife = 90 * 24 * time.Hour
	// authorityLife: the next authority is made known at half of it and issues from the last third on, so that machines trust it months before.
	authorityLife = 2 * 365 * 24 * time.Hour
	// clockGrace is how long before now a certificate begins, for machines whose clock is behind.
	clockGrace = time.Hour
)

// authority is an environment's certificate authority as this client holds it: in one file, 0600, keys and certificates, the newest first. Nothing of
// it but certificates leaves this computer.
type authority struct {
	file  string
	pairs []pair
}

type pair struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// authorityFile is the file in Core.TLSDir.
const authorityFile = "authority.pem"

// readAuthority reads what dir holds; an authority without pairs where that is nothing.
func readAuthority(dir string) (*authority, error) {
	if dir == "" {
		return nil, errors.New("cannot keep a certificate authority: no folder was given for it")
	}
	a := &authority{file: filepath.Join(dir, authorityFile)}
	text, err := os.ReadFile(a.file)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate authority: %w", err)
	}
	if a.pairs, err = parsePairs(text); err != nil {
		return nil, &Error{
			Code: Invalid, Op: "read", Subject: "certificate authority " + a.file, Err: err,
			Hint: "move the file away: the next `evenkeel up` makes another and lays it on every machine",
		}
	}
	return a, nil
}

func parsePairs(text []byte) ([]pair, error) {
	var pairs []pair
	for len(bytes.TrimSpace(text)) > 0 {
		keyBlock, rest := pem.Decode(text)
		if keyBlock == nil || keyBlock.Type != "EC PRIVATE KEY" {
			return nil, errors.New("it holds no key where one is due")
		}
		key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
		if err != nil {
			return nil, err
		}
		certBlock, rest := pem.Decode(rest)
		if certBlock == nil || certBlock.Type != "CERTIFICATE" {
			return nil, errors.New("it holds no certificate where one is due")
		}
		cert, err := x509.ParseCertificate(certBlock.Bytes)
		if err != nil {
			return nil, err
		}
		if !key.PublicKey.Equal(cert.PublicKey) {
			return nil, errors.New("a key and its certificate do not belong together")
		}
		pairs, text = append(pairs, pair{key, cert}), rest
	}
	return pairs, nil
}

// due: the next authority has to be made.
func (a *authority) due(now time.Time) bool {
	return len(a.pairs) == 0 || left(a.pairs[0].cert, now) <= authorityLife/2
}

// renew makes the next authority where it is due, and forgets those that ended.
func (a *authority) renew(env string, now time.Time) error {
	if !a.due(now) {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("cannot make a certificate authority: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Evenkeel " + env + " " + now.UTC().Format(time.DateOnly)},
		NotBefore: now.Add(-clockGrace), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("cannot make a certificate authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("cannot make a certificate authority: %w", err)
	}
	ended := func(p pair) bool { return !now.Before(p.cert.NotAfter) }
	a.pairs = append([]pair{{key, cert}}, slices.DeleteFunc(a.pairs, ended)...)
	return a.write()
}

// write replaces the file in one step.
func (a *authority) write() (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot keep the certificate authority: %w", err)
		}
	}()
	var text bytes.Buffer
	for _, p := range a.pairs {
		der, err := x509.MarshalECPrivateKey(p.key)
		if err != nil {
			return err
		}
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
		text.Write(encodeCertificate(p.cert.Raw))
	}
	dir := filepath.Dir(a.file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it has another name by then
	_, err = f.Write(text.Bytes())
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), a.file)
}

// issuer is the oldest that has more than a third of its life left: the machines have trusted it for longest.
func (a *authority) issuer(now time.Time) pair {
	for _, p := range slices.Backward(a.pairs) {
		if !lastThird(p.cert, now) {
			return p
		}
	}
	return a.pairs[0]
}

// bundle is what machines are to trust, newest first.
func (a *authority) bundle() []byte {
	var text bytes.Buffer
	for _, p := range a.pairs {
		text.Write(encodeCertificate(p.cert.Raw))
	}
	return text.Bytes()
}

// trustedBy: some machine trusts one of the authorities, or none trusts any.
func (a *authority) trustedBy(looks []look) bool {
	any := false
	for _, l := range looks {
		any = any || len(l.authorities) > 0
		for _, p := range a.pairs {
			if bytes.Contains(l.authorities, encodeCertificate(p.cert.Raw)) {
				return true
			}
		}
	}
	return !any
}

// issued: one of the authorities signed the certificate.
func (a *authority) issued(text []byte) bool {
	cert, err := parseCertificate(text)
	return err == nil && slices.ContainsFunc(a.pairs, func(p pair) bool { return cert.CheckSignatureFrom(p.cert) == nil })
}

// issue makes a key and a certificate for names; it ends with the authority at the latest.
func (a *authority) issue(names []string, now time.Time) (*tlsFiles, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	by := a.issuer(now)
	end := now.Add(certificateLife)
	if by.cert.NotAfter.Before(end) {
		end = by.cert.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: commonName(names[0])}, NotBefore: now.Add(-clockGrace), NotAfter: end,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	template.DNSNames, template.IPAddresses = certificateNames(names)
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
	if err != nil {
		return nil, err
	}
	// PKCS #8 is what every TLS library reads.
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &tlsFiles{
		certificate: encodeCertificate(der), authorities: a.bundle(),
		key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}, nil
}

// certificateNames sorts names into host names and addresses.
func certificateNames(names []string) (dns []string, ips []net.IP) {
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			ips = append(ips, ip)
		} else {
			dns = append(dns, name)
		}
	}
	return dns, ips
}

// commonName is cut to the 64 characters that X.520 allows; clients go by the other names.
func commonName(name string) string { return name[:min(len(name), 64)] }

func serial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:])
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// forgetAuthority removes what readAuthority would find: the environment is gone.
func forgetAuthority(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("cannot remove the certificate authority: %w", err)
	}
	return nil
}
