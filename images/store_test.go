// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/progress"
)

func openStore(t *testing.T, dir string) *images.Store {
	t.Helper()
	s, err := images.OpenStore(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// place is an archive on loopback that counts what it is asked for.
func place(t *testing.T, handler http.HandlerFunc) (address string, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		handler(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, asked
}

func serving(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "x.deb", time.Time{}, bytes.NewReader(data))
	}
}

func wantContent(t *testing.T, name string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, %v; want %d", len(got), err, len(want))
	}
}

// The live archive has superseded a locked version; the snapshot service still has it.
func TestASupersededPackageComesFromTheSnapshot(t *testing.T) {
	data := []byte("a package")
	live, liveAsked := place(t, http.NotFound)
	snapshot, _ := place(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/20260102T000000Z/pool/libstdc++6_1_amd64.deb" {
			http.NotFound(w, r)
			return
		}
		serving(data)(w, r)
	})
	r := lockedRecipe(t, "from: debian:12\n", func(l *images.Lock) {
		l.Archives[0].URL, l.Archives[0].Snapshot = live, snapshot+"/20260102T000000Z"
		l.Packages = l.Packages[:1]
		l.Packages[0].SHA256, l.Packages[0].Size, l.Packages[0].Path = hashOf(data), int64(len(data)), "pool/libstdc++6_1_amd64.deb"
	})
	dir := t.TempDir()
	s := openStore(t, dir)
	for range 2 { // the second time it is there
		if err := s.FetchPackages(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	wantContent(t, filepath.Join(dir, "packages", hashOf(data)), data)
	if n := liveAsked.Load(); n != 1 {
		t.Errorf("the live archive was asked %d times; want once, before the snapshot", n)
	}
}

func TestTheTeamsStoreIsAskedBeforeTheArchive(t *testing.T) {
	data := []byte("a package")
	live, liveAsked := place(t, serving(data))
	team := t.TempDir()
	if err := os.MkdirAll(filepath.Join(team, "packages"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(team, "packages", hashOf(data)), data, 0o644); err != nil {
		t.Fatal(err)
	}
	web, webAsked := place(t, http.FileServer(http.Dir(team)).ServeHTTP)
	for _, store := range []string{team, web} {
		t.Setenv("EVENKEEL_STORE", store)
		r := lockedRecipe(t, "from: debian:12\n", func(l *images.Lock) {
			l.Archives[0].URL, l.Packages = live, l.Packages[:1]
			l.Packages[0].SHA256, l.Packages[0].Size = hashOf(data), int64(len(data))
		})
		if err := openStore(t, t.TempDir()).FetchPackages(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if liveAsked.Load() != 0 || webAsked.Load() != 1 {
		t.Errorf("got %d requests to the archive and %d to the team's store; want 0 and 1", liveAsked.Load(), webAsked.Load())
	}
}

func TestWhatIsNotTheLockedContentIsRefusedAndTheNextPlaceTried(t *testing.T) {
	data := []byte("the locked package")
	sum, size := hashOf(data), int64(len(data))
	forged, _ := place(t, serving([]byte("a forged package!!")))
	long, _ := place(t, serving(append([]byte("more"), data...)))
	good, _ := place(t, serving(data))
	dir := t.TempDir()
	s := openStore(t, dir)
	_, err := s.FetchFile(t.Context(), "x.deb", sum, size, nil, forged, long)
	if err == nil || !strings.Contains(err.Error(), forged) || !strings.Contains(err.Error(), long) || !strings.Contains(err.Error(), "x.deb") {
		t.Fatalf("got %v; want an error that names the file and each place", err)
	}
	name, err := s.FetchFile(t.Context(), "x.deb", sum, size, nil, forged, long, good)
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, name, data)
}

func TestABrokenOffTransferGoesOnWhereItStopped(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	var ranges []string
	flaky, _ := place(t, func(w http.ResponseWriter, r *http.Request) {
		ranges = append(ranges, r.Header.Get("Range"))
		if len(ranges) == 1 {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			_, _ = w.Write(data[:len(data)/2])
			panic(http.ErrAbortHandler)
		}
		serving(data)(w, r)
	})
	s := openStore(t, t.TempDir())
	if _, err := s.FetchFile(t.Context(), "x", hashOf(data), int64(len(data)), nil, flaky); err == nil {
		t.Fatal("a broken-off transfer was taken for a whole one")
	}
	name, err := s.FetchFile(t.Context(), "x", hashOf(data), int64(len(data)), nil, flaky)
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, name, data)
	if len(ranges) != 2 || !strings.HasPrefix(ranges[1], "bytes=") || ranges[1] == "bytes=0-" {
		t.Errorf("got the ranges %q; want the second to go on", ranges)
	}
}

func TestAFileThatRottedInTheStoreIsFetchedAgain(t *testing.T) {
	data := []byte("good")
	address, asked := place(t, serving(data))
	s := openStore(t, t.TempDir())
	name, err := s.FetchFile(t.Context(), "x", hashOf(data), 4, nil, address)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("rot!"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.FetchFile(t.Context(), "x", hashOf(data), 4, nil, address); err != nil {
		t.Fatal(err)
	}
	wantContent(t, name, data)
	if asked.Load() != 2 {
		t.Errorf("got %d requests; want 2", asked.Load())
	}
}

func TestTwoStoresAtOnceFetchAFileOnce(t *testing.T) {
	data := bytes.Repeat([]byte("x"), 1<<20)
	address, asked := place(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(100 * time.Millisecond)
		serving(data)(w, r)
	})
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		s := openStore(t, dir)
		wg.Go(func() {
			if _, err := s.FetchFile(t.Context(), "x", hashOf(data), int64(len(data)), nil, address); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if asked.Load() != 1 {
		t.Errorf("got %d requests; want 1", asked.Load())
	}
}

func TestProgressOfAFetchEndsAtItsTotal(t *testing.T) {
	data := bytes.Repeat([]byte("x"), 1<<18)
	address, _ := place(t, serving(data))
	forged, _ := place(t, serving(bytes.Repeat([]byte("y"), 1<<18)))
	var mu sync.Mutex
	var last progress.Event
	tell := func(e progress.Event) {
		mu.Lock()
		defer mu.Unlock()
		last = e
	}
	s := openStore(t, t.TempDir())
	if _, err := s.FetchFile(t.Context(), "x", hashOf(data), int64(len(data)), tell, forged, address); err != nil {
		t.Fatal(err)
	}
	if last.Stage != "fetch" || !last.Bytes || last.Done != last.Total || last.Total != int64(len(data)) {
		t.Errorf("got %+v last; want fetch, done == total == %d bytes", last, len(data))
	}
}

func TestOpenStoreRemovesWhatDeadBuildsLeftAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	openStore(t, dir)
	for _, name := range []string{"build-dead", "build-alive"} {
		if err := os.MkdirAll(filepath.Join(dir, "tmp", name, "root"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "tmp", name+".lock"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	held, err := os.Open(filepath.Join(dir, "tmp/build-alive.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	openStore(t, dir)
	if _, err := os.Stat(filepath.Join(dir, "tmp/build-dead")); err == nil {
		t.Error("the dead build's folder is still there")
	}
	if _, err := os.Stat(filepath.Join(dir, "tmp/build-alive/root")); err != nil {
		t.Errorf("the running build's folder is gone: %v", err)
	}
}

// storeImage writes an image's record as a finished build does.
func storeImage(t *testing.T, dir, key string, built time.Time) {
	t.Helper()
	folder := filepath.Join(dir, "images", key)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	record := fmt.Sprintf(`{"key":%q,"digest":"d","recipe":"web","artefacts":{"tar":{"path":"/elsewhere/tree.tar","size":3}}}`, key)
	for name, text := range map[string]string{"image.json": record, "tree.tar": "tar"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(filepath.Join(folder, "image.json"), built, built); err != nil {
		t.Fatal(err)
	}
}

func TestAnImageIsFoundWhereTheStoreIsNow(t *testing.T) {
	dir, key := t.TempDir(), strings.Repeat("a", 64)
	s := openStore(t, dir)
	if _, found, err := s.Find(key); found || err != nil {
		t.Fatalf("got %v, %v; want nothing", found, err)
	}
	storeImage(t, dir, key, time.Now())
	img, found, err := s.Find(key)
	if err != nil || !found {
		t.Fatalf("got %v, %v; want the image", found, err)
	}
	if got, want := img.Artefacts[images.Tar].Path, filepath.Join(dir, "images", key, "tree.tar"); got != want {
		t.Errorf("got %s; want %s", got, want)
	}
	if _, found, err := s.Find("../../etc"); found || err != nil {
		t.Errorf("got %v, %v for what is no key; want nothing", found, err)
	}
}

func TestAnImageWithoutItsFilesIsNotThere(t *testing.T) {
	for what, spoil := range map[string]func(string) error{
		"gone": os.Remove,
		"cut":  func(name string) error { return os.Truncate(name, 1) },
	} {
		dir, key := t.TempDir(), strings.Repeat("a", 64)
		s := openStore(t, dir)
		storeImage(t, dir, key, time.Now())
		if err := spoil(filepath.Join(dir, "images", key, "tree.tar")); err != nil {
			t.Fatal(err)
		}
		if img, found, err := s.Find(key); found || err != nil {
			t.Errorf("%s: got %v, %v; want no image", what, img, err)
		}
	}
}

func TestPruneRemovesOldImagesThatNobodyKeeps(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	s := openStore(t, dir)
	old, kept, young := strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64)
	storeImage(t, dir, old, now.Add(-48*time.Hour))
	storeImage(t, dir, kept, now.Add(-48*time.Hour))
	storeImage(t, dir, young, now)
	for _, dry := range []bool{true, false} {
		got, err := s.Prune(t.Context(), now.Add(-24*time.Hour), []string{kept}, dry)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Images) != 1 || got.Images[0].Key != old {
			t.Errorf("dry %v: got %v; want the old image", dry, got.Images)
		}
		list, err := s.List()
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{true: 3, false: 2}[dry]; len(list) != want {
			t.Errorf("dry %v: %d images are left; want %d", dry, len(list), want)
		}
	}
	dead := filepath.Join(dir, "images", strings.Repeat("d", 64))
	if err := errors.Join(os.Mkdir(dead, 0o755), os.WriteFile(filepath.Join(dead, "tree.tar.zst"), []byte("a part"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, age := range []time.Duration{59 * time.Minute, 2 * time.Hour} { // a build may be at it, or not any more
		if err := os.Chtimes(dead, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
		got, err := s.Prune(t.Context(), now, []string{kept, young}, false)
		if err != nil {
			t.Fatal(err)
		}
		_, err = os.Stat(dead)
		if old := age > time.Hour; (got.Files == 1) != old || (err != nil) != old {
			t.Errorf("%v old: got %+v, %v; want what a dead build left to go: %v", age, got, err, old)
		}
	}
	if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) != 0 {
		t.Errorf("prune left %v in tmp (%v)", left, err)
	}
}

func TestACancelledFetchEndsWithTheCause(t *testing.T) {
	stop := make(chan struct{})
	address, _ := place(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		<-stop
	})
	defer close(stop)
	s := openStore(t, t.TempDir())
	ctx, cancel := contextThatEnds(t, 50*time.Millisecond)
	defer cancel()
	if _, err := s.FetchFile(ctx, "x", strings.Repeat("a", 64), 10, nil, address); err == nil || !errors.Is(err, ctx.Err()) {
		t.Errorf("got %v; want %v", err, ctx.Err())
	}
}
