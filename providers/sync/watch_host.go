// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/fsnotify/fsnotify"
)

// hostWatch tells of changes in a folder of this computer.
type hostWatch struct {
	host        *host
	events      *fsnotify.Watcher // nil: it polls
	why         error             // for polling
	subscribers []chan struct{}
}

// newHostWatch begins to watch dir: what changes after it returned is told.
func newHostWatch(ctx context.Context, dir string) (*hostWatch, error) {
	h, err := openHost(ctx, dir)
	if err != nil {
		return nil, err
	}
	w := &hostWatch{host: h}
	if w.events, w.why = fsnotify.NewWatcher(); w.why == nil {
		if w.why = w.cover(ctx); w.why != nil {
			w.stopEvents()
		}
	}
	return w, nil
}

// close ends a watch that does not run.
func (w *hostWatch) close() {
	if w.events != nil {
		w.stopEvents()
	}
	_ = w.host.root.Close() // it was only read
}

func (w *hostWatch) stopEvents() {
	_ = w.events.Close() // nothing was written
	w.events = nil
}

// subscribe returns a channel that holds one signal while changes were not looked at. Before run.
func (w *hostWatch) subscribe() <-chan struct{} {
	c := make(chan struct{}, 1)
	w.subscribers = append(w.subscribers, c)
	return c
}

func (w *hostWatch) signal() {
	for _, c := range w.subscribers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// cover watches every folder in which something to sync is or may come to be, the outermost included. Ignored ones cost nothing.
func (w *hostWatch) cover(ctx context.Context) error {
	if _, _, err := w.host.scan(ctx); err != nil { // it also reads anew what is ignored
		return err
	}
	return w.below(ctx, []string{"."})
}

// below watches the folders of level and those in them, before files come to be there: level by level, so that git is asked once for each.
func (w *hostWatch) below(ctx context.Context, level []string) error {
	for len(level) > 0 {
		var next []string
		for _, dir := range level {
			name := filepath.Join(w.host.dir, dir)
			if err := w.events.Add(name); err != nil && !os.IsNotExist(err) {
				return err
			}
			list, err := os.ReadDir(name) // one that went, or may not be read, holds nothing
			for _, d := range list {
				if rel := path.Join(dir, d.Name()); err == nil && d.IsDir() && fit(rel) {
					next = append(next, rel)
				}
			}
		}
		var err error
		if level, err = w.wanted(ctx, next); err != nil {
			return err
		}
	}
	return nil
}

// wanted are those of the folders that are not ignored; all of them where nobody can say.
func (w *hostWatch) wanted(ctx context.Context, folders []string) ([]string, error) {
	is, err := w.host.rules.ignored(ctx, folders)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return folders, nil //nolint:nilerr // a watch too many does no harm
	}
	return slices.DeleteFunc(folders, func(dir string) bool { return is[dir] }), nil
}

// run signals until ctx ends.
func (w *hostWatch) run(ctx context.Context, note func(string)) {
	defer w.host.root.Close()
	if w.events != nil {
		w.why = w.listen(ctx)
		w.stopEvents()
	}
	if ctx.Err() == nil {
		note(polls(w.host.dir, w.why))
		w.poll(ctx)
	}
}

// listen passes on what the system tells, until it tells no more.
func (w *hostWatch) listen(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err, ok := <-w.events.Errors:
			if !ok {
				return fs.ErrClosed
			}
			if err != fsnotify.ErrEventOverflow { //nolint:errorlint // the package returns it as it is
				return err
			}
			if err := w.cover(ctx); err != nil { // what was made meanwhile was not told
				return err
			}
			w.signal()
		case e, ok := <-w.events.Events:
			if !ok {
				return fs.ErrClosed
			}
			rel, err := filepath.Rel(w.host.dir, e.Name)
			if err != nil || rel != "." && !fit(filepath.ToSlash(rel)) {
				continue // ours, or git's
			}
			if err := w.follow(ctx, e, filepath.ToSlash(rel)); err != nil {
				return err
			}
			w.signal()
		}
	}
}

// follow watches what an event says that there is to watch: a new folder, or those that are no longer ignored.
func (w *hostWatch) follow(ctx context.Context, e fsnotify.Event, rel string) error {
	if path.Base(rel) == ".gitignore" {
		return w.cover(ctx)
	}
	if !e.Has(fsnotify.Create) {
		return nil
	}
	if info, err := os.Lstat(e.Name); err != nil || !info.IsDir() {
		return nil // it went again, or is a file, of which its folder tells
	}
	level, err := w.wanted(ctx, []string{rel})
	if err != nil {
		return err
	}
	return w.below(ctx, level)
}

// poll signals whenever a scan differs from the last.
func (w *hostWatch) poll(ctx context.Context) {
	var last tree
	for ctx.Err() == nil {
		if now, _, err := w.host.scan(ctx); err == nil && !maps.Equal(now, last) {
			last = now
			w.signal()
		}
		pause(ctx, pollEvery)
	}
}
