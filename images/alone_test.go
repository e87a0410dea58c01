// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/images"
)

// TestOneAtATimeBringsAnArtefactToAPlace: the second waits, says so once, and goes on when the first is done; one that gives up says why, and leaves the lock to others.
func TestOneAtATimeBringsAnArtefactToAPlace(t *testing.T) {
	a := images.Artefact{Path: filepath.Join(t.TempDir(), "tree.tar.zst")}
	none, err := a.Alone(t.Context(), nil)
	if err != nil {
		t.Fatalf("a file that is not there: got %v, want nobody to wait", err)
	}
	none()
	if err := os.WriteFile(a.Path, nil, 0o400); err != nil {
		t.Fatal(err)
	}
	first, err := a.Alone(t.Context(), func() { t.Error("the first waits") })
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("given up")
	ctx, cancel := context.WithCancelCause(t.Context())
	if _, err := a.Alone(ctx, func() { cancel(gone) }); !errors.Is(err, gone) {
		t.Errorf("got %v, want %v", err, gone)
	}
	waits, second := make(chan bool, 2), make(chan error)
	go func() {
		done, err := a.Alone(t.Context(), func() { waits <- true })
		if err == nil {
			done()
		}
		second <- err
	}()
	<-waits
	select {
	case err := <-second:
		t.Fatalf("the second did not wait: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	first()
	if err := <-second; err != nil || len(waits) > 0 {
		t.Errorf("got %v, told %d times more, want the lock, and to be told once", err, len(waits))
	}
}
