// SPDX-License-Identifier: Apache-2.0

package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/images/guest"
	"github.com/evenkeel/evenkeel/internal/progress"
)

// snapshotDelay is added to an index's date to name a snapshot that surely holds it: the service takes the archive's state some hours
// after the archive publishes, and a superseded package stays in the archive for a day or more.
const snapshotDelay = 12 * time.Hour

// WriteLock resolves r against the archives (signatures verified) and writes r's lock beside it, atomically. With update false an
// existing lock that still fits the recipe is kept. It returns the recipe loaded anew.
func (s *Store) WriteLock(ctx context.Context, r *Recipe, update bool, p progress.Func) (*Recipe, error) {
	if r.Lock != nil && !update {
		return r, nil
	}
	lock, err := s.NewLock(ctx, r, p)
	if err != nil {
		return nil, err
	}
	return s.SaveLock(r, lock)
}

// resolve chooses in two steps as a build installs in two: first what every image of the release holds, then over it the recipe's
// packages. So recipes of one release share the first step's packages and with them its build.
func (s *Store) resolve(ctx context.Context, r *Recipe, p progress.Func) (*Lock, error) {
	if err := needTools("apt-get"); err != nil {
		return nil, err
	}
	archives := s.mirrored(r.spec.archives())
	if err := checkKeyrings(r, archives); err != nil {
		return nil, err
	}
	dir, done, err := s.tempDir(ctx, "lock")
	if err != nil {
		return nil, err
	}
	defer done()
	emit := func(detail string, n int64) {
		p.Emit(progress.Event{Subject: r.Name, Stage: "lock", Detail: detail, Done: n, Total: 4})
	}
	a, err := newApt(ctx, dir, archives, r.spec.Packages, nil)
	if err != nil {
		return nil, err
	}
	emit("fetching the signed indexes of "+r.spec.From, 0)
	if err := a.update(ctx); err != nil {
		return nil, fmt.Errorf("cannot fetch the indexes of %s: %w", r.spec.From, err)
	}
	indexes, err := a.indexes(ctx)
	if err != nil {
		return nil, err
	}
	tree, err := s.given(ctx, r, p)
	if err != nil {
		return nil, err
	}
	if err := a.install(tree.stanzas); err != nil {
		return nil, err
	}
	emit("choosing the base", 1)
	essential, err := essentialPackages(archives, indexes)
	if err != nil {
		return nil, err
	}
	base, err := a.choose(ctx, tree.lacks(append(essential, guest.Packages(r.spec.From)...)))
	if err != nil {
		return nil, fmt.Errorf("cannot choose the packages every image of %s needs: %w", r.spec.From, err)
	}
	emit("choosing the recipe's packages", 2)
	chosen := lockedPackages(archives, base, true)
	stanzas, err := stanzasOf(indexes, chosen)
	if err != nil {
		return nil, err
	}
	if err := a.install(append(tree.over(chosen), stanzas...)); err != nil {
		return nil, err
	}
	if len(r.spec.Packages) > 0 {
		more, err := a.choose(ctx, wantNames(r.spec.Packages))
		if err != nil {
			return nil, fmt.Errorf("cannot choose the packages of the recipe: %w", err)
		}
		chosen = append(chosen, lockedPackages(archives, more, false)...)
	}
	emit("writing the lock", 3)
	return s.newLock(r, a, archives, indexes, chosen, tree)
}

// given is the tree that r starts from, brought into the store; the zero one where r starts from its release.
func (s *Store) given(ctx context.Context, r *Recipe, p progress.Func) (givenTree, error) {
	b, found := r.spec.baseBlob(s)
	if !found {
		return givenTree{}, nil
	}
	if err := s.fetch(ctx, []blob{b}, r.Name, p); err != nil {
		return givenTree{}, err
	}
	tree, err := readGiven(ctx, s.packagePath(b.sha256), io.Discard, time.Now())
	if err != nil {
		return givenTree{}, fmt.Errorf("cannot start from %s: %w", b.name, err)
	}
	if tree.release != r.spec.From {
		return givenTree{}, fmt.Errorf("cannot start from %s: it says that it is %.60q, and the recipe that it is %s", b.name, tree.release, r.spec.From)
	}
	return tree, nil
}

func (s *Store) newLock(r *Recipe, a *apt, archives []archive, indexes []index, chosen []LockedPackage, tree givenTree) (*Lock, error) {
	lock := &Lock{From: r.spec.From, Arch: "amd64", Wants: r.spec.wants(), Packages: chosen, Tree: tree.packages}
	if r.spec.Base != nil {
		lock.Base = r.spec.Base.SHA256
	}
	newest := map[string]time.Time{} // by URL: one snapshot holds all suites of one archive
	dates := make([]time.Time, len(archives))
	for i, ar := range archives {
		at := slices.IndexFunc(indexes, func(ix index) bool { return ix.url == strings.TrimRight(ar.url, "/") && ix.suite == ar.suite })
		if at < 0 {
			return nil, fmt.Errorf("%s has no index for %s", ar.url, ar.suite)
		}
		var err error
		if dates[i], err = a.date(indexes[at]); err != nil {
			return nil, err
		}
		if dates[i].After(newest[ar.url]) {
			newest[ar.url] = dates[i]
		}
		if ar.own && dates[i].After(lock.Time) {
			lock.Time = dates[i]
		}
	}
	canonical := r.spec.archives()
	for i, ar := range archives {
		la := LockedArchive{Name: ar.name, URL: canonical[i].url, Suite: ar.suite, Date: dates[i]}
		if ar.snapshot != "" {
			la.Snapshot = ar.snapshot + newest[ar.url].Add(snapshotDelay).Format("20060102T150405Z")
		}
		lock.Archives = append(lock.Archives, la)
	}
	slices.SortFunc(lock.Packages, func(x, y LockedPackage) int { return cmp.Compare(x.Name, y.Name) })
	for i := 1; i < len(lock.Packages); i++ {
		if a, b := lock.Packages[i-1], lock.Packages[i]; a.Name == b.Name {
			return nil, fmt.Errorf("%s would be installed as %s and then as %s; give the version you want in the recipe (%s=VERSION)",
				a.Name, a.Version, b.Version, a.Name)
		}
	}
	if err := lock.secure(archives, indexes); err != nil {
		return nil, err
	}
	return lock, pinsHeld(r.spec.Packages, lock, indexes)
}

// secure fills l.Security. The archive that a package was chosen from does not say it: what security brought is in the next point release too.
func (l *Lock) secure(archives []archive, indexes []index) error {
	installed := map[string]bool{}
	for _, p := range l.installed() {
		installed[p.Name] = true
	}
	l.Security = map[string][]string{}
	return eachPackage(slices.DeleteFunc(slices.Clone(indexes), func(ix index) bool {
		return !slices.ContainsFunc(archives, func(a archive) bool {
			return a.own && strings.HasSuffix(a.suite, "-security") && strings.TrimRight(a.url, "/") == ix.url && a.suite == ix.suite
		})
	}), func(_ index, stanza []byte) error {
		if name := stanzaField(stanza, "Package"); installed[name] {
			l.Security[name] = append(l.Security[name], stanzaField(stanza, "Version"))
		}
		return nil
	})
}

// pinsHeld says which wanted versions no archive has.
func pinsHeld(wanted []want, lock *Lock, indexes []index) error {
	var errs []error
	has := lock.installed()
	for _, w := range wanted {
		if w.Version == "" || slices.ContainsFunc(has, func(p ManifestPackage) bool { return p.Name == w.Name && p.Version == w.Version }) {
			continue
		}
		have, err := versionsOf(indexes, w.Name)
		if err != nil {
			return err
		}
		errs = append(errs, fmt.Errorf("no archive has %s=%s; they have %s", w.Name, w.Version, strings.Join(have, ", ")))
	}
	return errors.Join(errs...)
}

func (l *Lock) find(name string) *LockedPackage {
	i, found := slices.BinarySearchFunc(l.Packages, name, func(p LockedPackage, name string) int { return cmp.Compare(p.Name, name) })
	if !found {
		return nil
	}
	return &l.Packages[i]
}

func wantNames(packages []want) []string {
	var names []string
	for _, w := range packages {
		names = append(names, w.Name)
	}
	return names
}

func checkKeyrings(r *Recipe, archives []archive) error {
	for _, a := range archives {
		if a.key != nil {
			continue
		}
		if _, err := os.Stat(a.keyring); err == nil {
			continue
		}
		return fmt.Errorf("the keyring %s, which signs %s, is not on this machine; install it with: sudo apt-get install %s (or put one beside the recipe and name it: keyring: keys/%s)",
			a.keyring, r.spec.From, releases()[r.spec.From].keyPkg, filepath.Base(a.keyring))
	}
	return nil
}

// essentialPackages are the names of what no installation may lack: essential and required ones of the release's own archives.
func essentialPackages(archives []archive, indexes []index) ([]string, error) {
	var names []string
	err := eachPackage(indexes, func(ix index, stanza []byte) error {
		own := slices.ContainsFunc(archives, func(a archive) bool { return a.own && strings.TrimRight(a.url, "/") == ix.url && a.suite == ix.suite })
		if own && (stanzaField(stanza, "Essential") == "yes" || stanzaField(stanza, "Priority") == "required") {
			names = append(names, stanzaField(stanza, "Package"))
		}
		return nil
	})
	slices.Sort(names)
	return slices.Compact(names), err
}

// stanzasOf are the index paragraphs of chosen packages.
func stanzasOf(indexes []index, chosen []LockedPackage) ([][]byte, error) {
	bySum := map[string]bool{}
	for _, p := range chosen {
		bySum[p.SHA256] = true
	}
	var out [][]byte
	err := eachPackage(indexes, func(_ index, stanza []byte) error {
		if sum := stanzaField(stanza, "SHA256"); bySum[sum] {
			delete(bySum, sum)
			out = append(out, slices.Clone(stanza))
		}
		return nil
	})
	if err == nil && len(bySum) > 0 {
		err = fmt.Errorf("the indexes lack %d of the packages apt chose", len(bySum))
	}
	return out, err
}

func versionsOf(indexes []index, name string) ([]string, error) {
	var versions []string
	err := eachPackage(indexes, func(_ index, stanza []byte) error {
		if stanzaField(stanza, "Package") == name {
			versions = append(versions, stanzaField(stanza, "Version"))
		}
		return nil
	})
	slices.Sort(versions)
	return slices.Compact(versions), err
}

func eachPackage(indexes []index, f func(index, []byte) error) error {
	for _, ix := range indexes {
		in, err := os.Open(ix.file)
		if errors.Is(err, os.ErrNotExist) { // an empty component
			continue
		}
		if err != nil {
			return err
		}
		err = eachStanza(in, func(stanza []byte) error { return f(ix, stanza) })
		in.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// lockedPackages turns what apt chose into lines of a lock. The file's name tells name, version and architecture, with %3a for a colon.
func lockedPackages(archives []archive, chosen []aptPackage, base bool) []LockedPackage {
	var out []LockedPackage
	for _, c := range chosen {
		name, rest, _ := strings.Cut(strings.TrimSuffix(c.file, ".deb"), "_")
		ver, arch, _ := strings.Cut(rest, "_")
		if plain, err := url.PathUnescape(ver); err == nil {
			ver = plain
		}
		p := LockedPackage{Base: base, Name: name, Version: ver, Arch: arch, Size: c.size, SHA256: c.sha256}
		for _, a := range archives {
			prefix := strings.TrimRight(a.url, "/") + "/"
			if rel, found := strings.CutPrefix(c.url, prefix); found {
				if plain, err := url.PathUnescape(rel); err == nil {
					rel = plain
				}
				p.Archive, p.Path = a.name, strings.TrimPrefix(rel, "./")
				break
			}
		}
		out = append(out, p)
	}
	return out
}
