// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/trust"
	"github.com/evenkeel/evenkeel/providers/plugin"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// User is who opens environments: by its variables, which say where keys, consents, locks and images lie.
type User struct {
	Env []string // NAME=VALUE
	Dir string   // relative paths of the user's are from here
}

// Here is the user of this process.
func Here() (User, error) {
	dir, err := os.Getwd()
	if err != nil {
		return User{}, fmt.Errorf("cannot tell the current folder: %w", err)
	}
	return User{Env: os.Environ(), Dir: dir}, nil
}

// Getenv is "" for a variable that is not there.
func (u User) Getenv(name string) string {
	for _, e := range u.Env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// Path makes a path of the user's absolute.
func (u User) Path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(u.Dir, p)
}

// StateDir is our folder below $XDG_STATE_HOME: what must outlive a call but can be made anew. It is there when this returns.
func (u User) StateDir() (string, error) { return u.xdg("XDG_STATE_HOME", ".local/state") }

// CacheDir is our folder below $XDG_CACHE_HOME.
func (u User) CacheDir() (string, error) { return u.xdg("XDG_CACHE_HOME", ".cache") }

func (u User) xdg(variable, fallback string) (string, error) {
	// The specification says that relative values are to be ignored.
	base := u.Getenv(variable)
	if !filepath.IsAbs(base) {
		home := u.Getenv("HOME")
		if !filepath.IsAbs(home) {
			return "", fmt.Errorf("cannot tell where to keep files: neither %s nor HOME is an absolute path", variable)
		}
		base = filepath.Join(home, fallback)
	}
	dir := filepath.Join(base, "evenkeel")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cannot make folder %s: %w", dir, err)
	}
	return dir, nil
}

// Store opens the image store of this user.
func (u User) Store(ctx context.Context) (*images.Store, error) {
	dir, err := u.CacheDir()
	if err != nil {
		return nil, err
	}
	return images.OpenStore(ctx, dir)
}

// Trusted is where this user's consents are kept.
func (u User) Trusted() (trust.Store, error) {
	state, err := u.StateDir()
	return trust.Store{Dir: filepath.Join(state, "trust")}, err
}

// Owner is user@host, for the labels.
func (u User) Owner() string {
	name := u.Getenv("USER")
	if known, err := user.Current(); err == nil {
		name = known.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return name + "@" + host
}

// KeyFiles are where our private keys lie: one that was named, here or by $EVENKEEL_SSH_KEY_FILE, "" for none, and the one made for this user.
func (u User) KeyFiles(said string) (named, generated string, err error) {
	named = said
	if named == "" {
		named = u.Getenv("EVENKEEL_SSH_KEY_FILE")
	}
	if named != "" {
		named = u.Path(named)
	}
	generated, err = u.GeneratedKey()
	return named, generated, err
}

// GeneratedKey is where the key made for this user lies, or will.
func (u User) GeneratedKey() (string, error) {
	state, err := u.StateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(state, "ssh", "id_ed25519"), nil
}

// Identity is who we are to machines.
func (u User) Identity(said string) (*ssh.Identity, error) {
	file, generated, err := u.KeyFiles(said)
	if err != nil {
		return nil, err
	}
	return ssh.LoadIdentity(file, generated)
}

// BootDeadline is how long a machine may take to its first answer: what was said by an option of that name, else $EVENKEEL_BOOT_DEADLINE, else 0, which is
// the core's default.
func (u User) BootDeadline(option, said string) (time.Duration, error) {
	if said == "" {
		option, said = "EVENKEEL_BOOT_DEADLINE", u.Getenv("EVENKEEL_BOOT_DEADLINE")
	}
	if said == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(said)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%s: got %q; allowed is a time like 90s or 10m", option, said)
	}
	return d, nil
}

// KnownProviders are the names that a definition may use: the project's own, and those of plugins found here.
func KnownProviders() ([]string, error) {
	found, err := plugin.Find()
	if err != nil {
		return nil, err
	}
	known := envs.KnownProviders()
	for _, f := range found {
		if !slices.Contains(known, f.Name) {
			known = append(known, f.Name)
		}
	}
	return known, nil
}
