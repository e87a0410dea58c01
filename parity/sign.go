// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// The forms of a signed audit: an in-toto statement (in-toto/attestation, spec/v1/statement.md) in a DSSE envelope (spec/v1/envelope.md).
const (
	payloadType   = "application/vnd.in-toto+json"
	statementType = "https://in-toto.io/Statement/v1"
	// AuditPredicate is the type of the statement's predicate, Audited.
	AuditPredicate = "https://evenkeel.dev/attestation/audit/v1"
)

// envelopeBytes bounds what Verify reads; an audit of 100,000 machines has a third of it.
const envelopeBytes = 64 << 20

// ReportSubject is the name that the report has among a statement's subjects: the bytes of its JSON form.
const ReportSubject = "audit.json"

// Statement is what is signed: that these snapshots and this report, by their digests, belong to this audit.
type Statement struct {
	Type          string     `json:"_type"`
	Subject       []Digested `json:"subject"` // sorted by name; snapshots are "snapshot/TIER/NAME"
	PredicateType string     `json:"predicateType"`
	Predicate     Audited    `json:"predicate"`
}

// Digested is a thing by its name and digest.
type Digested struct {
	Name   string  `json:"name"`
	Digest SHA256s `json:"digest"`
}

// SHA256s is in-toto's set of digests; ours have one.
type SHA256s struct {
	SHA256 string `json:"sha256"` // hex
}

// Audited is what an audit was of, and what it came to.
type Audited struct {
	At         time.Time   `json:"at"`
	Project    string      `json:"project,omitempty"`
	Commit     string      `json:"commit,omitempty"`
	Baseline   string      `json:"baseline,omitempty"`
	Tool       string      `json:"tool"`
	Collectors []string    `json:"collectors"`
	Waivers    []WaiverUse `json:"waivers,omitempty"`
	// WaiversDigest is of all that the waivers say, hex SHA-256: reasons and approvals too.
	WaiversDigest string  `json:"waivers_sha256,omitempty"`
	Checked       Checked `json:"checked"`
	Findings      int     `json:"findings"`
	Verdict       string  `json:"verdict"`
	Source        string  `json:"source"` // what the facts are worth
}

// SnapshotSubject names a machine's snapshot among a statement's subjects. digest is of its canonical JSON, hex SHA-256.
func SnapshotSubject(s Subject, digest string) Digested {
	return Digested{"snapshot/" + s.Tier + "/" + s.Name, SHA256s{digest}}
}

// Sign makes the statement of an audit and signs it: the JSON of a DSSE envelope. snapshots are made by SnapshotSubject; waivers is what the
// definition says of waivers, in any stable form, or nil.
func Sign(ctx context.Context, key ed25519.PrivateKey, r *Report, snapshots []Digested, waivers []byte) ([]byte, error) {
	var report bytes.Buffer
	if err := writeJSON(&report, r, WriteOptions{}); err != nil {
		return nil, fmt.Errorf("cannot sign the audit: %w", err)
	}
	s := summarize(r)
	st := Statement{Type: statementType, PredicateType: AuditPredicate, Subject: append(slices.Clone(snapshots), Digested{ReportSubject, SHA256s{hexDigest(report.Bytes())}}),
		Predicate: Audited{At: r.At.UTC(), Project: r.Project, Commit: r.Commit, Baseline: r.Baseline, Tool: r.Tool, Collectors: r.Collectors, Waivers: r.Waivers,
			Checked: r.Checked, Findings: s.findings, Verdict: s.standing(r), Source: selfReported}}
	if waivers != nil {
		st.Predicate.WaiversDigest = hexDigest(waivers)
	}
	slices.SortFunc(st.Subject, func(a, b Digested) int { return cmp.Compare(a.Name, b.Name) })
	if err := st.check(); err != nil {
		return nil, fmt.Errorf("cannot sign the audit: %w", err)
	}
	payload, err := json.Marshal(st)
	if err != nil {
		return nil, fmt.Errorf("cannot sign the audit: %w", err)
	}
	signer, err := dsse.NewEnvelopeSigner(&auditKey{private: key, public: key.Public().(ed25519.PublicKey)})
	if err != nil {
		return nil, fmt.Errorf("cannot sign the audit: %w", err)
	}
	e, err := signer.SignPayload(ctx, payloadType, payload)
	if err != nil {
		return nil, fmt.Errorf("cannot sign the audit: %w", err)
	}
	out, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("cannot sign the audit: %w", err)
	}
	return append(out, '\n'), nil
}

// Verify reads an envelope that one of the trusted keys signed. What it says of anything is for Covers to compare.
func Verify(ctx context.Context, envelope []byte, trusted ...ed25519.PublicKey) (*Statement, error) {
	if len(envelope) > envelopeBytes {
		return nil, fmt.Errorf("cannot verify the audit: its envelope has %s, allowed are %s", counted(len(envelope), "byte"), counted(envelopeBytes, "byte"))
	}
	var e dsse.Envelope
	if err := strictJSON(envelope, &e); err != nil {
		return nil, fmt.Errorf("cannot verify the audit: it is no DSSE envelope: %w", err)
	}
	if e.PayloadType != payloadType {
		return nil, fmt.Errorf("cannot verify the audit: it is a signed %q, want %s", e.PayloadType, payloadType)
	}
	var keys []dsse.Verifier
	for i, k := range trusted {
		if slices.ContainsFunc(trusted[:i], func(o ed25519.PublicKey) bool { return o.Equal(k) }) {
			continue
		}
		if len(k) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("cannot verify the audit: a key of %d bytes is no ed25519 key", len(k))
		}
		keys = append(keys, &auditKey{public: k})
	}
	if len(keys) == 0 {
		return nil, errors.New("cannot verify the audit: no key is trusted")
	}
	verifier, err := dsse.NewEnvelopeVerifier(keys...)
	if err != nil {
		return nil, fmt.Errorf("cannot verify the audit: %w", err)
	}
	_, payload, err := verifier.VerifyAndDecode(ctx, &e)
	if err != nil {
		return nil, fmt.Errorf("cannot verify the audit: none of the %s signed it: %w", counted(len(keys), "trusted key"), err)
	}
	var st Statement
	if err := strictJSON(payload, &st); err != nil {
		return nil, fmt.Errorf("cannot verify the audit: what was signed is no statement of an audit: %w", err)
	}
	if err := st.check(); err != nil {
		return nil, fmt.Errorf("cannot verify the audit: what was signed is no statement of an audit: %w", err)
	}
	return &st, nil
}

// check holds for what is signed and for what was signed by others.
func (st *Statement) check() error {
	if st.Type != statementType || st.PredicateType != AuditPredicate {
		return fmt.Errorf("it is a %q about %q, want %s about %s", st.Type, st.PredicateType, statementType, AuditPredicate)
	}
	for i, s := range st.Subject {
		if raw, err := hex.DecodeString(s.Digest.SHA256); err != nil || len(raw) != sha256.Size || strings.ToLower(s.Digest.SHA256) != s.Digest.SHA256 {
			return fmt.Errorf("the digest of %q is %q, want %d hexadecimal digits", s.Name, s.Digest.SHA256, 2*sha256.Size)
		}
		if i > 0 && st.Subject[i-1].Name >= s.Name {
			return fmt.Errorf("%q stands twice among its subjects, or out of order", s.Name)
		}
	}
	return nil
}

// Covers compares what is at hand with what was signed: the report's JSON form (nil: not at hand) and snapshots. Everything that is other
// than signed, or was not signed at all, is named; snapshots that were signed and are not at hand are no error and are counted in left.
func (st *Statement) Covers(report []byte, snapshots []Digested) (left int, err error) {
	signed := map[string]string{}
	for _, s := range st.Subject {
		if strings.HasPrefix(s.Name, "snapshot/") {
			left++
		}
		signed[s.Name] = s.Digest.SHA256
	}
	var wrong []error
	look := func(name, digest string) {
		switch was, known := signed[name]; {
		case !known:
			wrong = append(wrong, fmt.Errorf("%q was not signed", name))
		case was != digest:
			wrong = append(wrong, fmt.Errorf("%q is not what was signed: its digest is %s, signed was %s", name, digest, was))
		}
	}
	if report != nil {
		look(ReportSubject, hexDigest(report))
	}
	seen := map[string]bool{}
	for _, s := range snapshots {
		look(s.Name, s.Digest.SHA256)
		if _, known := signed[s.Name]; known && !seen[s.Name] {
			seen[s.Name] = true
			left--
		}
	}
	return left, errors.Join(wrong...)
}

func strictJSON(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("something follows it")
	}
	return nil
}

func hexDigest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// auditKey is an ed25519 key as DSSE wants it.
type auditKey struct {
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

func (k *auditKey) Sign(_ context.Context, data []byte) ([]byte, error) {
	return ed25519.Sign(k.private, data), nil
}

func (k *auditKey) Verify(_ context.Context, data, sig []byte) error {
	if !ed25519.Verify(k.public, data, sig) {
		return errors.New("the signature is wrong")
	}
	return nil
}

func (k *auditKey) KeyID() (string, error) { return KeyID(k.public) }

func (k *auditKey) Public() crypto.PublicKey { return k.public }

// KeyID is how an envelope names a key: the SHA-256 of its SubjectPublicKeyInfo, hex
// (openssl pkey -in KEY -pubout -outform DER | sha256sum). It selects, and proves nothing.
func KeyID(key ed25519.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("cannot name a key: %w", err)
	}
	return hexDigest(der), nil
}
