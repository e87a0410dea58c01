// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
)

// specFormat is part of every spec digest: raising it makes every machine differ from its definition, so it is raised only
// when the meaning of a digested field changes.
const specFormat = 1

// MaxEnv is the longest environment ID: the shortest place (an interface or a bucket name) has to hold it with a prefix.
const MaxEnv = 40

var (
	envID       = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?){1,2}$`)
	machineName = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)
)

// Digest is what a machine cannot change without being replaced: CPUs, memory, disk and image key. Everything else is
// laid by Settle or brought up to date by PutMachine. 64 hex digits.
func (s Spec) Digest() string {
	b, err := json.Marshal(struct {
		Format   int    `json:"format"`
		CPUs     int    `json:"cpus"`
		Memory   int64  `json:"memory"`
		Disk     int64  `json:"disk"`
		ImageKey string `json:"image_key"`
	}{specFormat, s.CPUs, s.Memory, s.Disk, s.ImageKey})
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
	}
	return s.Labels.Validate()
}
