// SPDX-License-Identifier: Apache-2.0

package sync_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/providers/sync"
)

func TestCopyWorksLikeCpBothWays(t *testing.T) {
	r := newRig(t)
	ctx := context.Background()
	write(t, r.host, "it's -f", "1")
	write(t, r.host, "dir/sub/b", "2")
	if err := os.Chmod(filepath.Join(r.host, "it's -f"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("sub/b", filepath.Join(r.host, "dir/link")); err != nil {
		t.Fatal(err)
	}
	write(t, r.far, "there", "x")
	up := func(to string, recursive bool, sources ...string) error {
		for i, s := range sources {
			sources[i] = filepath.Join(r.host, s)
		}
		return sync.Upload(ctx, r.client, sources, to, sync.CopyOptions{Recursive: recursive})
	}
	for _, err := range []error{
		up(r.far, false, "it's -f"),
		up(r.far+"/renamed", false, "it's -f"),
		up(r.far, true, "dir"),
		up(r.far+"/other", true, "dir"),
		up(r.far+"/", true, "dir", "it's -f"),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	r.holds(r.far, "dir/link>sub/b dir/sub/b=2 it's -f*=1 other/link>sub/b other/sub/b=2 renamed*=1 there=x")
	for what, err := range map[string]error{
		"-r copies folders":                    up(r.far, false, "dir"),
		"it is no folder on the machine":       up(r.far+"/there", true, "dir", "it's -f"),
		"no such file or directory":            up(r.far, false, "nothing"),
		"cannot copy to " + r.far + "/nowhere": up(r.far+"/nowhere/", false, "it's -f"),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %q", err, what)
		}
	}

	back := t.TempDir()
	for _, s := range [][2]string{{"/it's -f", ""}, {"/dir", ""}, {"/dir", "/as"}, {"/there", "/it"}} {
		if err := sync.Download(ctx, r.client, r.far+s[0], back+s[1], sync.CopyOptions{Recursive: true}); err != nil {
			t.Error(err)
		}
	}
	r.holds(back, "as/link>sub/b as/sub/b=2 dir/link>sub/b dir/sub/b=2 it's -f*=1 it=x")
	if err := sync.Download(ctx, r.client, r.far+"/dir", back, sync.CopyOptions{}); err == nil || !strings.Contains(err.Error(), "-r copies folders") {
		t.Errorf("got %v", err)
	}
	if err := sync.Download(ctx, r.client, r.far+"/gone", back, sync.CopyOptions{}); err == nil || !strings.Contains(err.Error(), "file does not exist") {
		t.Errorf("got %v", err)
	}
}

func TestAFolderFromAMachineStaysInItsPlace(t *testing.T) {
	r := newRig(t)
	outside, back := t.TempDir(), t.TempDir()
	write(t, r.far, "dir/a", "new")
	for name, to := range map[string]string{"dir/out": outside, "dir/up": "../../x", "dir/in": "a"} {
		if err := os.Symlink(to, filepath.Join(r.far, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, outside, "a", "old")
	// What is there already leads out.
	if err := os.MkdirAll(filepath.Join(back, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, r.far, "dir/trap/a", "new")
	if err := os.Symlink(outside, filepath.Join(back, "dir/trap")); err != nil {
		t.Fatal(err)
	}
	skipped := map[string]string{}
	err := sync.Download(context.Background(), r.client, r.far+"/dir", back, sync.CopyOptions{Recursive: true, Skipped: func(name, why string) { skipped[name] = why }})
	r.holds(outside, "a=old")
	if err == nil {
		t.Error("a folder was copied through a link")
	}
	if err := os.Remove(filepath.Join(back, "dir/trap")); err != nil {
		t.Fatal(err)
	}
	if err := sync.Download(context.Background(), r.client, r.far+"/dir", back, sync.CopyOptions{Recursive: true, Skipped: func(name, why string) { skipped[name] = why }}); err != nil {
		t.Error(err)
	}
	r.holds(back, "dir/a=new dir/in>a dir/trap/a=new")
	if len(skipped) != 2 {
		t.Errorf("skipped %v, want the two links out", skipped)
	}
}
