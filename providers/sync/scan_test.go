// SPDX-License-Identifier: Apache-2.0

package sync_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/providers/sync"
)

// listing is what the scan script prints of one file, a link, and tricks.
const listing = "head 1000 1763737200.123456789 yes ID\x00" +
	"d 0 0 0 0 lib\x00\x00f 755 1000 12 1763737100.0000000010 lib/a b\nc\x00\x00l 0 0 0 0 in\x00lib\x00l 0 0 0 0 out\x00/etc/passwd\x00"

func FuzzScan(f *testing.F) {
	f.Add(listing + "end\x00")
	f.Add("absent\x00")
	f.Add(listing + "f 644 0 1 1.0 ../../x\x00\x00f 644 0 1 1.0 /etc/x\x00\x00f 644 0 1 1.0 a/.git/hooks/x\x00\x00f 644 0 1 1.0 .GIT/x\x00\x00f 644 0 1 1.0 a//b\x00\x00end\x00")
	f.Add(listing + "x 0 0 0 0 closed\x00\x00u 0 0 0 0 secret\x00\x00end\x00")
	f.Add("head 1000 1e9 yes \x00end\x00")
	f.Add(listing + "f 644 1000 -5 1.0 neg\x00\x00end\x00")
	f.Fuzz(func(t *testing.T, text string) {
		paths, links, err := sync.ParseScan(strings.NewReader(text))
		if err == nil && !strings.HasSuffix(text, "end\x00") && !strings.Contains(text, "end\x00") && text != "absent\x00" && !strings.HasPrefix(text, "absent\x00") {
			t.Error("a listing without its end passed for a whole one")
		}
		for _, p := range paths {
			if !filepath.IsLocal(p) || filepath.Clean(p) != p || strings.Contains(strings.ToLower("/"+p+"/"), "/.git/") {
				t.Errorf("%q was taken", p)
			}
		}
		for p, to := range links {
			if at := filepath.Join(filepath.Dir(p), to); filepath.IsAbs(to) || at != "." && !filepath.IsLocal(at) {
				t.Errorf("link %q to %q was taken", p, to)
			}
		}
	})
}

func TestAListingThatEndsEarlyIsNoListing(t *testing.T) {
	whole := listing + "end\x00"
	for n := range len(whole) {
		if _, _, err := sync.ParseScan(strings.NewReader(whole[:n])); err == nil {
			t.Errorf("%q passed", whole[:n])
		}
	}
	paths, links, err := sync.ParseScan(strings.NewReader(whole))
	if err != nil || len(paths) != 2 || links["in"] != "lib" {
		t.Errorf("got %q, %q, %v", paths, links, err)
	}
}
