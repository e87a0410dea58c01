// SPDX-License-Identifier: Apache-2.0

package docker_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/docker"
)

// TestImagesIdentityIsItsTrees: an image's ID is made of these bytes.
func TestImagesIdentityIsItsTrees(t *testing.T) {
	img := images.Image{Key: "00", Digest: "11", Recipe: "web", Artefacts: map[images.Format]images.Artefact{images.Tar: {SHA256: "22"}}}
	one, err := docker.ImageConfig(img, "33", "252.39-1~deb12u1")
	if err != nil {
		t.Fatal(err)
	}
	again, err := docker.ImageConfig(img, "33", "252.39-1~deb12u1")
	if err != nil || !bytes.Equal(one, again) {
		t.Errorf("got %s and %s, %v", one, again, err)
	}
	other, err := docker.ImageConfig(img, "34", "252.39-1~deb12u1")
	if err != nil || bytes.Equal(one, other) {
		t.Error("another tree has the same configuration")
	}
	var c struct {
		Config struct{ StopSignal string }
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	if err := json.Unmarshal(one, &c); err != nil || c.Config.StopSignal != "SIGRTMIN+3" || len(c.RootFS.DiffIDs) != 1 || c.RootFS.DiffIDs[0] != "sha256:33" {
		t.Errorf("got %s, %v", one, err)
	}
}

func TestSystemdThatWouldNotStartIsRefused(t *testing.T) {
	for _, c := range []struct {
		systemd, groups string
		code            providers.Code
	}{
		{"252.39-1~deb12u1", "1", ""}, {"255.4-1ubuntu8", "1", ""}, {"257.8-1~deb13u2", "2", ""}, {"", "1", ""},
		{"256~rc3-1", "1", providers.Unsupported}, {"257.8-1~deb13u2", "1", providers.Unsupported}, {"257.8-1~deb13u2", "", providers.Unsupported},
	} {
		err := docker.Wrap("store", "image", docker.Bootable(c.systemd, c.groups))
		if providers.CodeOf(err) != c.code {
			t.Errorf("systemd %q, control groups %q: got %v, want code %q", c.systemd, c.groups, err, c.code)
		}
	}
}

func TestSystemdsVersionIsDpkgs(t *testing.T) {
	const status = "Package: libsystemd0\nVersion: 1\n\nPackage: systemd\nStatus: install ok installed\nDepends: x\nVersion: 252.39-1~deb12u1\n\nPackage: x\nVersion: 2\n"
	if got, err := docker.SystemdVersion(strings.NewReader(status)); err != nil || got != "252.39-1~deb12u1" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := docker.SystemdVersion(strings.NewReader("Package: busybox\n")); err != nil || got != "" {
		t.Errorf("got %q, %v, want nothing", got, err)
	}
}
