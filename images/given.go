// SPDX-License-Identifier: Apache-2.0

package images

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// maxTree bounds an uncompressed tree, and maxStatus its list of packages: Debian's, all installed, is below 100 MiB.
const (
	maxTree   = 32 << 30
	maxStatus = 128 << 20
)

// givenTree is what a tree built elsewhere says of itself.
type givenTree struct {
	release  string // debian:12
	packages []ManifestPackage
	stanzas  [][]byte // of the packages, in dpkg's words, without their state
}

// readGiven copies the tree in the file name to w as this builder writes trees, without what belongs to one machine or to the system that
// ran it. What could reach out of the tree while programs run in it is refused.
func readGiven(ctx context.Context, name string, w io.Writer, newest time.Time) (givenTree, error) {
	var status, osRelease []byte
	err := unpacked(ctx, name, func(r io.Reader) error {
		in, out := tar.NewReader(r), tar.NewWriter(w)
		for {
			h, err := in.Next()
			if errors.Is(err, io.EOF) {
				return out.Close()
			}
			if errors.Is(err, tar.ErrHeader) {
				return fmt.Errorf("it is no tar; allowed is %s", knownTrees)
			}
			if err != nil {
				return err
			}
			entry := strings.Trim(path.Clean("/"+h.Name), "/")
			if err := fitForGiven(entry, h); err != nil {
				return err
			}
			keep, body := scrub(entry, h, in)
			if !keep {
				continue
			}
			var copied bytes.Buffer
			switch entry {
			case "var/lib/dpkg/status", "usr/lib/os-release", "etc/os-release":
				if h.Size > maxStatus {
					return fmt.Errorf("/%s has %d bytes; allowed are %d", entry, h.Size, maxStatus)
				}
				body = io.TeeReader(body, &copied)
			}
			if _, err := copyEntry(out, h, entry, body, newest); err != nil {
				return err
			}
			switch {
			case entry == "var/lib/dpkg/status":
				status = copied.Bytes()
			case copied.Len() > 0:
				osRelease = copied.Bytes()
			}
		}
	})
	if err != nil {
		return givenTree{}, err
	}
	if status == nil {
		return givenTree{}, errors.New("it has no /var/lib/dpkg/status; allowed is the root tree of a Debian or Ubuntu system")
	}
	tree := givenTree{release: releaseOf(osRelease)}
	err = eachStanza(bytes.NewReader(status), tree.add)
	slices.SortFunc(tree.packages, byName)
	return tree, err
}

// fitForGiven refuses what would let a program in the tree, or the builder outside of it, reach what is not the tree's.
func fitForGiven(name string, h *tar.Header) error {
	top, _, below := strings.Cut(name, "/")
	switch h.Typeflag {
	case tar.TypeGNUSparse:
		h.Typeflag = tar.TypeReg
	case tar.TypeChar, tar.TypeBlock:
		if top != "dev" {
			return fmt.Errorf("/%s is a device; allowed are devices in /dev only, which is made anew at boot", name)
		}
	}
	if !below && slices.Contains([]string{"dev", "proc", "run", "sys", "tmp"}, name) && h.Typeflag != tar.TypeDir {
		return fmt.Errorf("/%s is no folder", name)
	}
	return nil
}

// add takes up one paragraph of dpkg's status.
func (t *givenTree) add(stanza []byte) error {
	p := ManifestPackage{stanzaField(stanza, "Package"), stanzaField(stanza, "Version"), stanzaField(stanza, "Architecture")}
	switch state := stanzaField(stanza, "Status"); {
	case strings.HasSuffix(state, " config-files"), strings.HasSuffix(state, " not-installed"):
		return nil
	case !strings.HasSuffix(state, " ok installed"):
		return fmt.Errorf("its package %.60q is in the state %.60q; allowed is installed", p.Name, state)
	case p.Arch != "amd64" && p.Arch != "all":
		return fmt.Errorf("its package %.60q is for %.60q; allowed are amd64 and all", p.Name, p.Arch)
	case !packageName.MatchString(p.Name) || !version.MatchString(p.Version):
		return fmt.Errorf("%.60q %.60q are no name and version of a package", p.Name, p.Version)
	}
	var kept []byte
	for line := range bytes.Lines(stanza) {
		if !bytes.HasPrefix(line, []byte("Status:")) {
			kept = append(kept, line...)
		}
	}
	t.packages, t.stanzas = append(t.packages, p), append(t.stanzas, kept)
	return nil
}

// over are the stanzas of what is left of the tree's packages once others of the same names are installed.
func (t givenTree) over(chosen []LockedPackage) [][]byte {
	return slices.DeleteFunc(slices.Clone(t.stanzas), func(stanza []byte) bool {
		name := stanzaField(stanza, "Package")
		return slices.ContainsFunc(chosen, func(p LockedPackage) bool { return p.Name == name })
	})
}

// lacks are those of names that the tree has no package of.
func (t givenTree) lacks(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(t.packages, func(p ManifestPackage) bool { return p.Name == name })
	})
}

func byName(a, b ManifestPackage) int { return strings.Compare(a.Name, b.Name) }

// releaseOf reads os-release(5): debian:12.
func releaseOf(text []byte) string {
	word := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		word[name] = strings.Trim(value, `"'`)
	}
	return word["ID"] + ":" + word["VERSION_ID"]
}

// unpacked calls do with the tar in the file name, which may be compressed.
func unpacked(ctx context.Context, name string, do func(io.Reader) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReader(contextReader{ctx, f})
	magic, err := in.Peek(6)
	if err != nil {
		return fmt.Errorf("it has less than 6 bytes; allowed is %s", knownTrees)
	}
	bounded := func(r io.Reader) error { return do(&atMost{r, maxTree}) }
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		return bounded(z)
	case bytes.HasPrefix(magic, []byte("\x28\xb5\x2f\xfd")):
		z, err := zstd.NewReader(in)
		if err != nil {
			return err
		}
		defer z.Close()
		return bounded(z)
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		return unxz(ctx, in, bounded)
	case bytes.HasPrefix(magic, []byte("QFI\xfb")):
		return fmt.Errorf("it is a disk image (qcow2); allowed is %s", knownTrees)
	}
	return bounded(in)
}

func unxz(ctx context.Context, in io.Reader, do func(io.Reader) error) error {
	if err := needTools("xz"); err != nil {
		return err
	}
	runErr, err := sandbox{dir: "/", env: toolEnv(), stdin: in}.feed(ctx, do, "xz", "--decompress", "--stdout")
	if err != nil {
		return err
	}
	return runErr
}

// atMost fails where a reader has more than left bytes.
type atMost struct {
	r    io.Reader
	left int64
}

func (a *atMost) Read(p []byte) (int, error) {
	if a.left <= 0 {
		return 0, fmt.Errorf("it unpacks to more than %d bytes", int64(maxTree))
	}
	n, err := a.r.Read(p[:min(int64(len(p)), a.left)])
	a.left -= int64(n)
	return n, err
}

// buildGiven makes the base of a recipe that starts from a tree: the tree, and what every image holds.
func (s *Store) buildGiven(ctx context.Context, r *Recipe, box sandbox, room int64, out *os.File) error {
	clean := filepath.Join(box.dir, "tree.tar")
	f, err := os.Create(clean)
	if err != nil {
		return err
	}
	_, err = readGiven(ctx, s.packagePath(r.Lock.Base), f, r.Lock.Time)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot start from the tree: %w", err)
	}
	info, err := os.Stat(clean)
	if err != nil {
		return err
	}
	var names []string
	for _, p := range r.Lock.layer(true) {
		names = append(names, p.Name)
	}
	if err := os.WriteFile(filepath.Join(box.dir, "packages"), linesOf(names), 0o644); err != nil {
		return err
	}
	if err := box.run(ctx, "sh", "-c", treeScript+givenScript, "given.sh", s.memoryTree(room+info.Size())); err != nil {
		return err
	}
	return out.Sync()
}
