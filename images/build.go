// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/images/guest"
	"github.com/evenkeel/evenkeel/internal/progress"
)

// builderVersion is part of every image key: it is raised when the same recipe and lock come to another tree. The scripts and what every
// image holds are part of it by themselves.
const builderVersion = 3

var (
	//go:embed scripts/tree.sh
	treeScript string
	//go:embed scripts/base.sh
	baseScript string
	//go:embed scripts/given.sh
	givenScript string
	//go:embed scripts/recipe.sh
	recipeScript string
)

// Key is the image key of recipe and lock, 64 hex digits; "" where there is no lock. It needs no build.
func (r *Recipe) Key() string {
	if r.Lock == nil {
		return ""
	}
	spec, err := json.Marshal(r.spec)
	if err != nil {
		panic(err) // plain data always encodes
	}
	return digestOfAll("image", strconv.Itoa(builderVersion), string(spec), r.Lock.digest(), guest.Digest(r.Lock.From), r.Name,
		r.baseScripts(), recipeScript)
}

// baseKey names the base stage: release, packages, time, guest files and the scripts that make it.
func (r *Recipe) baseKey() string {
	base := Lock{From: r.Lock.From, Arch: r.Lock.Arch, Time: r.Lock.Time, Base: r.Lock.Base, Packages: r.Lock.layer(true)}
	return digestOfAll("base", strconv.Itoa(builderVersion), base.digest(), guest.Digest(r.Lock.From), r.baseScripts())
}

// baseScripts are those that make r's base.
func (r *Recipe) baseScripts() string {
	if r.Lock.Base != "" {
		return treeScript + baseScript + givenScript
	}
	return treeScript + baseScript
}

func digestOfAll(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d %s\n", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (l *Lock) layer(base bool) []LockedPackage {
	return slices.DeleteFunc(slices.Clone(l.Packages), func(p LockedPackage) bool { return p.Base != base })
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// buildTree makes the root tree of r in the file tree, and returns its digest.
func (s *Store) buildTree(ctx context.Context, r *Recipe, work, tree string, p progress.Func) (string, error) {
	if err := needTools("mmdebstrap", "apt-get", "dpkg-deb", "unshare", "tar"); err != nil {
		return "", err
	}
	if _, err := sandboxPrefix(); err != nil {
		return "", err // before minutes of fetching
	}
	if err := s.fetch(ctx, s.blobs(r), r.Name, p); err != nil {
		return "", err
	}
	base, err := s.baseStage(ctx, r, p)
	if err != nil {
		return "", fmt.Errorf("cannot build the base of %s: %w", r.Lock.From, err)
	}
	more := r.Lock.layer(false)
	if err := s.layRepo(ctx, filepath.Join(work, "repo"), releases()[r.Lock.From].codename, more); err != nil {
		return "", err
	}
	room, err := s.room(ctx, r.Lock.Packages)
	if err != nil {
		return "", err
	}
	if r.Lock.Base != "" {
		info, err := os.Stat(base)
		if err != nil {
			return "", err
		}
		room += info.Size()
	}
	if err := os.Symlink(base, filepath.Join(work, "base.tar")); err != nil {
		return "", err
	}
	if err := r.spec.layWork(work, r.Lock.Time, s.packagePath); err != nil {
		return "", err
	}
	m := &Manifest{Format: 1, Recipe: r.Name, Release: r.Lock.From, Key: r.Key(), Time: r.Lock.Time, Packages: r.Lock.installed()}
	digest, err := s.runRecipe(ctx, r, work, tree, s.memoryTree(room), m, newSteps(r.Name, 2*len(more), p))
	if err != nil {
		return "", err
	}
	return digest, sameSet(filepath.Join(work, "installed"), m.Packages)
}

// runRecipe runs the recipe's part in the sandbox, whose output becomes the tree on the fly.
func (s *Store) runRecipe(ctx context.Context, r *Recipe, work, tree, memory string, m *Manifest, steps *steps) (digest string, err error) {
	out, err := os.OpenFile(tree, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return "", err
	}
	defer out.Close()
	box := sandbox{dir: work, env: buildEnv(r.Lock), line: steps.line}
	runErr, finishErr := box.feed(ctx, func(in io.Reader) (err error) {
		digest, err = finishTree(in, out, m)
		return err
	}, "sh", "-c", treeScript+recipeScript, "recipe.sh", memory)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case runErr != nil && !errors.Is(runErr, finishErr):
		return "", fmt.Errorf("cannot %s: %w", steps.deed(), runErr)
	case finishErr != nil:
		return "", finishErr
	}
	return digest, out.Close()
}

// baseStage is the file of the base stage, built if it is not there.
func (s *Store) baseStage(ctx context.Context, r *Recipe, p progress.Func) (string, error) {
	key := r.baseKey()
	final := filepath.Join(s.dir, "stages", key+".tar")
	l, err := s.lock(ctx, "stage-"+key, func() {
		p.Emit(progress.Event{Subject: r.Name, Stage: "wait", Detail: "another build makes the base"})
	})
	if err != nil {
		return "", err
	}
	defer l.unlock()
	if _, err := os.Stat(final); err == nil {
		used(final)
		return final, nil
	}
	work, done, err := s.tempDir(ctx, "base")
	if err != nil {
		return "", err
	}
	defer done()
	if err := s.buildBase(ctx, r, work, p); err != nil {
		return "", err
	}
	return final, os.Rename(filepath.Join(work, "base.tar"), final)
}

func (s *Store) buildBase(ctx context.Context, r *Recipe, work string, p progress.Func) error {
	packages := r.Lock.layer(true)
	codename := releases()[r.Lock.From].codename
	repo := filepath.Join(work, "repo")
	if err := s.layRepo(ctx, repo, codename, packages); err != nil {
		return err
	}
	if err := writeTar(filepath.Join(work, "guest.tar"), baseFiles(r.Lock.From), r.Lock.Time); err != nil {
		return err
	}
	enable, mask := guest.Services()
	for name, data := range map[string][]byte{
		"enable": linesOf(enable), "mask": linesOf(mask), "user": linesOf([]string{loginAccount()}), "base.sh": []byte(treeScript + baseScript),
	} {
		if err := os.WriteFile(filepath.Join(work, name), data, 0o644); err != nil {
			return err
		}
	}
	room, err := s.room(ctx, packages)
	if err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(work, "base.tar"))
	if err != nil {
		return err
	}
	defer out.Close()
	steps := newSteps(r.Name, 2*len(packages), p)
	box := sandbox{dir: work, env: buildEnv(r.Lock), stdout: out, line: steps.line}
	if r.Lock.Base != "" {
		return s.buildGiven(ctx, r, box, room, out)
	}
	box.env = append(box.env, "TMPDIR="+work+"/tmp", "EVENKEEL_WORK="+work)
	args := append([]string{"-c", mountTemp, "sh", s.memoryTree(room), "mmdebstrap"}, mmdebstrapArgs(codename, repo, packages)...)
	if err := box.run(ctx, "sh", args...); err != nil {
		return err
	}
	return out.Sync()
}

// mountTemp gives the command that follows a $TMPDIR in memory of the size $1, or on the disk where that is empty.
const mountTemp = `mkdir "$TMPDIR" && { [ -z "$1" ] || mount -t tmpfs -o "size=$1,mode=0755" tmpfs "$TMPDIR"; } && shift && exec "$@"`

// loginAccount is what useradd is called with for the user every image has.
func loginAccount() string {
	u := guest.Login()
	return fmt.Sprintf("--create-home --user-group --uid %d --home-dir %s --shell %s --password %s %s", u.ID, u.Home, u.Shell, u.Password, u.Name)
}

// divertedInitrd is where update-initramfs waits meanwhile; scripts/base.sh brings it back.
const divertedInitrd = "/usr/sbin/update-initramfs.evenkeel"

// mmdebstrapArgs installs exactly the packages of repo; names are all given, so that nothing is left to apt's choice.
func mmdebstrapArgs(codename, repo string, packages []LockedPackage) []string {
	var names []string
	for _, p := range packages {
		names = append(names, p.Name)
	}
	// The initrd would be made for the kernel and again for initramfs-tools, each time from their own configuration: base.sh makes it
	// once, at the end.
	noInitrd := `chroot "$1" dpkg-divert --quiet --local --rename --divert ` + divertedInitrd + ` --add /usr/sbin/update-initramfs &&
		printf '#!/bin/sh\nexit 0\n' > "$1/usr/sbin/update-initramfs" && chmod 0755 "$1/usr/sbin/update-initramfs"`
	return []string{
		"--verbose", "--mode=root", "--format=tar", "--variant=essential", "--include=" + strings.Join(names, ","),
		"--dpkgopt=force-unsafe-io", "--essential-hook=" + noInitrd, `--customize-hook=sh "$EVENKEEL_WORK/base.sh" "$1"`,
		codename, "-", "deb [trusted=yes] copy:" + strings.ReplaceAll(repo, " ", "%20") + " ./",
	}
}

func buildEnv(l *Lock) []string {
	return toolEnv("DEBIAN_FRONTEND=noninteractive", "DEBCONF_NONINTERACTIVE_SEEN=true", fmt.Sprintf("SOURCE_DATE_EPOCH=%d", l.Time.Unix()))
}

// sameSet compares what dpkg says is installed with the lock.
func sameSet(installed string, locked []ManifestPackage) error {
	data, err := os.ReadFile(installed)
	if err != nil {
		return err
	}
	got := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, "config-files ") { // what a package of a given tree left behind
			got[strings.TrimSpace(line)] = true
		}
	}
	for _, p := range locked {
		want := fmt.Sprintf("installed %s %s %s", p.Name, p.Version, p.Arch)
		if !got[want] {
			return fmt.Errorf("the lock has %s %s, but it did not get installed: something the recipe's steps did?", p.Name, p.Version)
		}
		delete(got, want)
	}
	for line := range got {
		return fmt.Errorf("the image has a package that the lock does not: %s", line)
	}
	return nil
}
