// SPDX-License-Identifier: Apache-2.0

package docker_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/providers/docker"
)

// repository is docker's rule for a name and a tag (github.com/distribution/reference).
var repository = regexp.MustCompile(`^evenkeel/[a-z0-9]+(-+[a-z0-9]+)*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

func TestImageNamesAreDockers(t *testing.T) {
	key := strings.Repeat("0f", 32)
	for recipe, want := range map[string]string{
		"web": "evenkeel/web:", "Web_2": "evenkeel/web-2:", "../a b": "evenkeel/a-b:", "": "evenkeel/image:", "ünï": "evenkeel/n:", "--": "evenkeel/image:",
	} {
		if got := docker.ImageName(recipe, key); got != want+key || !repository.MatchString(got) {
			t.Errorf("%q: got %q, want %q", recipe, got, want+key)
		}
	}
}

func TestMarkSaysTheSizeOfItsVolume(t *testing.T) {
	const volume = "evenkeel-data_shop.ci_db-1_pg_0a1b2c3d"
	name := docker.MarkName(volume, 1<<30)
	if got, size, ok := docker.ParseMark(name); !ok || got != volume || size != 1<<30 {
		t.Errorf("%s: got %q %d %v", name, got, size, ok)
	}
	for _, name := range []string{"", volume, volume + ".", volume + ".x", volume + ".-1", volume + ".0", volume + ".01", "other.7"} {
		if got, size, ok := docker.ParseMark(name); ok {
			t.Errorf("%q is taken for a mark of %q, %d", name, got, size)
		}
	}
}

func FuzzMarks(f *testing.F) {
	f.Add("evenkeel-data_a.b_c_d_0a1b2c3d.1")
	f.Fuzz(func(t *testing.T, name string) {
		if volume, size, ok := docker.ParseMark(name); ok && docker.MarkName(volume, size) != name {
			t.Errorf("%q is read as %q, %d", name, volume, size)
		}
	})
}
