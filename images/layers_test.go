// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"archive/tar"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/images"
)

func TestFetchedFilesAreLaidAsTheyLieInTheStore(t *testing.T) {
	sum := strings.Repeat("0", 63) + "1"
	dir := writeProject(t, map[string]string{
		"web.yaml": "from: debian:12\nfetch: [{url: https://x.example/tool, sha256: \"" + sum + "\", to: /opt/tool, mode: \"0755\"}]\n",
		sum:        "the tool",
	})
	name := filepath.Join(t.TempDir(), "files.tar")
	if err := images.LateTar(load(t, dir, "web.yaml"), name, func(sum string) string { return filepath.Join(dir, sum) }); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := tar.NewReader(f)
	h, err := in.Next()
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(in); err != nil || string(data) != "the tool" || h.Name != "./opt/tool" || h.Mode != 0o755 {
		t.Errorf("got %q (%v) at %s, mode %o; want the tool at ./opt/tool, 755", data, err, h.Name, h.Mode)
	}
}

// What packages print ends in messages on a terminal.
func TestOutputCannotCommandTheTerminal(t *testing.T) {
	got := images.Lines("one\x1b]0;title\a\ttwo\r\nthr\xffee\u202e\n")
	want := []string{"one\ufffd]0;title\ufffd two", "thr\ufffdee\ufffd"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q; want %q", got, want)
	}
}

// Who changes a key's file after the recipe was read changes nothing; and a folder's name cannot add options for apt.
func TestArchivesAreCheckedWithTheKeysAsTheyWereRead(t *testing.T) {
	dir := writeProject(t, map[string]string{
		"web.yaml": "from: debian:12\nkeyring: \"a ] key\"\nsources: [{url: http://x.example, suite: y, key: \"b,c].gpg\"}]\n",
		"a ] key":  "binary",
		"b,c].gpg": "-----BEGIN PGP PUBLIC KEY BLOCK-----\n",
	})
	r := load(t, dir, "web.yaml")
	if err := os.WriteFile(filepath.Join(dir, "a ] key"), []byte("another"), 0o644); err != nil {
		t.Fatal(err)
	}
	lists := t.TempDir()
	got, err := images.AptSources(r, lists)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"key-0.gpg", "key-1.gpg", "key-2.gpg", "key-3.asc"} {
		if line := strings.Split(got, "\n")[i]; !strings.Contains(line, " signed-by="+filepath.Join(lists, want)+"] http") {
			t.Errorf("got %q; want it signed by %s", line, want)
		}
	}
	if key := read(t, filepath.Join(lists, "key-0.gpg")); key != "binary" {
		t.Errorf("got the key %q; want the one that was read", key)
	}
}
