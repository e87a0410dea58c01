// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
)

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
	paths = slices.Sorted(maps.Keys(s.tree))
	for p := range s.dirs {
		if !fit(p) {
			paths = append(paths, p)
		}
	}
	return paths, links, nil
}

// Hold waits until nobody else syncs with the baseline in file.
func Hold(ctx context.Context, file string) (release func(), err error) { return hold(ctx, file) }

// WatchHost tells of changes in dir until ctx ends: as the system does, or where polls, as where the system's watches are used up.
func WatchHost(ctx context.Context, dir string, polls bool, note func(string)) (changed <-chan struct{}, run func(), err error) {
	w, err := newHostWatch(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	if polls {
		w.stopEvents()
		w.why = errors.New("no space left on device")
	}
	return w.subscribe(), func() { w.run(ctx, note) }, nil
}
