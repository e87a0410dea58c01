// SPDX-License-Identifier: Apache-2.0

package facts

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// LoadKey reads the key that masks secrets from file: 64 hex digits. Where it is not there it is made, 0600, in a folder 0700; of two processes that make it at once both get
// the same. A file that others may read is refused.
func LoadKey(file string) ([]byte, error) {
	key, err := readKey(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := makeKey(file); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("cannot make the key that masks secrets: %w", err)
	}
	return readKey(file)
}

func readKey(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the key that masks secrets: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read the key that masks secrets: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("cannot use key %s: its mode is %04o, others could read it; chmod 600 it", file, info.Mode().Perm())
	}
	text := make([]byte, 100)
	n, _ := f.Read(text) // what is not there is too short
	key, err := hex.DecodeString(strings.TrimSpace(string(text[:n])))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("cannot use key %s: it must be 64 hex digits; move it away to have a new one made, with which masked values of earlier snapshots compare unknown", file)
	}
	return key, nil
}

// makeKey puts a whole file in place, or none.
func makeKey(file string) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".key-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	_, err = f.WriteString(hex.EncodeToString(key[:]) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), file)
}
