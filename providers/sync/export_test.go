// SPDX-License-Identifier: Apache-2.0

package sync

import "io"

// ParseScan is the scan's parser: the paths that it takes, and the targets of links.
func ParseScan(r io.Reader) (paths []string, links map[string]string, err error) {
	s, err := parseScan(r)
	if err != nil {
		return nil, nil, err
	}
	links = map[string]string{}
	for p, e := range s.tree {
		if e.Kind == link {
			links[p] = e.Link
		}
	}
	paths = sortedKeys(s.tree)
	for p := range s.dirs {
		if !fit(p) {
			paths = append(paths, p)
		}
	}
	return paths, links, nil
}
