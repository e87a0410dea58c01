// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMain makes the test binary the command itself where it is called by one of its names: so the tests see real processes, and need no build.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "env", "evenkeel":
		main()
		return
	}
	os.Exit(m.Run())
}

// calledAs is the test binary under another name, in a folder of its own.
func calledAs(t *testing.T, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}
