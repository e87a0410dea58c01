// SPDX-License-Identifier: Apache-2.0

package images

import (
	"archive/tar"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// manifestPath is where an image says what it is.
const manifestPath = "usr/share/evenkeel/manifest.json"

// Manifest is what an image says of itself, at /usr/share/evenkeel/manifest.json inside it: all that the builder laid there, but for
// the manifest's own entry.
type Manifest struct {
	Format   int               `json:"format"` // 1
	Recipe   string            `json:"recipe"`
	Release  string            `json:"release"`
	Key      string            `json:"key"`
	Time     time.Time         `json:"time"` // of the lock
	Packages []ManifestPackage `json:"packages"`
	Files    []Entry           `json:"files"`
}

// ManifestPackage is one installed package.
type ManifestPackage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
}

// Entry is one name of a root tree.
type Entry struct {
	Path   string            `json:"path"` // absolute
	Type   string            `json:"type"` // file, dir, symlink, link, char, block, fifo
	Mode   string            `json:"mode"` // octal, with set-id and sticky bits
	UID    int               `json:"uid"`
	GID    int               `json:"gid"`
	Size   int64             `json:"size,omitempty"`
	SHA256 string            `json:"sha256,omitempty"`
	Link   string            `json:"link,omitempty"` // target of a symlink; path of the first name of a link
	Device string            `json:"device,omitempty"`
	Xattrs map[string]string `json:"xattrs,omitempty"` // name -> hex
}

// finishTree copies the tar of a root tree from r to w as it goes into images: without what belongs to the build or to one machine only,
// with no time later than m.Time, and with the manifest. It returns the digest of the tree: SHA-256 over the JSON lines of its entries,
// sorted by path. m.Files is filled.
func finishTree(r io.Reader, w io.Writer, m *Manifest) (digest string, err error) {
	in, out := tar.NewReader(r), tar.NewWriter(w)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("cannot read the root tree: %w", err)
		}
		name := strings.Trim(path.Clean("/"+h.Name), "/")
		keep, body := scrub(name, h, in)
		if !keep {
			continue
		}
		e, err := copyEntry(out, h, name, body, m.Time)
		if err != nil {
			return "", err
		}
		m.Files = append(m.Files, e)
	}
	byPath := func(a, b Entry) int { return cmp.Compare(a.Path, b.Path) }
	slices.SortFunc(m.Files, byPath)
	own, err := writeManifest(out, m)
	if err != nil {
		return "", err
	}
	all := append(slices.Clone(m.Files), own...)
	slices.SortFunc(all, byPath)
	return digestOf(all), out.Close()
}

// copyEntry writes one entry in its one form and describes it.
func copyEntry(out *tar.Writer, h *tar.Header, name string, body io.Reader, newest time.Time) (Entry, error) {
	e := Entry{Path: "/" + name, Mode: fmt.Sprintf("%04o", h.Mode&0o7777), UID: h.Uid, GID: h.Gid}
	clean := &tar.Header{
		Typeflag: h.Typeflag, Name: "./" + name, Mode: h.Mode & 0o7777, Uid: h.Uid, Gid: h.Gid, Size: h.Size,
		Linkname: h.Linkname, Devmajor: h.Devmajor, Devminor: h.Devminor, Format: tar.FormatPAX,
		ModTime: h.ModTime.Truncate(time.Second),
	}
	if clean.ModTime.After(newest) {
		clean.ModTime = newest
	}
	for key, value := range h.PAXRecords {
		if attr, found := strings.CutPrefix(key, "SCHILY.xattr."); found {
			if clean.PAXRecords == nil {
				clean.PAXRecords, e.Xattrs = map[string]string{}, map[string]string{}
			}
			clean.PAXRecords[key] = value
			e.Xattrs[attr] = hex.EncodeToString([]byte(value))
		}
	}
	switch h.Typeflag {
	case tar.TypeReg:
		e.Type, e.Size = "file", h.Size
	case tar.TypeDir:
		e.Type, clean.Name = "dir", strings.TrimSuffix(clean.Name, "/")+"/"
	case tar.TypeSymlink:
		e.Type, e.Link = "symlink", h.Linkname
	case tar.TypeLink:
		e.Type, e.Link = "link", path.Clean("/"+h.Linkname)
	case tar.TypeChar, tar.TypeBlock:
		e.Type = map[byte]string{tar.TypeChar: "char", tar.TypeBlock: "block"}[h.Typeflag]
		e.Device = fmt.Sprintf("%d:%d", h.Devmajor, h.Devminor)
	case tar.TypeFifo:
		e.Type = "fifo"
	default:
		return e, fmt.Errorf("cannot put %s into an image: unknown kind %q", name, h.Typeflag)
	}
	if err := out.WriteHeader(clean); err != nil {
		return e, fmt.Errorf("cannot write %s: %w", name, err)
	}
	if h.Typeflag != tar.TypeReg {
		return e, nil
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(out, sum), body); err != nil {
		return e, fmt.Errorf("cannot write %s: %w", name, err)
	}
	e.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return e, nil
}

// writeManifest adds the manifest, whose folder the base brings or not.
func writeManifest(out *tar.Writer, m *Manifest) ([]Entry, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	var added []Entry
	dir := path.Dir(manifestPath)
	if !slices.ContainsFunc(m.Files, func(e Entry) bool { return e.Path == "/"+dir }) {
		h := &tar.Header{Typeflag: tar.TypeDir, Mode: 0o755, ModTime: m.Time}
		e, err := copyEntry(out, h, dir, nil, m.Time)
		if err != nil {
			return nil, err
		}
		added = append(added, e)
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(data)), ModTime: m.Time}
	e, err := copyEntry(out, h, manifestPath, strings.NewReader(string(data)), m.Time)
	return append(added, e), err
}

func digestOf(sorted []Entry) string {
	sum := sha256.New()
	lines := json.NewEncoder(sum)
	for _, e := range sorted {
		if err := lines.Encode(e); err != nil {
			panic(err) // plain data, and a hash takes all
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}
