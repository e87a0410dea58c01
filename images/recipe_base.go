// SPDX-License-Identifier: Apache-2.0

package images

import (
	"os"
	"path"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

// baseTree is a root tree built elsewhere that a recipe starts from.
type baseTree struct {
	SHA256 string `json:"sha256"` // of the file as it is, compressed or not
	Place  string `json:"-"`      // an absolute path or an address: the hash says what it is
}

// knownTrees are the forms of a tree that unpacked reads.
const knownTrees = "a root tree as .tar, .tar.gz, .tar.xz or .tar.zst"

var diskImage = lazyregexp.New(`\.(qcow2|raw|img|vmdk|vdi|vhdx?|iso)(\.(gz|xz|zst|bz2))?$`)

// start is the release that a recipe starts from, and the tree where one is given in the release's place.
func (l loader) start(top *strictyaml.Fields) (string, *baseTree) {
	b := top.Get("base")
	if b == nil {
		return l.release(top.Need("from")), nil
	}
	if from := top.At("from"); from != nil {
		from.Errorf("a recipe starts from a release or from a base, not from both").Hint = "say it inside base: release: debian:12"
	}
	if b.Is() != "map" {
		b.Errorf("wanted is {source: FILE, sha256: ..., release: debian:12}, or url: ADDRESS in the place of source")
		return "", nil
	}
	f := b.Map("source", "url", "sha256", "release")
	base := &baseTree{SHA256: l.digest(f.Need("sha256"))}
	where := f.Get("source")
	switch address := f.Get("url"); {
	case (where == nil) == (address == nil):
		b.Errorf("wanted is either source (a file beside the recipe) or url")
	case address != nil:
		where, base.Place = address, l.url(address)
	default:
		base.Place = l.file(where)
		if info, err := os.Stat(base.Place); err == nil && (!info.Mode().IsRegular() || info.Size() > maxPackage) {
			where.Errorf("wanted is a regular file of at most %d bytes", int64(maxPackage))
		}
	}
	if name := path.Base(where.Line()); diskImage.MatchString(name) {
		where.Errorf("%q is a disk image, which cannot be a base; allowed is %s", name, knownTrees)
	}
	return l.release(f.Need("release")), base
}

func (l loader) release(n *strictyaml.Node) string {
	text := n.Line()
	if _, known := releases()[text]; text != "" && !known {
		n.Errorf("unknown release %q; known are %s", text, knownReleases())
	}
	return text
}

// digest is a SHA-256; YAML may take one of digits only for a number.
func (l loader) digest(n *strictyaml.Node) string {
	sum, _ := n.Raw()
	if n != nil && !hexDigest.MatchString(sum) {
		n.Errorf("%q is no SHA-256; wanted are 64 lower-case hexadecimal digits", sum)
	}
	return sum
}
