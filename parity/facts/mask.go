// SPDX-License-Identifier: Apache-2.0

package facts

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/evenkeel/evenkeel/parity"
)

// Mask puts keyed digests in place of secrets: values whose name says secret (DB_PASSWORD, api-key, ...), and what has the form of one wherever it stands (private keys,
// passwords in URLs, bearer tokens, password hashes, tokens of known makers). Equal secrets have equal digests, so a masked text compares as the text did; that is why it masks
// when in doubt. It is safe for concurrent use.
type Mask struct {
	key []byte
	id  string

	mu    sync.Mutex
	texts map[textID]string // long ones that were masked before: machines that differ in one file share all others
	room  int               // bytes of texts that may still come
}

// textID is a text, and how it was masked.
type textID struct {
	sum    [sha256.Size]byte
	byForm bool
}

// maxTexts is how many bytes of masked texts are remembered, and longText from which length on.
const (
	maxTexts = 32 << 20
	longText = 256
)

// NewMask makes a mask of a key of at least 16 bytes.
func NewMask(key []byte) (*Mask, error) {
	if len(key) < 16 {
		return nil, fmt.Errorf("cannot mask secrets: the key has %d bytes; at least 16 are needed", len(key))
	}
	sum := sha256.Sum256(append([]byte("evenkeel key id"), key...))
	return &Mask{key: append([]byte(nil), key...), id: hex.EncodeToString(sum[:8]), texts: map[textID]string{}, room: maxTexts}, nil
}

// KeyID tells keys apart and says nothing of them: the first 8 bytes, hex, of the SHA-256 over "evenkeel key id" and the key.
func (m *Mask) KeyID() string { return m.id }

// maskLength is how many bytes of the HMAC are shown.
const maskLength = 16

// of is what stands in place of a secret.
func (m *Mask) of(secret string) string {
	h := hmac.New(sha256.New, m.key)
	h.Write([]byte(secret))
	return "hmac:" + hex.EncodeToString(h.Sum(nil)[:maskLength])
}

// namesThings reports whether the keys of a section name things and not settings: paths, packages, accounts. There passwd is no password.
func namesThings(section string) bool {
	switch strings.TrimSuffix(section, parity.OwnSuffix) {
	case "archives", "birth", "boot", "ca", "conffiles", "etc", "firewall", "groups", "keys", "languages", "modules", "mounts", "os", "packages", "ports", "settled", "sudoers", "timers",
		"units", "updates", "users":
		return true
	}
	return false
}

// wordy reports whether a text speaks of passwords without holding any: who may do without one, which module checks one. Only what has a secret's form is masked there.
func wordy(section, key string) bool {
	switch section {
	case "users", "groups", "sudoers", "packages", "conffiles", "updates", "ports", "modules", "ca", "languages":
		return true
	}
	switch key {
	case "/etc/nsswitch.conf", "/etc/sudoers", "/etc/services", "/etc/rpc", "/etc/protocols":
		return true
	}
	return strings.HasPrefix(key, "/etc/sudoers.d/") || strings.HasPrefix(key, "/etc/pam.d/") || key == "/etc/pam.conf"
}

// Items masks the items of a section, in place.
func (m *Mask) Items(section string, items []parity.Item) {
	for i := range items {
		item := &items[i]
		byForm := wordy(section, item.Key)
		switch {
		case item.Value == "":
		case !namesThings(section) && isSecretName(item.Key) && !isPlain(item.Value):
			item.Value = m.of(item.Value)
		default:
			item.Value = m.text(item.Value, byForm)
		}
		switch {
		case item.Body == "":
		case section == "etc" && secretFile(item.Key):
			item.Body = m.of(item.Body) + "\n"
		default:
			item.Body = m.text(item.Body, byForm)
		}
		item.Unknown = m.text(item.Unknown, byForm)
		if strings.ContainsAny(item.Key, " =@") { // a command, a URL
			item.Key = m.text(item.Key, byForm)
		}
	}
}

// text masks what is secret in a text; with byForm only what has a secret's form. Equal texts give one string.
func (m *Mask) text(s string, byForm bool) string {
	if len(s) < longText {
		return m.masked(s, byForm)
	}
	id := textID{sha256.Sum256([]byte(s)), byForm}
	m.mu.Lock()
	known, ok := m.texts[id]
	m.mu.Unlock()
	if ok {
		return known
	}
	s = m.masked(s, byForm)
	m.mu.Lock()
	defer m.mu.Unlock()
	if known, ok := m.texts[id]; ok {
		return known
	}
	if m.room -= len(s); m.room >= 0 {
		m.texts[id] = s
	}
	return s
}

// secretFile reports whether all of a file is a secret, by its name.
func secretFile(file string) bool {
	base := strings.ToLower(path.Base(file))
	switch base {
	case ".netrc", "netrc", ".pgpass", "pgpass", "chap-secrets", "pap-secrets", "rndc.key", "credentials", ".htpasswd", "htpasswd", "shadow", "gshadow", "shadow-", "gshadow-", "opasswd", "krb5.keytab":
		return true
	}
	return strings.HasSuffix(base, ".htpasswd") || strings.HasSuffix(base, ".key") || strings.Contains(strings.TrimPrefix(file, "/etc"), "/secrets/")
}

// isPlain reports whether a value under a secret's name is none: a switch, or nothing.
func isPlain(value string) bool {
	switch strings.ToLower(strings.Trim(value, `"' `)) {
	case "", "yes", "no", "true", "false", "on", "off", "none", "null", "~", "0", "1", "x", "*", "!":
		return true
	}
	return false
}

// isSecretName reports whether a setting of that name holds a secret.
func isSecretName(name string) bool {
	if len(name) > maxName {
		return false
	}
	var room [maxName]byte
	s, word := room[:0], 0 // letters and digits, and where the last word of them begins
	fresh := true
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			fresh = true
			continue
		}
		if fresh {
			word, fresh = len(s), false
		}
		s = append(s, c)
	}
	switch string(s[word:]) { // words that mean it only where they stand alone
	case "pass", "pw", "psk":
		return true
	case "pwd", "pin": // the working folder; apt's
		return word > 0 && string(s) != "oldpwd"
	}
	end := -1
	for _, w := range secretWords {
		if i := bytes.LastIndex(s, []byte(w)); i >= 0 {
			end = max(end, i+len(w))
		}
	}
	if end < 0 {
		return false
	}
	for _, about := range aboutSecrets {
		if bytes.HasSuffix(s[end:], []byte(about)) {
			return false
		}
	}
	return !bytes.Contains(s[end:], []byte("enable")) && !bytes.Contains(s[end:], []byte("disable"))
}

// maxName is the longest name of a setting, in bytes.
const maxName = 128

// secretWords make a name secret, whatever stands before them.
var secretWords = []string{
	"password", "passwd", "passphrase", "passwort", "secret", "token", "credential", "apikey", "accesskey", "privatekey", "presharedkey", "sharedkey", "masterkey", "signingkey",
	"encryptionkey", "decryptionkey", "cryptkey", "appkey", "authkey", "sessionkey", "accountkey", "storagekey", "deploykey", "licensekey", "consumerkey", "hmackey", "fastopenkey",
	"requirepass", "masterauth", "authpass", "userpass", "dbpass", "rootpass", "adminpass", "mailpass", "smtppass", "bindpw", "rootpw", "userpw", "dbpw", "authorization",
}

// aboutSecrets end a name that says something about a secret and does not hold it: password_file, PasswordAuthentication, token_ttl.
var aboutSecrets = []string{
	"file", "path", "dir", "authentication", "auth", "length", "len", "age", "days", "ttl", "timeout", "expiry", "expires", "lifetime", "policy", "type", "algorithm", "algorithms", "tries", "retries",
	"prompt", "id", "min", "max", "encryption", "name", "warn", "expire", "endpoint", "format", "command", "check", "checks", "quality", "change", "ring", "bits", "method",
}
