// SPDX-License-Identifier: Apache-2.0

package libvirt_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/fat12"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/libvirt"
)

func TestNoCloudVolumeHoldsTheSeed(t *testing.T) {
	spec := someSpec()
	volume, err := libvirt.Seed(someUUID, spec, someRecord(spec), true)
	if err != nil {
		t.Fatal(err)
	}
	// Where blkid looks: the label in the boot sector of a FAT12 (fatspec, "Boot Sector and BPB").
	if got := string(volume[43:62]); got != "CIDATA     FAT12   " {
		t.Errorf("got label and type %q, want CIDATA and FAT12", got)
	}
	files := readFAT(t, volume)
	user, err := spec.Seed.UserData()
	if err != nil {
		t.Fatal(err)
	}
	if got := files["user-data"]; got != string(user) {
		t.Errorf("user-data: got %q, want %q", got, user)
	}
	var meta map[string]string
	if err := json.Unmarshal([]byte(files["meta-data"]), &meta); err != nil {
		t.Fatal(err)
	}
	if meta["instance-id"] != someUUID || meta["local-hostname"] != "web-1" {
		t.Errorf("got meta-data %v, want the domain's UUID and the machine's name", meta)
	}
	var network struct {
		Ethernets map[string]struct {
			Addresses []string `json:"addresses"`
		} `json:"ethernets"`
	}
	if err := json.Unmarshal([]byte(files["network-config"]), &network); err != nil {
		t.Fatal(err)
	}
	if len(network.Ethernets) != 2 || strings.Join(network.Ethernets["nic1"].Addresses, " ") != "10.213.0.3/24" {
		t.Errorf("got network %+v, want two cards, the second at 10.213.0.3/24", network)
	}
}

// TestSeedTakesTheMostUserData fills user-data up to what a cloud takes, and beyond.
func TestSeedTakesTheMostUserData(t *testing.T) {
	for _, c := range []struct {
		keys int
		ok   bool
	}{{150, true}, {400, false}} {
		spec := someSpec()
		spec.Seed.AuthorizedKeys = nil
		for range c.keys {
			spec.Seed.AuthorizedKeys = append(spec.Seed.AuthorizedKeys, "ssh-ed25519 "+strings.Repeat("A", 68)+" jo@host.example")
		}
		volume, err := libvirt.Seed(someUUID, spec, someRecord(spec), true)
		if (err == nil) != c.ok {
			t.Errorf("%d keys: got error %v, want success %v", c.keys, err, c.ok)
		}
		if user, _ := spec.Seed.UserData(); err == nil && readFAT(t, volume)["user-data"] != string(user) {
			t.Errorf("%d keys: user-data is cut", c.keys)
		}
	}
}

func TestSeedDiskIsATar(t *testing.T) {
	spec := someSpec()
	content, err := libvirt.Seed(someUUID, spec, someRecord(spec), false)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, "/"+h.Name)
	}
	got := strings.Join(names, " ")
	for _, want := range []string{providers.PathHostKey, providers.PathHostCert, "/etc/hostname", "/etc/systemd/network/10-evenkeel-1.network"} {
		if !strings.Contains(got, want) {
			t.Errorf("got files %s, want %s among them", got, want)
		}
	}
}

// readFAT reads every file of a FAT12 disk.
func readFAT(t *testing.T, disk []byte) map[string]string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := file.OpenFromPath(name, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	volume, err := fat12.Read(f, int64(len(disk)), 0, 512)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := volume.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		r, err := volume.OpenFile(e.Name(), os.O_RDONLY)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(content)
		_ = r.Close()
	}
	return files
}
