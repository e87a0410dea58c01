// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"context"
	"errors"
	"fmt"
)

// makeScript makes the folder as the user whose it is to be.
const makeScript = `mkdir -p -- "$1" 2>/dev/null && [ -w "$1" ]`

// rootScript makes the folder $1 for user $2 as root, or gives that user the folders of the image in it. Files stay whose they are: they need only be
// replaced. It goes only through folders of root that nobody else may write: elsewhere somebody could put a link in its way.
const rootScript = `set -eu
rest=${1#/}
cd /
while :; do
	case $rest in */*) part=${rest%%/*} rest=${rest#*/} ;; *) part=$rest rest= ;; esac
	if [ -L "$part" ]; then echo "$part in $1 is a symbolic link" >&2; exit 1; fi
	if [ ! -d "$part" ]; then mkdir -m 755 -- "$part"; fi
	cd -P -- "./$part"
	[ "$rest" ] || break
	case $(stat -c '%u %A' .) in
	0\ d????-??-?) ;;
	*) echo "$(pwd) is not root's alone; make $1 in the image" >&2; exit 1 ;;
	esac
done
find . -xdev -type d -user 0 -exec chown -h -- "$2" {} +
`

// prepared is the scan of the machine's folder, which is made where it is absent, and given to its user where it is the image's.
func (w *work) prepared(ctx context.Context) (*scanned, error) {
	s, err := w.machine.scan(ctx)
	if err != nil || s.ready() {
		return s, err
	}
	if err := w.prepare(ctx, s); err != nil {
		return nil, err
	}
	if s, err = w.machine.scan(ctx); err == nil && s.absent {
		err = errors.New("the folder on the machine went again")
	}
	return s, err
}

// ready says whether the user may write wherever a file may have to go.
func (s *scanned) ready() bool {
	if s.absent || !s.writes {
		return false
	}
	if s.id != "" {
		return true // it was prepared; what root made since is told file by file
	}
	for _, writable := range s.dirs {
		if !writable {
			return false
		}
	}
	return true
}

func (w *work) prepare(ctx context.Context, s *scanned) error {
	if s.absent {
		if err := w.machine.run(ctx, makeScript, nil, nil, w.machine.dir); err == nil || ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if w.options.Login == nil {
		return errors.New("the machine's user may not make the folder")
	}
	root := machine{w.options.Login, w.machine.dir}
	err := root.run(ctx, `exec sudo -n sh -c "$1" sh "$2" "$3"`, nil, nil, rootScript, w.machine.dir, w.options.User)
	if err != nil {
		return fmt.Errorf("cannot make the folder on the machine: %w", err)
	}
	return nil
}
