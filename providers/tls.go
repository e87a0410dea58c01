// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"slices"
	"time"
)

// tlsFiles are what PathTLS of one machine must hold. Without a key the machine keeps its certificate and key.
type tlsFiles struct {
	certificate, key, authorities []byte // PEM
}

// certify adds the files of f, nil: none. The key is no part of the digest: of a certificate that is kept nobody but the machine has it.
func (s *settlement) certify(f *tlsFiles) {
	if f == nil {
		return
	}
	s.add(partTLS, laidFile{"tls/ca.pem", 0o644, f.authorities})
	s.add(partTLS, laidFile{"tls/cert.pem", 0o644, f.certificate})
	if f.key == nil {
		s.kept = append(s.kept, "tls/cert.pem")
		return
	}
	s.extra = append(s.extra, laidFile{"tls/key.pem", 0o600, f.key})
}

// certify says for each machine of running what its PathTLS must hold; nil for each where the plan has no TLS.
//
// What is right stays, whoever issued it. Where a certificate has to be issued, this client's own authority does it, if the machines trust it or
// trust none yet; else the key of theirs is kept elsewhere, and all of them get a new authority and new certificates at once.
func (c *Core) certify(running []seat, looks []look) ([]*tlsFiles, error) {
	files := make([]*tlsFiles, len(running))
	if !c.Plan.TLS || len(running) == 0 {
		return files, nil
	}
	now := c.now()
	own, err := readAuthority(c.TLSDir)
	if err != nil {
		return nil, err
	}
	ours := own.trustedBy(looks)
	right, trusted := true, looks[0].authorities
	for i, m := range running {
		kept, reason := c.keeps(m, looks[i])
		if reason == "" && bytes.Equal(kept.authorities, trusted) {
			files[i] = kept
		} else {
			right = false
		}
	}
	if right && (!ours || !own.due(now)) {
		return files, nil
	}
	if err := own.renew(c.Plan.Env, now); err != nil {
		return nil, err
	}
	for i, m := range running {
		if kept, reason := c.keeps(m, looks[i]); ours && reason == "" && own.issued(kept.certificate) {
			files[i] = &tlsFiles{certificate: kept.certificate, authorities: own.bundle()}
			continue
		}
		if files[i], err = own.issue(c.namesOf(m), now); err != nil {
			return nil, fmt.Errorf("cannot issue a certificate for machine %s: %w", m.Name, err)
		}
	}
	return files, nil
}

// keeps says whether the certificate that a machine holds is right, and what it holds then, or else why not. Where the plan has no TLS nothing is wrong.
func (c *Core) keeps(m seat, seen look) (*tlsFiles, string) {
	if !c.Plan.TLS {
		return nil, ""
	}
	f := &tlsFiles{certificate: seen.certificate, authorities: seen.authorities}
	var s settlement
	s.parts = map[string][]laidFile{}
	s.certify(f)
	if seen.record.parts[partTLS] != digest(seen.record.salt, s.parts[partTLS]) {
		return nil, "it has no certificate that was laid in full" // key and certificate may be of two runs
	}
	cert, err := parseCertificate(seen.certificate)
	if err != nil {
		return nil, "its certificate cannot be read"
	}
	now := c.now()
	switch dns, ips := certificateNames(c.namesOf(m)); {
	case !slices.Equal(cert.DNSNames, dns) || !slices.EqualFunc(cert.IPAddresses, ips, net.IP.Equal):
		return nil, "its certificate is for other names or addresses"
	case !now.Before(cert.NotAfter):
		return nil, "its certificate ended on " + cert.NotAfter.UTC().Format(time.DateOnly)
	case lastThird(cert, now):
		return nil, "its certificate ends on " + cert.NotAfter.UTC().Format(time.DateOnly)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(seen.authorities)
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		return nil, "its certificate is not of the authority that it trusts"
	}
	return f, ""
}

// namesOf are what a machine's certificate is made out to: every name of it in /etc/hosts, its own loopback, its address. The first is its common name.
func (c *Core) namesOf(m seat) []string {
	names := []string{principal(c.Plan.Env, m.Name), m.Name, m.Kind, "localhost", "127.0.0.1", "::1"}
	if a := m.there.Address; a != "" {
		names = append(names, a)
	}
	return names
}

const pemBegin = "-----BEGIN "

// firstPEM splits what a machine's certificates are: its own, and those it trusts.
func firstPEM(text []byte) (first, rest []byte) {
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, nil
	}
	return text[:len(text)-len(rest)], rest
}

func parseCertificate(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("it holds no certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

// lastThird: of a certificate's life a third or less is left.
func lastThird(cert *x509.Certificate, now time.Time) bool {
	return left(cert, now) <= cert.NotAfter.Sub(cert.NotBefore)/3
}

func left(cert *x509.Certificate, now time.Time) time.Duration { return cert.NotAfter.Sub(now) }
