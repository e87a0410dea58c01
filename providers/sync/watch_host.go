// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

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

// cover watches every folder that holds something to sync, the outermost included. Ignored ones cost nothing.
func (w *hostWatch) cover(ctx context.Context) error {
	t, _, err := w.host.scan(ctx)
	if err != nil {
		return err
	}
	if err := w.events.Add(w.host.dir); err != nil {
		return err
	}
	for dir := range t.folders() {
		if err := w.events.Add(filepath.Join(w.host.dir, dir)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
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
			if e.Has(fsnotify.Create) {
				if err := w.adopt(ctx, e.Name); err != nil {
					return err
				}
			}
			w.signal()
		}
	}
}

// adopt watches a new folder and those in it, before files come to be there.
func (w *hostWatch) adopt(ctx context.Context, name string) error {
	return filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // it went again, or is a file, of which its folder tells
		}
		rel, err := filepath.Rel(w.host.dir, path)
		if err != nil || !fit(filepath.ToSlash(rel)) {
			return fs.SkipDir
		}
		if is, err := w.host.rules.ignored(ctx, []string{filepath.ToSlash(rel)}); err == nil && len(is) > 0 {
			return fs.SkipDir
		}
		if err := w.events.Add(path); err != nil && !os.IsNotExist(err) {
			return err
		}
		return nil
	})
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
