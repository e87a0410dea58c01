// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"slices"

	"github.com/evenkeel/evenkeel/images"
)

// PendingOf are the security updates that an image lacks, "nginx 1.22.1-9+deb12u3" each, by name: packages of installed that are older than a version which the
// release's security archives have today. today is a lock that images.Store.NewLock made; the version told is the one that a new lock has, which may be newer still.
func PendingOf(installed []images.ManifestPackage, today *images.Lock) []string {
	locked := map[string]string{}
	for _, p := range Locked(today) {
		locked[p.Name] = p.Version
	}
	pending := []string{}
	for _, p := range installed {
		older := func(version string) bool {
			order, ok := CompareVersions(DPKG, p.Version, version)
			return ok && order < 0
		}
		if to := locked[p.Name]; slices.ContainsFunc(today.Security[p.Name], older) && older(to) {
			pending = append(pending, p.Name+" "+to)
		}
	}
	slices.Sort(pending)
	return slices.Compact(pending)
}

// Locked are the packages that an image of a lock holds, those of the tree that it starts from too.
func Locked(l *images.Lock) []images.ManifestPackage {
	var all []images.ManifestPackage
	chosen := map[string]bool{}
	for _, p := range l.Packages {
		chosen[p.Name] = true
		all = append(all, images.ManifestPackage{Name: p.Name, Version: p.Version, Arch: p.Arch})
	}
	for _, p := range l.Tree {
		if !chosen[p.Name] {
			all = append(all, p)
		}
	}
	return all
}
