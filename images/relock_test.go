// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/images"
)

func TestChangesNameWhatTwoLocksHaveDifferent(t *testing.T) {
	old := &images.Lock{Packages: []images.LockedPackage{
		{Name: "bash", Version: "5.2", SHA256: "a"}, {Name: "curl", Version: "7.8", SHA256: "b"}, {Name: "gone", Version: "1", SHA256: "c"}, {Name: "same", Version: "2", SHA256: "d"},
	}}
	newer := &images.Lock{Packages: []images.LockedPackage{
		{Name: "bash", Version: "5.2", SHA256: "a"}, {Name: "curl", Version: "7.9", SHA256: "e"}, {Name: "new", Version: "3", SHA256: "f"}, {Name: "same", Version: "2", SHA256: "other"},
	}}
	want := []images.PackageChange{{"curl", "7.8", "7.9"}, {"gone", "1", ""}, {"new", "", "3"}, {"same", "2", "2"}}
	if diff := cmp.Diff(want, old.Changes(newer)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if got := old.Changes(old); len(got) != 0 {
		t.Errorf("a lock differs from itself by %+v", got)
	}
	if got := (*images.Lock)(nil).Changes(old); len(got) != 4 || got[0] != (images.PackageChange{"bash", "", "5.2"}) {
		t.Errorf("from nothing: %+v", got)
	}
}
