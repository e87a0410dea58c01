// SPDX-License-Identifier: Apache-2.0

package images

import (
	"maps"
	"slices"
	"strings"
)

// release is what is known of a distribution's release: where its packages come from and whose signatures are believed.
type release struct {
	codename string
	archives []archive
	keyring  string // on the host; a recipe may bring its own
	keyPkg   string // the Debian package that brings the keyring, for hints
}

// archive is one suite of one package archive. In lock files it carries what was found there.
type archive struct {
	name       string // the short name in a lock
	url        string
	suite      string
	components []string
	snapshot   string // service that keeps superseded packages: URL up to the time stamp; "" for none
	keyring    string // absolute path, or "" for the release's
	key        *input // instead of keyring: one that the recipe brings, as it was loaded
	own        bool   // the release's own, not a recipe's source
}

const (
	debianURL         = "http://deb.debian.org/debian"
	debianSecurityURL = "http://deb.debian.org/debian-security"
	ubuntuURL         = "http://archive.ubuntu.com/ubuntu"
	ubuntuSecurityURL = "http://security.ubuntu.com/ubuntu"

	// https://snapshot.debian.org and https://snapshot.ubuntu.com: every state of the archives, by time.
	debianSnapshot         = "http://snapshot.debian.org/archive/debian/"
	debianSecuritySnapshot = "http://snapshot.debian.org/archive/debian-security/"
	ubuntuSnapshot         = "http://snapshot.ubuntu.com/ubuntu/"
)

func releases() map[string]release {
	return map[string]release{
		"debian:12":    debian("bookworm"),
		"debian:13":    debian("trixie"),
		"ubuntu:22.04": ubuntu("jammy"),
		"ubuntu:24.04": ubuntu("noble"),
	}
}

func knownReleases() string {
	return strings.Join(slices.Sorted(maps.Keys(releases())), ", ")
}

func debian(codename string) release {
	c := []string{"main"}
	return release{
		codename: codename,
		keyring:  "/usr/share/keyrings/debian-archive-keyring.gpg",
		keyPkg:   "debian-archive-keyring",
		archives: []archive{
			{name: "main", url: debianURL, suite: codename, components: c, snapshot: debianSnapshot, own: true},
			{name: "updates", url: debianURL, suite: codename + "-updates", components: c, snapshot: debianSnapshot, own: true},
			{name: "security", url: debianSecurityURL, suite: codename + "-security", components: c, snapshot: debianSecuritySnapshot, own: true},
		},
	}
}

func ubuntu(codename string) release {
	c := []string{"main", "universe"}
	return release{
		codename: codename,
		keyring:  "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
		keyPkg:   "ubuntu-archive-keyring",
		archives: []archive{
			{name: "main", url: ubuntuURL, suite: codename, components: c, snapshot: ubuntuSnapshot, own: true},
			{name: "updates", url: ubuntuURL, suite: codename + "-updates", components: c, snapshot: ubuntuSnapshot, own: true},
			{name: "security", url: ubuntuSecurityURL, suite: codename + "-security", components: c, snapshot: ubuntuSnapshot, own: true},
		},
	}
}

// withMirror is the archives with the recipe's mirror in the place of the release's first archive address.
func (r release) withMirror(mirror string) []archive {
	out := slices.Clone(r.archives)
	if mirror == "" {
		return out
	}
	first := out[0].url
	for i := range out {
		if out[i].url == first {
			out[i].url = mirror
		}
	}
	return out
}
