// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"slices"
	"testing"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/parity"
)

func TestPendingAreSecurityUpdatesThatAnImageLacks(t *testing.T) {
	today := &images.Lock{
		Tree: []images.ManifestPackage{{Name: "given", Version: "1.0", Arch: "amd64"}},
		Packages: []images.LockedPackage{
			{Name: "curl", Version: "7.88.1-10+deb12u9", Archive: "main"},
			{Name: "nginx", Version: "1.22.1-9+deb12u3", Archive: "security"},
			{Name: "openssl", Version: "3.0.17-1~deb12u2", Archive: "main"},
			{Name: "tzdata", Version: "2025b-0+deb12u1", Archive: "updates"},
		},
		Security: map[string][]string{
			"nginx":   {"1.22.1-9+deb12u2", "1.22.1-9+deb12u3"},
			"openssl": {"3.0.16-1~deb12u1"}, // a point release has a newer one since
			"curl":    {"7.88.1-10+deb12u5"},
		},
	}
	installed := []images.ManifestPackage{
		{Name: "openssl", Version: "3.0.15-1~deb12u1"}, {Name: "nginx", Version: "1.22.1-9+deb12u1"},
		{Name: "curl", Version: "7.88.1-10+deb12u5"}, // behind, but not in security
		{Name: "tzdata", Version: "2024a-0+deb12u1"}, {Name: "ours", Version: "1"}, {Name: "given", Version: "0.9"},
	}
	want := []string{"nginx 1.22.1-9+deb12u3", "openssl 3.0.17-1~deb12u2"}
	if got := parity.PendingOf(installed, today); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := parity.PendingOf(parity.Locked(today), today); got == nil || len(got) != 0 {
		t.Errorf("of today's own lock: got %q, want an empty list: it was looked up", got)
	}
}
