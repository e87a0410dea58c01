// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Store holds images, packages and build stages under one folder (XDG cache). Safe for several processes at once.
//
//	packages/SHA256          package files and fetched ones, by their content
//	stages/KEY.tar           what a build starts from, shared by recipes
//	images/KEY/image.json    written last: an image without it does not exist
//	images/KEY/tree.tar.zst, disk.qcow2, ...
//	tmp/                     work in progress, each under a lock held by its process
//	locks/                   one build of one thing at a time
//
// What stands under its final name is complete. What a killed process left in tmp is removed by the next OpenStore.
type Store struct {
	dir     string
	mirror  string // replaces the release's first archive address when packages are looked for
	team    string // another store: a folder or an address
	fetcher fetcher

	noMemory bool // for tests: as if memory were scarce
}

// OpenStore opens or makes a store and removes what dead processes left in it. $EVENKEEL_MIRROR names an archive mirror nearer than the
// release's own, $EVENKEEL_STORE a store of the team (a folder or an http address) to look into before the archives. ctx is for the removing;
// where it ends early, the next OpenStore goes on.
func OpenStore(ctx context.Context, dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, mirror: os.Getenv("EVENKEEL_MIRROR"), team: os.Getenv("EVENKEEL_STORE")}
	for _, sub := range []string{"packages", "stages", "images", "tmp", "locks"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("cannot open the image store %s: %w", dir, err)
		}
	}
	s.fetcher = newFetcher()
	return s, s.sweep(ctx)
}

// Dir is the store's folder.
func (s *Store) Dir() string { return s.dir }

// undoTime is how long cleaning up may take once the work was cancelled.
const undoTime = time.Minute

// sweep removes temporary folders whose process is gone.
func (s *Store) sweep(ctx context.Context) error {
	locks, err := filepath.Glob(filepath.Join(s.dir, "tmp", "*.lock"))
	if err != nil {
		return err
	}
	for _, name := range locks {
		l, err := tryLock(name)
		if err != nil || l == nil {
			continue // alive, or another sweeper's: not ours to judge
		}
		err = s.removeTemp(ctx, name)
		l.unlock()
		if err != nil {
			return fmt.Errorf("cannot remove what a dead build left: %w", err)
		}
	}
	return nil
}

func (s *Store) removeTemp(ctx context.Context, lockName string) error {
	if err := removeTree(ctx, strings.TrimSuffix(lockName, ".lock")); err != nil {
		return err
	}
	return os.Remove(lockName)
}

// tempDir makes a folder for work in progress. done removes it; if the process dies before, the next OpenStore does.
func (s *Store) tempDir(ctx context.Context, kind string) (dir string, done func(), err error) {
	dir = filepath.Join(s.dir, "tmp", kind+"-"+strings.ToLower(rand.Text()[:12]))
	l, err := tryLock(dir + ".lock")
	if err == nil && l == nil {
		err = errors.New("its lock is taken")
	}
	if err == nil {
		if err = os.Mkdir(dir, 0o755); err != nil {
			l.unlock()
		}
	}
	if err != nil {
		return "", nil, fmt.Errorf("cannot make a temporary folder: %w", err)
	}
	return dir, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		defer cancel()
		// A failure here is met again, and told, by the next OpenStore.
		_ = s.removeTemp(ctx, dir+".lock")
		l.unlock()
	}, nil
}

// Find returns an image already in the store, with those of its artefacts whose files are there.
func (s *Store) Find(key string) (Image, bool, error) {
	if !hexDigest.MatchString(key) {
		return Image{}, false, nil
	}
	data, err := os.ReadFile(s.imageFile(key))
	if errors.Is(err, fs.ErrNotExist) {
		return Image{}, false, nil
	}
	if err != nil {
		return Image{}, false, fmt.Errorf("cannot read image %.12s: %w", key, err)
	}
	var img Image
	if err := json.Unmarshal(data, &img); err != nil {
		return Image{}, false, fmt.Errorf("cannot read image %.12s: %w", key, err)
	}
	for f, a := range img.Artefacts {
		a.Path = filepath.Join(s.imageDir(key), filepath.Base(a.Path))
		img.Artefacts[f] = a
		if info, err := os.Stat(a.Path); err != nil || info.Size() != a.Size { // taken away or cut short by hand
			delete(img.Artefacts, f)
		}
	}
	_, found := img.Artefacts[Tar] // all else can be made of it
	return img, found, nil
}

func (s *Store) imageDir(key string) string  { return filepath.Join(s.dir, "images", key) }
func (s *Store) imageFile(key string) string { return filepath.Join(s.imageDir(key), "image.json") }

// Stored is an image of the store with what List tells about its use.
type Stored struct {
	Image
	Built time.Time `json:"built"`
	Bytes int64     `json:"bytes"` // on disk
}

// List is every image of the store, newest first.
func (s *Store) List() ([]Stored, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "images"))
	if err != nil {
		return nil, fmt.Errorf("cannot list images: %w", err)
	}
	var all []Stored
	for _, e := range entries {
		img, found, err := s.Find(e.Name())
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		info, err := os.Stat(s.imageFile(e.Name()))
		if err != nil {
			continue // pruned meanwhile
		}
		all = append(all, Stored{Image: img, Built: info.ModTime(), Bytes: diskUsage(s.imageDir(e.Name()))})
	}
	slices.SortFunc(all, func(a, b Stored) int { return b.Built.Compare(a.Built) })
	return all, nil
}

// save writes img's record, which makes it exist.
func (s *Store) save(img Image) error {
	data, err := json.MarshalIndent(img, "", "  ")
	if err != nil {
		return err
	}
	return writeAtomic(s.imageFile(img.Key), append(data, '\n'), 0o644)
}

// writeAtomic replaces name by data or leaves it as it was, also after a crash of the machine.
func writeAtomic(name string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
