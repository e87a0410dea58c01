// SPDX-License-Identifier: Apache-2.0

package bounded_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/evenkeel/evenkeel/internal/bounded"
)

// long is more than any bound here, from a source that hands itself over as a whole where it may.
func long() io.Reader { return strings.NewReader(strings.Repeat("x", 10_000) + "the end") }

func TestTailKeepsTheEndOfWhateverComes(t *testing.T) {
	var tail bounded.Tail
	if _, err := io.Copy(&tail, long()); err != nil {
		t.Fatal(err)
	}
	if got := tail.String(); len(got) != 4096 || !strings.HasSuffix(got, "xthe end") {
		t.Errorf("got %d bytes that end with %q", len(got), got[max(0, len(got)-20):])
	}
}

func TestLimitedHoldsItsBoundHoweverItIsFilled(t *testing.T) {
	for name, from := range map[string]io.Reader{"as a whole": long(), "in pieces": io.MultiReader(long())} {
		l := bounded.Limited{Most: 9000}
		if _, err := io.Copy(&l, from); err == nil || len(l.String()) > l.Most {
			t.Errorf("%s: kept %d bytes and %v, want at most %d and an error", name, len(l.String()), err, l.Most)
		}
	}
	l := bounded.Limited{Most: 5}
	for _, part := range []string{"ab", "cde"} {
		if _, err := io.WriteString(&l, part); err != nil {
			t.Error(err)
		}
	}
	if l.String() != "abcde" {
		t.Errorf("got %q", &l)
	}
}

func TestReadFileTakesRegularFilesUpToTheirBound(t *testing.T) {
	dir := t.TempDir()
	file, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "pipe")
	if err := os.WriteFile(file, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := bounded.ReadFile(file, 5); err != nil || string(data) != "12345" {
		t.Errorf("got %q, %v", data, err)
	}
	for name, want := range map[string]string{file: "larger than 4 bytes", pipe: "no regular file", dir: "a folder", "/dev/zero": "no regular file"} {
		if data, err := bounded.ReadFile(name, 4); err == nil || data != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, %v, want: %s", name, data, err, want)
		}
	}
	if _, err := bounded.ReadFile(filepath.Join(dir, "none"), 4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %v", err, fs.ErrNotExist)
	}
}
