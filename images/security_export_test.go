// SPDX-License-Identifier: Apache-2.0

package images

// Index is one suite's list of packages in a file.
type Index struct {
	URL, Suite, File string
	Own              bool // of the release's own archives
}

// SecurityOf is Lock.Security of a lock with these packages, made from these indexes.
func SecurityOf(packages []LockedPackage, list []Index) (map[string][]string, error) {
	l := &Lock{Packages: packages}
	var archives []archive
	var indexes []index
	for _, i := range list {
		archives = append(archives, archive{url: i.URL + "/", suite: i.Suite, own: i.Own})
		indexes = append(indexes, index{url: i.URL, suite: i.Suite, file: i.File})
	}
	err := l.secure(archives, indexes)
	return l.Security, err
}
