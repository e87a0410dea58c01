// SPDX-License-Identifier: Apache-2.0

package docker_test

import (
	"maps"
	"testing"

	"github.com/docker/docker/api/types/volume"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/docker"
)

const someVolume = "evenkeel-data_shop.ci_db-1_pg_0a1b2c3d"

func volumeOf(name, kind string) *volume.Volume {
	return &volume.Volume{Name: name, Labels: map[string]string{docker.LabelKind: kind, docker.LabelEnv: "shop.ci", docker.LabelName: "db-1", docker.LabelDisk: "pg"}}
}

// TestDiskIsOneOnceItHasAMark goes through what a run may leave that is killed while it makes, grows or removes a disk.
func TestDiskIsOneOnceItHasAMark(t *testing.T) {
	content := volumeOf(someVolume, docker.KindData)
	small, large := volumeOf(docker.MarkName(someVolume, 1<<20), docker.KindMark), volumeOf(docker.MarkName(someVolume, 1<<30), docker.KindMark)
	for _, c := range []struct {
		what    string
		volumes []*volume.Volume
		size    int64
	}{
		{"made, not marked", []*volume.Volume{content}, 0},
		{"marked", []*volume.Volume{small, content}, 1 << 20},
		{"grown, its old mark still there", []*volume.Volume{large, content, small}, 1 << 30},
		{"grown", []*volume.Volume{content, large}, 1 << 30},
		{"removed, all but a mark", []*volume.Volume{small}, 0},
	} {
		if got, want := docker.Disks(c.volumes), map[string]int64{someVolume: c.size}; !maps.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", c.what, got, want)
		}
	}
	if got := docker.Disks([]*volume.Volume{nil, {Name: someVolume}, {Name: "x", Labels: map[string]string{docker.LabelKind: docker.KindMark}}}); len(got) > 0 {
		t.Errorf("got %v of what is not ours, want nothing", got)
	}
}

func TestDiskIsTakenByItsProjectAndNeverShrinks(t *testing.T) {
	for _, c := range []struct {
		what       string
		have, want int64
		was, is    string
		code       providers.Code
	}{
		{"the same", 1 << 20, 1 << 20, "p", "p", ""},
		{"larger", 1 << 20, 1 << 21, "p", "p", ""},
		{"smaller", 1 << 21, 1 << 20, "p", "p", providers.Denied},
		{"another project's", 1 << 20, 1 << 20, "p", "q", providers.Conflict},
	} {
		if err := docker.Takeable(c.have, c.want, c.was, c.is); providers.CodeOf(err) != c.code {
			t.Errorf("%s: got %v, want code %q", c.what, err, c.code)
		}
	}
}
