// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
)

// specFormat is part of every spec digest: raising it makes every machine differ from its definition, so it is raised only
// when the meaning of a digested field changes.
const specFormat = 1

// MaxEnv is the longest environment ID: the shortest place (an interface or a bucket name) has to hold it with a prefix.
const MaxEnv = 40

// maxDataName leaves room for a prefix in what shows a disk to its machine: an ext4 label has 16 bytes, a virtio serial 20.
const maxDataName = 12

var (
	envID       = lazyregexp.New(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?){1,2}$`)
	machineName = lazyregexp.New(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)
	dpkgVersion = lazyregexp.New(`^[0-9][A-Za-z0-9.+:~-]{0,99}$`)
)

// Digest is what a machine cannot change without being replaced: CPUs, memory, disk, data disks and image key. Everything else is
// laid by Settle or brought up to date by PutMachine. 64 hex digits.
func (s Spec) Digest() string {
	b, err := json.Marshal(struct {
		Format   int    `json:"format"`
		CPUs     int    `json:"cpus"`
		Memory   int64  `json:"memory"`
		Disk     int64  `json:"disk"`
		Data     []Data `json:"data,omitempty"`
		ImageKey string `json:"image_key"`
	}{specFormat, s.CPUs, s.Memory, s.Disk, s.Data, s.ImageKey})
	if err != nil {
		panic(err) // ints and strings always marshal
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Validate reports what no provider may accept.
func (s Spec) Validate() error {
	switch {
	case len(s.Env) > MaxEnv || !envID.MatchString(s.Env):
		return fmt.Errorf("environment ID %q is not NAME.TIER[.AS] in lower-case letters, digits and hyphens, at most %d characters", s.Env, MaxEnv)
	case len(s.Name) > 63 || !machineName.MatchString(s.Name):
		return fmt.Errorf("machine name %q is no DNS label", s.Name)
	case s.CPUs < 1:
		return fmt.Errorf("cpus is %d, at least 1 is needed", s.CPUs)
	case s.Memory < 128<<20:
		return fmt.Errorf("memory is %d bytes, at least 128 MiB is needed", s.Memory)
	case s.Disk < 0:
		return fmt.Errorf("disk is %d bytes", s.Disk)
	case s.Systemd != "" && !dpkgVersion.MatchString(s.Systemd):
		return fmt.Errorf("systemd %q is no version of a package", s.Systemd)
	}
	for i, d := range s.Data {
		switch {
		case len(d.Name) > maxDataName || !machineName.MatchString(d.Name):
			return fmt.Errorf("data disk name %q is not at most %d of a-z, 0-9 and -, beginning with a letter", d.Name, maxDataName)
		case i > 0 && s.Data[i-1].Name >= d.Name:
			return fmt.Errorf("data disks %q and %q are not sorted by name, or one", s.Data[i-1].Name, d.Name)
		case d.Size < 1<<20:
			return fmt.Errorf("data disk %s has %d bytes, at least 1 MiB is needed", d.Name, d.Size)
		case path.Clean(d.Mount) != d.Mount || !path.IsAbs(d.Mount) || d.Mount == "/":
			return fmt.Errorf("data disk %s has mount %q, which is no absolute, clean path below /", d.Name, d.Mount)
		}
	}
	return s.Labels.Validate()
}
