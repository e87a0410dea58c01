// SPDX-License-Identifier: Apache-2.0

package ssh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// keyFileMax bounds a private key file; a 16384-bit RSA key needs 13 kB.
const keyFileMax = 64 << 10

// Identity is a way to prove who we are: private keys and keys an agent holds. It holds no connection and needs no closing.
type Identity struct {
	keys  []key
	named int // of keys: those of the file that the user named, which come before any other
}

// key is one way to sign; signer binds it to the ctx of one login.
type key struct {
	public ssh.PublicKey
	signer func(ctx context.Context) ssh.Signer
}

// LoadIdentity gathers keys in order: file (--identity or $EVENKEEL_SSH_KEY_FILE; a passphrase-protected one is used through the
// agent; a user certificate for it in FILE-cert.pub is shown first, as ssh(1) does), the agent at $SSH_AUTH_SOCK, then generated. Where generated does not exist it is made, 0600 in a 0700 folder, two processes
// at once make one. file and generated may be "". A file that cannot be used is an error; an agent that does not answer is none.
func LoadIdentity(file, generated string) (*Identity, error) {
	held := agentKeys(os.Getenv("SSH_AUTH_SOCK"))
	id := &Identity{}
	if file != "" {
		k, err := loadKey(file, held)
		if err != nil {
			return nil, err
		}
		if c, ok := certified(k, file); ok {
			id.add(c)
		}
		id.add(k)
		id.named = len(id.keys)
	}
	for _, k := range held {
		id.add(k)
	}
	if generated != "" {
		if err := ensureKey(generated); err != nil {
			return nil, err
		}
		k, err := loadKey(generated, held)
		if err != nil {
			return nil, err
		}
		id.add(k)
	}
	return id, nil
}

// PublicKeys are the identity's keys in authorized_keys form, the first tried first. Certificates are not among them: none lets in by itself.
func (id *Identity) PublicKeys() []string {
	var lines []string
	for _, k := range id.keys {
		if _, is := k.public.(*ssh.Certificate); is {
			continue
		}
		lines = append(lines, authorizedKey(k.public))
	}
	return lines
}

// With is id with the keys of files, behind the one that the user named and before all others. As ssh(1) has it, a file that is not there is passed over, and of a
// key the certificate beside it is shown first. id is not changed, and may be nil.
func (id *Identity) With(files ...string) (*Identity, error) {
	if id == nil {
		id = &Identity{}
	}
	more := &Identity{keys: slices.Clone(id.keys[:id.named]), named: id.named}
	for _, file := range files {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		k, err := loadKey(file, id.keys)
		if err != nil {
			return nil, err
		}
		if c, ok := certified(k, file); ok {
			more.add(c)
		}
		more.add(k)
	}
	for _, k := range id.keys[id.named:] {
		more.add(k)
	}
	return more, nil
}

// add appends k where no earlier key is the same.
func (id *Identity) add(k key) {
	same := func(o key) bool { return sameKey(o.public, k.public) }
	if !slices.ContainsFunc(id.keys, same) {
		id.keys = append(id.keys, k)
	}
}

func sameKey(a, b ssh.PublicKey) bool { return string(a.Marshal()) == string(b.Marshal()) }

// loadKey reads a private key; one with a passphrase is looked for among the agent's.
func loadKey(file string, held []key) (key, error) {
	data, err := readKeyFile(file)
	if err != nil {
		return key{}, fmt.Errorf("cannot use key %s: %w", file, err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	locked, isLocked := errors.AsType[*ssh.PassphraseMissingError](err)
	switch {
	case isLocked:
		public := locked.PublicKey
		if public == nil { // older PEM forms do not name it
			public = publicBeside(file)
		}
		for _, k := range held {
			if public != nil && sameKey(k.public, public) {
				return k, nil
			}
		}
		return key{}, fmt.Errorf("cannot use key %s: it has a passphrase and no agent holds it; run: ssh-add %s", file, Quote(file))
	case err != nil:
		return key{}, fmt.Errorf("cannot use key %s: it is no private key in OpenSSH or PEM form: %w", file, &farError{err})
	}
	return key{signer.PublicKey(), func(context.Context) ssh.Signer { return signer }}, nil
}

// readKeyFile reads a regular file that only its owner may read, or that is root's and given to us.
func readKeyFile(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	others := os.FileMode(0o077)
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Uid == 0 && os.Geteuid() != 0 {
		others = 0o007 // root hands it to us by an access list, as systemd does with credentials: the group's bits are its mask
	}
	if mode := info.Mode().Perm(); mode&others != 0 {
		return nil, fmt.Errorf("others may read it (mode %04o, want 0600); run: chmod 600 %s", mode, Quote(file))
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, keyFileMax+1))
	if err == nil && len(data) > keyFileMax {
		return nil, fmt.Errorf("it is larger than %d bytes", keyFileMax)
	}
	return data, err
}

// certified is k with the certificate in FILE-cert.pub, where there is one of a user for this very key.
func certified(k key, file string) (key, bool) {
	cert, ok := publicIn(file + "-cert.pub").(*ssh.Certificate)
	if !ok || cert.CertType != ssh.UserCert || !sameKey(cert.Key, k.public) {
		return key{}, false
	}
	return key{cert, func(ctx context.Context) ssh.Signer {
		plain := k.signer(ctx)
		signer, err := ssh.NewCertSigner(cert, plain)
		if err != nil { // only where the keys differ
			return plain
		}
		return signer
	}}, true
}

// publicBeside is the key in FILE.pub, or nil.
func publicBeside(file string) ssh.PublicKey { return publicIn(file + ".pub") }

// publicIn is the key or certificate in a file in authorized_keys form, or nil.
func publicIn(file string) ssh.PublicKey {
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, keyFileMax))
	if err != nil {
		return nil
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		return nil
	}
	return public
}

// ensureKey makes file with a new key where there is none. The key is complete before the file has its name, and link(2) lets
// exactly one of several processes give it.
func ensureKey(file string) error {
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return nil // there, or loadKey says why it cannot be read
	}
	cannot := func(err error) error { return fmt.Errorf("cannot make key %s: %w", file, err) }
	private, _, err := GenerateKey("evenkeel")
	if err != nil {
		return err
	}
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return cannot(err)
	}
	temp := filepath.Join(dir, ".key-"+rand.Text())
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return cannot(err)
	}
	defer func() { _ = os.Remove(temp) }()
	_, err = f.Write(private)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return cannot(err)
	}
	if err := os.Link(temp, file); err != nil && !errors.Is(err, fs.ErrExist) {
		return cannot(err)
	}
	return nil
}
