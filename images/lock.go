// SPDX-License-Identifier: Apache-2.0

package images

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/images/guest"
	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

// Lock is the exact set of packages a recipe comes to: what a build installs, no more and no less. It is committed beside the recipe.
type Lock struct {
	From     string    // debian:12
	Arch     string    // amd64
	Wants    string    // digest of what was asked for, 64 hex digits; when the recipe asks for something else, the lock no longer fits
	Time     time.Time // of the newest index of the release's own archives; UTC, whole seconds. The newest time any file of the image bears
	Base     string    // SHA-256 of the tree that the recipe starts from; "" where it starts from the release
	Archives []LockedArchive
	Tree     []ManifestPackage // what that tree holds, by name
	Packages []LockedPackage   // by name, then architecture
	// Security are the versions that the release's security archives have of these packages, by name: of a lock that NewLock made, and never in its file.
	Security map[string][]string
}

// LockedArchive is one suite as it was when the lock was made.
type LockedArchive struct {
	Name     string
	URL      string
	Suite    string
	Date     time.Time // of its signed index
	Snapshot string    // address under which a public service keeps the archive's state of that time; "" for none
}

// LockedPackage is one package file.
type LockedPackage struct {
	Base    bool // part of what every image of the release with this lock's archives starts from
	Archive string
	Name    string
	Version string
	Arch    string // amd64 or all
	Size    int64  // bytes
	SHA256  string // 64 hex digits
	Path    string // below the archive's URL
}

const lockFormat = 1

const lockHead = `# Made by "env image lock". Commit it; do not edit it. "env image lock --update" moves it to today's packages.
`

// Bytes is the lock as its file. The same Lock gives the same bytes.
func (l *Lock) Bytes() []byte {
	var b bytes.Buffer
	b.WriteString(lockHead)
	fmt.Fprintf(&b, "evenkeel-lock: %d\nfrom: %s\narch: %s\nwants: %q\ntime: %s\n", lockFormat, l.From, l.Arch, l.Wants, l.Time.UTC().Format(time.RFC3339))
	if l.Base != "" {
		fmt.Fprintf(&b, "base: %q\n", l.Base)
	}
	b.WriteString("archives: # name url suite date snapshot\n")
	for _, a := range l.Archives {
		fmt.Fprintf(&b, "  - %s %s %s %s %s\n", a.Name, a.URL, a.Suite, a.Date.UTC().Format(time.RFC3339), orDash(a.Snapshot))
	}
	if l.Base != "" {
		b.WriteString("tree: # name version arch\n")
		for _, p := range l.Tree {
			fmt.Fprintf(&b, "  - %s %s %s\n", p.Name, p.Version, p.Arch)
		}
	}
	b.WriteString("packages: # layer archive name version arch size sha256 path\n")
	for _, p := range l.Packages {
		layer := "recipe"
		if p.Base {
			layer = "base"
		}
		fmt.Fprintf(&b, "  - %s %s %s %s %s %d %s %s\n", layer, p.Archive, p.Name, p.Version, p.Arch, p.Size, p.SHA256, p.Path)
	}
	return b.Bytes()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// digest is of all that decides what is built; addresses and the snapshot are not.
func (l *Lock) digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %d\n", l.From, l.Arch, l.Time.Unix())
	if l.Base != "" {
		fmt.Fprintf(h, "base %s\n", l.Base)
	}
	for _, p := range l.Packages {
		fmt.Fprintf(h, "%t %s %s %s %s\n", p.Base, p.Name, p.Version, p.Arch, p.SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// ParseLock reads a lock file; file is its name in problems. It never panics, whatever data holds.
func ParseLock(file string, data []byte) (*Lock, problem.List) {
	doc := strictyaml.Parse(file, data)
	top := doc.Root().Map("evenkeel-lock", "from", "arch", "wants", "time", "base", "archives", "tree", "packages")
	if n := top.Need("evenkeel-lock"); n != nil {
		n.Int(lockFormat, lockFormat)
	}
	l := &Lock{From: top.Need("from").Line(), Arch: top.Need("arch").Line(), Wants: top.Need("wants").Line()}
	if at := top.Need("time"); at != nil {
		l.Time = lockTime(at, at.Line())
	}
	if l.Wants != "" && !hexDigest.MatchString(l.Wants) {
		top.Get("wants").Errorf("wanted are 64 lower-case hexadecimal digits")
	}
	if l.Arch != "" && !lockWord.MatchString(l.Arch) {
		top.Get("arch").Errorf("%q is no architecture", l.Arch)
	}
	if _, known := releases()[l.From]; l.From != "" && !known {
		top.Get("from").Errorf("unknown release %q; known are %s", l.From, knownReleases())
	}
	if n := top.Get("base"); n != nil {
		if l.Base = n.Line(); !hexDigest.MatchString(l.Base) {
			n.Errorf("wanted are 64 lower-case hexadecimal digits")
		}
		l.Tree = lockedTree(top.Need("tree"))
	}
	archives := map[string]bool{}
	for _, n := range top.Need("archives").List() {
		a := lockedArchive(n)
		if a.Name != "" && archives[a.Name] {
			n.Errorf("the archive %q stands here twice", a.Name)
		}
		archives[a.Name] = true
		l.Archives = append(l.Archives, a)
	}
	seen := map[string]bool{}
	for _, n := range top.Need("packages").List() {
		p := lockedPackage(n, archives)
		if p.Name != "" && seen[p.Name] {
			n.Errorf("the package %q stands here twice", p.Name)
		}
		seen[p.Name] = true
		l.Packages = append(l.Packages, p)
	}
	problems := doc.Problems()
	if problems.Err() != nil {
		for i := range problems {
			if problems[i].Hint == "" {
				problems[i].Hint = "a lock is not edited by hand: restore it from version control, or remove it and run: evenkeel image lock"
			}
		}
		return nil, problems
	}
	return l, problems
}

var lockWord = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9:._/+-]*$`)

func lockedArchive(n *strictyaml.Node) LockedArchive {
	f := strings.Fields(n.Line())
	if len(f) != 5 {
		n.Errorf("wanted are five words: name url suite date snapshot")
		return LockedArchive{}
	}
	a := LockedArchive{Name: f[0], URL: f[1], Suite: f[2], Date: lockTime(n, f[3])}
	if f[4] != "-" {
		a.Snapshot = f[4]
	}
	for _, address := range []string{a.URL, a.Snapshot} {
		if address != "" && !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "https://") {
			n.Errorf("%q is no address; wanted is http://... or https://...", address)
		}
	}
	if !lockWord.MatchString(a.Name) || !suiteName.MatchString(a.Suite) {
		n.Errorf("%q and %q are no name and suite of an archive", a.Name, a.Suite)
	}
	return a
}

// maxPackage bounds one package file: the largest of Debian are below 2 GiB.
const maxPackage = 4 << 30

func lockedPackage(n *strictyaml.Node, archives map[string]bool) LockedPackage {
	f := strings.Fields(n.Line())
	if len(f) != 8 {
		n.Errorf("wanted are eight words: layer archive name version arch size sha256 path")
		return LockedPackage{}
	}
	p := LockedPackage{Base: f[0] == "base", Archive: f[1], Name: f[2], Version: f[3], Arch: f[4], SHA256: f[6], Path: f[7]}
	size, err := strconv.ParseInt(f[5], 10, 64)
	p.Size = size
	switch {
	case f[0] != "base" && f[0] != "recipe":
		n.Errorf("%q is no layer; allowed are base and recipe", f[0])
	case !archives[p.Archive] && !archives[""]: // one without a name is told already
		n.Errorf("%q is none of the archives above", p.Archive)
	case !packageName.MatchString(p.Name) || !version.MatchString(p.Version) || !lockWord.MatchString(p.Arch):
		n.Errorf("%q %q %q are no name, version and architecture of a package", p.Name, p.Version, p.Arch)
	case err != nil || size <= 0 || size > maxPackage:
		n.Errorf("%q is no size of a package; wanted are 1 to %d bytes", f[5], int64(maxPackage))
	case !hexDigest.MatchString(p.SHA256):
		n.Errorf("%q is no SHA-256", p.SHA256)
	case path.Clean(p.Path) != p.Path || !filepath.IsLocal(p.Path):
		n.Errorf("%q is no path below the archive", p.Path)
	}
	return p
}

// lockedTree are the packages of a tree that was built elsewhere.
func lockedTree(n *strictyaml.Node) []ManifestPackage {
	var out []ManifestPackage
	for _, item := range n.List() {
		f := strings.Fields(item.Line())
		if len(f) != 3 || !packageName.MatchString(f[0]) || !version.MatchString(f[1]) || !lockWord.MatchString(f[2]) {
			item.Errorf("wanted are three words: name version arch")
			continue
		}
		out = append(out, ManifestPackage{f[0], f[1], f[2]})
	}
	return out
}

// installed is what an image of this lock holds, by name.
func (l *Lock) installed() []ManifestPackage {
	var out []ManifestPackage
	for _, p := range l.Packages {
		out = append(out, ManifestPackage{p.Name, p.Version, p.Arch})
	}
	for _, p := range l.Tree {
		if l.find(p.Name) == nil {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, byName)
	return out
}

// Version is the version of a package that an image of this lock holds; "" where it holds none, or where l is nil.
func (l *Lock) Version(name string) string {
	if l == nil {
		return ""
	}
	if p := l.find(name); p != nil {
		return p.Version
	}
	for _, p := range l.Tree {
		if p.Name == name {
			return p.Version
		}
	}
	return ""
}

func lockTime(n *strictyaml.Node, text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Year() < 1990 || t.Year() > 2200 {
		n.Errorf("%q is no time; wanted is one such as 2026-01-31T00:00:00Z", text)
		return time.Time{}
	}
	return t.UTC()
}

// loadLock reads the lock beside r. A lock that does not fit the recipe is a note, and Lock stays nil.
func (r *Recipe) loadLock() (problem.List, error) {
	doc, err := strictyaml.ReadFile(r.LockFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if problems := doc.Problems(); problems.Err() != nil {
		return problems, nil
	}
	data, err := os.ReadFile(r.LockFile())
	if err != nil {
		return nil, err
	}
	lock, problems := ParseLock(r.LockFile(), data)
	if lock == nil {
		return problems, nil
	}
	if lock.Wants != r.spec.wants() {
		return append(problems, problem.Problem{
			Severity: problem.Note, File: r.LockFile(),
			Message: "the lock no longer fits its recipe: the release, packages, sources or this program's base changed since it was made",
			Hint:    "make it anew: evenkeel image lock " + r.Name,
		}), nil
	}
	r.Lock = lock
	return problems, nil
}

// wants is the digest of everything that decides which packages are chosen.
func (s spec) wants() string {
	data, err := json.Marshal(struct {
		From    string
		Want    []want
		Sources []source
		Guest   []string
		Base    *baseTree `json:",omitempty"`
	}{s.From, s.Packages, s.Sources, guest.Packages(s.From), s.Base})
	if err != nil {
		panic(err) // plain strings always encode
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
