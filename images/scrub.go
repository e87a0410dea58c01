// SPDX-License-Identifier: Apache-2.0

package images

import (
	"archive/tar"
	"bytes"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
)

// scrub decides what becomes of one entry: left out, kept, or kept with another content. It takes away what would differ between two
// builds or be equal on all machines where it must differ.
func scrub(name string, h *tar.Header, body io.Reader) (keep bool, content io.Reader) {
	switch {
	case name == "var/cache/debconf/config.dat" && h.Typeflag == tar.TypeReg && h.Size <= maxInput:
		return true, withoutTempNames(h, body)
	case dropped(name, h):
		return false, nil
	case emptied(name, h):
		h.Size = 0
		return true, strings.NewReader("")
	}
	return true, body
}

// tempName is the name of a temporary file that ucf asked debconf about.
var tempName = lazyregexp.New(`(?m)^( [A-Z]+ = /tmp/).*$`)

// withoutTempNames gives debconf's answers without names that are random.
func withoutTempNames(h *tar.Header, body io.Reader) io.Reader {
	data, err := io.ReadAll(io.LimitReader(body, h.Size))
	if err != nil {
		return io.MultiReader(bytes.NewReader(data), failing{err})
	}
	data = tempName.ReplaceAll(data, []byte("${1}gone"))
	h.Size = int64(len(data))
	return bytes.NewReader(data)
}

// failing is a reader that ends with an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// hollow are kept only as empty folders: their contents are made at boot, or belong to the build.
var hollow = []string{"dev", "proc", "run", "sys", "tmp", "var/tmp", "var/cache/apt", "var/lib/apt/lists", "var/log/apt", "var/log/journal"}

func dropped(name string, h *tar.Header) bool {
	for _, dir := range hollow {
		if strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	dir, base := path.Split(name)
	switch dir {
	case "etc/":
		// backups that account tools leave: what they hold depends on the order of the build
		return slices.Contains([]string{"passwd-", "group-", "shadow-", "gshadow-", "subuid-", "subgid-", ".pwd.lock"}, base)
	case "etc/ssh/":
		return strings.HasPrefix(base, "ssh_host_") && strings.Contains(base, "_key")
	case "etc/ssl/certs/", "etc/ssl/private/":
		return strings.HasPrefix(base, "ssl-cert-snakeoil") || strings.HasPrefix(h.Linkname, "ssl-cert-snakeoil") // the link's name is a digest of the certificate
	case "var/lib/dbus/":
		return base == "machine-id" && h.Typeflag == tar.TypeReg
	case "var/lib/systemd/":
		return base == "random-seed" || base == "credential.secret"
	case "var/cache/ldconfig/":
		return base == "aux-cache"
	case "var/cache/debconf/", "var/lib/dpkg/":
		return strings.HasSuffix(base, "-old") || strings.HasPrefix(base, "lock")
	case "var/log/":
		return slices.Contains([]string{"dpkg.log", "alternatives.log", "bootstrap.log", "fontconfig.log"}, base)
	}
	return false
}

// emptied keeps logs' place and owner, which programs may rely on, and the machine id's file: where it is empty systemd makes an id and
// keeps it; where it is missing or says "uninitialized", systemd would also enable units by its presets (machine-id(5)).
func emptied(name string, h *tar.Header) bool {
	return name == "etc/machine-id" || h.Typeflag == tar.TypeReg && strings.HasPrefix(name, "var/log/") && name != "var/log/README"
}
