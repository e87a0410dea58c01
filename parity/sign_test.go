// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/parity"
)

func testKey(seed byte) (ed25519.PrivateKey, ed25519.PublicKey) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	return key, key.Public().(ed25519.PublicKey)
}

func hexOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func testSubjects() []parity.Digested {
	return []parity.Digested{
		parity.SnapshotSubject(parity.Subject{Tier: "staging", Name: "web-1"}, hexOf("staging web-1")),
		parity.SnapshotSubject(parity.Subject{Tier: "production", Name: "web-1"}, hexOf("production web-1")),
	}
}

func signed(t testing.TB, key ed25519.PrivateKey) []byte {
	t.Helper()
	out, err := parity.Sign(t.Context(), key, smallReport(), testSubjects(), []byte("waivers"))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestASignedAuditCoversItsReportAndSnapshots(t *testing.T) {
	key, public := testKey(1)
	envelope := signed(t, key)
	st, err := parity.Verify(t.Context(), envelope, public)
	if err != nil {
		t.Fatal(err)
	}
	if p := st.Predicate; p.Commit != "4f2a91c-dirty" || p.Tool != "evenkeel 0.4.0" || len(p.Collectors) != 1 || len(p.Waivers) != 2 || p.Findings != 6 ||
		p.WaiversDigest != hexOf("waivers") || !strings.Contains(p.Source, "report of themselves") {
		t.Errorf("got predicate %+v", p)
	}
	report := written(t, smallReport(), "json", parity.WriteOptions{})
	if left, err := st.Covers([]byte(report), testSubjects()); err != nil || left != 0 {
		t.Errorf("got %d left, %v; want all covered", left, err)
	}
	if left, err := st.Covers(nil, testSubjects()[:1]); err != nil || left != 1 {
		t.Errorf("got %d left, %v; want one snapshot not at hand", left, err)
	}
	_, err = st.Covers([]byte(report+" "), []parity.Digested{
		parity.SnapshotSubject(parity.Subject{Tier: "staging", Name: "web-1"}, hexOf("changed")),
		parity.SnapshotSubject(parity.Subject{Tier: "staging", Name: "web-2"}, hexOf("new")),
	})
	for _, want := range []string{`"audit.json" is not what was signed`, `"snapshot/staging/web-1" is not what was signed`, `"snapshot/staging/web-2" was not signed`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

// The envelope is what every tool of in-toto reads: the layers are taken apart here without the library.
func TestASignedAuditIsAnInTotoStatementInDSSE(t *testing.T) {
	key, public := testKey(1)
	var e struct {
		PayloadType, Payload string
		Signatures           []struct{ KeyID, Sig string }
	}
	if err := json.Unmarshal(signed(t, key), &e); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := base64.StdEncoding.DecodeString(e.Signatures[0].Sig)
	if err != nil {
		t.Fatal(err)
	}
	const form = "application/vnd.in-toto+json"
	pae := "DSSEv1 28 " + form + " " + jsonNumber(len(payload)) + " " + string(payload)
	if e.PayloadType != form || len(e.Signatures) != 1 || !ed25519.Verify(public, []byte(pae), sig) {
		t.Errorf("got an envelope of %q whose %d signatures are not over DSSE's encoding of it", e.PayloadType, len(e.Signatures))
	}
	if id, _ := parity.KeyID(public); e.Signatures[0].KeyID != id {
		t.Errorf("got key id %s, want %s", e.Signatures[0].KeyID, id)
	}
	var st map[string]any
	if err := json.Unmarshal(payload, &st); err != nil {
		t.Fatal(err)
	}
	if st["_type"] != "https://in-toto.io/Statement/v1" || st["predicateType"] != parity.AuditPredicate || len(st["subject"].([]any)) != 3 {
		t.Errorf("got statement %v", st)
	}
}

func jsonNumber(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestAnAuditThatWasTamperedWithIsNotVerified(t *testing.T) {
	key, public := testKey(1)
	otherKey, other := testKey(2)
	good := signed(t, key)
	change := func(f func(e map[string]any)) []byte {
		var e map[string]any
		if err := json.Unmarshal(good, &e); err != nil {
			t.Fatal(err)
		}
		f(e)
		out, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	payload := func(e map[string]any) string {
		raw, err := base64.StdEncoding.DecodeString(e["payload"].(string))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	for _, c := range []struct {
		name     string
		envelope []byte
		keys     []ed25519.PublicKey
		want     string
	}{
		{"another key", good, []ed25519.PublicKey{other}, "none of the 1 trusted key signed it"},
		{"no key", good, nil, "no key is trusted"},
		{"a payload changed", change(func(e map[string]any) {
			e["payload"] = base64.StdEncoding.EncodeToString([]byte(strings.Replace(payload(e), `"findings":6`, `"findings":0`, 1)))
		}), []ed25519.PublicKey{public}, "none of the"},
		{"another type of payload", change(func(e map[string]any) { e["payloadType"] = "text/plain" }), []ed25519.PublicKey{public}, `it is a signed "text/plain"`},
		{"no signature", change(func(e map[string]any) { e["signatures"] = []any{} }), []ed25519.PublicKey{public}, "no signature"},
		{"a foreign signature under the trusted id", change(func(e map[string]any) {
			var o map[string]any
			if err := json.Unmarshal(signed(t, otherKey), &o); err != nil {
				t.Fatal(err)
			}
			id, _ := parity.KeyID(public)
			sig := o["signatures"].([]any)[0].(map[string]any)
			sig["keyid"] = id
			e["signatures"] = []any{sig}
		}), []ed25519.PublicKey{public}, "none of the"},
		{"no JSON", []byte("x"), []ed25519.PublicKey{public}, "no DSSE envelope"},
		{"something after it", append(bytes.Clone(good), "{}"...), []ed25519.PublicKey{public}, "something follows it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st, err := parity.Verify(t.Context(), c.envelope, c.keys...)
			if err == nil || st != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v; want %q", st, err, c.want)
			}
		})
	}
	if _, err := parity.Verify(t.Context(), good, other, public, public); err != nil {
		t.Errorf("one of several trusted keys signed it, got %v", err)
	}
}

func TestTwoSnapshotsOfOneNameAreNotSigned(t *testing.T) {
	key, _ := testKey(1)
	s := testSubjects()
	if _, err := parity.Sign(t.Context(), key, smallReport(), append(s, s[0]), nil); err == nil || !strings.Contains(err.Error(), "stands twice") {
		t.Errorf("got %v", err)
	}
	if _, err := parity.Sign(t.Context(), key, smallReport(), []parity.Digested{{Name: "snapshot/a/b", Digest: parity.SHA256s{SHA256: "none"}}}, nil); err == nil {
		t.Error("a digest that is none was signed")
	}
}

func TestKeysOfAuditsAreEd25519InPEM(t *testing.T) {
	key, public := testKey(3)
	dir := t.TempDir()
	write := func(name, kind string, der []byte, mode os.FileMode) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parity.ReadSigningKey(write("good.key", "PRIVATE KEY", private, 0o600)); err != nil || !got.Equal(key) {
		t.Errorf("got %v", err)
	}
	if got, err := parity.ReadTrustedKey(write("good.pub", "PUBLIC KEY", spki, 0o644)); err != nil || !got.Equal(public) {
		t.Errorf("got %v", err)
	}
	for file, want := range map[string]string{
		write("open.key", "PRIVATE KEY", private, 0o644):        "others may read it (mode 0644",
		write("ssh.key", "OPENSSH PRIVATE KEY", private, 0o600): "openssl genpkey",
		write("enc.key", "ENCRYPTED PRIVATE KEY", nil, 0o600):   "it has a passphrase",
		write("bad.key", "PRIVATE KEY", []byte("x"), 0o600):     "cannot use the signing key",
		filepath.Join(dir, "none"):                              "no such file",
		dir:                                                     "no regular file",
	} {
		if _, err := parity.ReadSigningKey(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", file, err, want)
		}
	}
	if _, err := parity.ReadTrustedKey(write("private.pub", "PRIVATE KEY", private, 0o600)); err == nil || !strings.Contains(err.Error(), "want a PUBLIC KEY") {
		t.Errorf("got %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	key, public := testKey(1)
	good := signed(f, key)
	f.Add(good)
	f.Add([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"sig":""}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		st, err := parity.Verify(t.Context(), data, public)
		if err == nil && st.Predicate.Findings != 6 {
			t.Errorf("verified what was never signed: %s", data)
		}
	})
}
