// SPDX-License-Identifier: Apache-2.0

package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// trust decides whether a host's key or certificate is one a Target allows, and remembers the verdict.
type trust struct {
	authority ssh.PublicKey // nil: no certificate is believed
	principal string
	plain     []ssh.PublicKey
	others    []ssh.PublicKey // authorities whose certificates count within their time
	revoked   []ssh.PublicKey
	bootstrap bool

	mu       sync.Mutex // keys are verified again at each exchange of session keys
	seen     bool       // the host was believed
	finished bool       // ... by a certificate that does not expire
	why      error      // it was not: a *trustError
}

// newTrust reads what the target trusts. A target that trusts nothing is refused before anything is dialled.
func newTrust(t Target) (*trust, error) {
	tr := &trust{principal: t.Principal, bootstrap: t.Bootstrap}
	if t.HostCA == "" && len(t.HostKeys) == 0 && len(t.Authorities) == 0 {
		return nil, errors.New("nothing says which host key to expect")
	}
	if t.HostCA != "" {
		key, err := parsePlainKey(t.HostCA)
		if err != nil {
			return nil, fmt.Errorf("the host CA is no public key: %w", err)
		}
		if t.Principal == "" {
			return nil, errors.New("no principal says whom the host CA may vouch for")
		}
		tr.authority = key
	}
	if len(t.Authorities) > 0 && t.Principal == "" {
		return nil, errors.New("no principal says whom the authorities may vouch for")
	}
	for _, list := range []struct {
		what  string
		lines []string
		keys  *[]ssh.PublicKey
	}{{"a host key to expect", t.HostKeys, &tr.plain}, {"an authority", t.Authorities, &tr.others}, {"a revoked key", t.Revoked, &tr.revoked}} {
		for _, line := range list.lines {
			key, err := parsePlainKey(line)
			if err != nil {
				return nil, fmt.Errorf("%s is no public key: %w", list.what, err)
			}
			*list.keys = append(*list.keys, key)
		}
	}
	return tr, nil
}

func parsePlainKey(line string) (ssh.PublicKey, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return nil, &farError{err}
	}
	if _, isCert := key.(*ssh.Certificate); isCert {
		return nil, errors.New("got a certificate, want a plain public key")
	}
	return key, nil
}

// algorithms are the host key algorithms to ask for, the wanted first. Plain kinds follow a certificate's so that a machine whose
// certificate is not installed can be told from one that does not answer.
func (tr *trust) algorithms() []string {
	var algos []string
	for _, key := range tr.plain {
		algos = append(algos, signatureAlgorithms(key.Type())...)
	}
	if tr.authority != nil || len(tr.others) > 0 {
		algos = append([]string{ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01, ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01}, algos...)
		algos = append(algos, ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
	}
	var once []string
	for _, a := range algos {
		if !slices.Contains(once, a) {
			once = append(once, a)
		}
	}
	return once
}

// signatureAlgorithms are those of a key type: RSA signs by SHA-2 only (RFC 8332), the others have the type's name.
func signatureAlgorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// check is the ssh.HostKeyCallback. By then the host has proved that it holds the key.
func (tr *trust) check(_ string, _ net.Addr, key ssh.PublicKey) error {
	finished, err := tr.judge(key, time.Now())
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.seen, tr.finished, tr.why = err == nil, finished, err
	return err
}

// verdict is what the last check found: whether the host was believed, by a final certificate, or why not.
func (tr *trust) verdict() (seen, finished bool, why error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.seen, tr.finished, tr.why
}

// judge returns an error matching ErrUntrusted or ErrUnfinished, or whether the key is a final certificate.
func (tr *trust) judge(key ssh.PublicKey, now time.Time) (finished bool, err error) {
	cert, ok := key.(*ssh.Certificate)
	if ok {
		key = cert.Key
	}
	switch {
	case holds(tr.revoked, key):
		return false, unbelieved(ErrUntrusted, "its key %s is revoked", ssh.FingerprintSHA256(key))
	case ok && holds(tr.revoked, cert.SignatureKey):
		return false, unbelieved(ErrUntrusted, "its certificate is signed by %s, which is revoked", ssh.FingerprintSHA256(cert.SignatureKey))
	case ok && holds(tr.others, cert.SignatureKey):
		return tr.judgeOther(cert, now)
	case ok && tr.authority == nil && holds(tr.plain, key): // a stranger's certificate over a key that is known by itself
		return false, nil
	case ok:
		return tr.judgeCertificate(cert, now)
	case holds(tr.plain, key):
		return false, nil
	case tr.authority != nil || len(tr.plain) == 0: // never ErrUnfinished, which lets the caller remake the machine: this key may be anybody's
		return false, unbelieved(ErrUntrusted, "it offers the plain key %s and no certificate", ssh.FingerprintSHA256(key))
	}
	return false, unbelieved(ErrUntrusted, "it has %s, which is none of the %d expected", ssh.FingerprintSHA256(key), len(tr.plain))
}

func holds(list []ssh.PublicKey, key ssh.PublicKey) bool {
	return slices.ContainsFunc(list, func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), key.Marshal()) })
}

// judgeOther judges a certificate of an authority that vouches for many hosts: it counts within its time. Principals may be patterns, as ssh(1) has it; a
// certificate without any, which would stand for every host, is not believed.
func (tr *trust) judgeOther(cert *ssh.Certificate, now time.Time) (finished bool, err error) {
	if cert.CertType != ssh.HostCert {
		return false, unbelieved(ErrUntrusted, "its certificate is for a user, not for a host")
	}
	i := slices.IndexFunc(cert.ValidPrincipals, func(p string) bool { return Match(strings.ToLower(p), strings.ToLower(tr.principal)) })
	if i < 0 {
		return false, unbelieved(ErrUntrusted, "its certificate is for %q, not for %q", cert.ValidPrincipals, tr.principal)
	}
	checker := ssh.CertChecker{Clock: func() time.Time { return now }}
	if err := checker.CheckCert(cert.ValidPrincipals[i], cert); err != nil {
		return false, unbelieved(ErrUntrusted, "%v (it is valid from %s to %s)", err, moment(cert.ValidAfter), moment(cert.ValidBefore))
	}
	return false, nil
}

func (tr *trust) judgeCertificate(cert *ssh.Certificate, now time.Time) (finished bool, err error) {
	switch {
	case tr.authority == nil && len(tr.others) > 0:
		return false, unbelieved(ErrUntrusted, "its certificate is signed by %s, which is none of the %d authorities expected", ssh.FingerprintSHA256(cert.SignatureKey), len(tr.others))
	case tr.authority == nil:
		return false, unbelieved(ErrUntrusted, "it has a certificate, but only plain keys are expected")
	case !bytes.Equal(cert.SignatureKey.Marshal(), tr.authority.Marshal()):
		return false, unbelieved(ErrUntrusted, "its certificate is signed by %s, not by its own authority %s", ssh.FingerprintSHA256(cert.SignatureKey), ssh.FingerprintSHA256(tr.authority))
	case cert.CertType != ssh.HostCert:
		return false, unbelieved(ErrUntrusted, "its certificate is for a user, not for a host")
	case !slices.Contains(cert.ValidPrincipals, tr.principal): // CheckCert would let an empty list stand for every host
		return false, unbelieved(ErrUntrusted, "its certificate is for %q, not for %q", cert.ValidPrincipals, tr.principal)
	}
	// Times are judged below, each with its own outcome; the checker sees one at which the certificate holds.
	within := ssh.CertChecker{Clock: func() time.Time { return time.Unix(int64(min(cert.ValidAfter, 1<<62)), 0) }}
	if cert.ValidAfter >= cert.ValidBefore {
		return false, unbelieved(ErrUntrusted, "its certificate is valid at no time")
	}
	if err := within.CheckCert(tr.principal, cert); err != nil {
		return false, unbelieved(ErrUntrusted, "%v", err)
	}
	unix := uint64(max(now.Unix(), 0))
	switch {
	case unix < cert.ValidAfter:
		return false, unbelieved(ErrUntrusted, "its certificate is valid from %v on, and the clock here says %v", moment(cert.ValidAfter), now.UTC().Format(time.RFC3339))
	case cert.ValidBefore == ssh.CertTimeInfinity:
		return true, nil
	case unix >= cert.ValidBefore:
		return false, unbelieved(ErrUnfinished, "its certificate expired at %v", moment(cert.ValidBefore))
	case !tr.bootstrap:
		return false, unbelieved(ErrUnfinished, "it still has the one that expires at %v", moment(cert.ValidBefore))
	}
	return false, nil
}

// unbelieved is why a host is not believed; its kind is ErrUntrusted or ErrUnfinished. The addresses it stands for are added by Dial.
func unbelieved(kind error, format string, args ...any) error {
	return &trustError{kind, fmt.Sprintf(format, args...)}
}

type trustError struct {
	kind error
	why  string
}

func (e *trustError) Error() string { return printable(e.why) }
func (e *trustError) Unwrap() error { return e.kind }

func moment(unix uint64) string {
	return time.Unix(int64(min(unix, 253402300799)), 0).UTC().Format(time.RFC3339) // up to the year 9999, the last RFC 3339 has
}
