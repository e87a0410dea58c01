// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/evenkeel/evenkeel/images"
)

func TestALockOfTodayKnowsWhatSecurityHas(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	const url = "http://deb.example/debian"
	main := write("main", "Package: nginx\nVersion: 1.22.1-9+deb12u3\n\nPackage: curl\nVersion: 7.88.1-10\n")
	security := write("security", "Package: nginx\nVersion: 1.22.1-9+deb12u3\n\nPackage: nginx\nVersion: 1.22.1-9+deb12u2\n\nPackage: vim\nVersion: 2:9.0\n")
	others := write("others", "Package: curl\nVersion: 8\n")
	got, err := images.SecurityOf([]images.LockedPackage{{Name: "curl"}, {Name: "nginx"}}, []images.Index{
		{URL: url, Suite: "bookworm", File: main, Own: true},
		{URL: url + "-security", Suite: "bookworm-security", File: security, Own: true},
		{URL: "http://apt.example", Suite: "tools-security", File: others}, // somebody else's word for it
		{URL: url + "-security", Suite: "bookworm-security", File: filepath.Join(dir, "of an empty component"), Own: true},
	})
	want := map[string][]string{"nginx": {"1.22.1-9+deb12u3", "1.22.1-9+deb12u2"}}
	if err != nil || !maps.EqualFunc(got, want, slices.Equal[[]string]) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}
