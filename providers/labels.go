// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
)

// Labels stand on an object from the moment it exists and come back word for word. At most 16 (MaxLabels); keys match
// [a-z][a-z0-9-]{0,31}; values are at most 255 bytes of `[A-Za-z0-9 +=._:/@-]`. A place that needs a prefix or another
// alphabet for keys maps them itself and maps them back.
type Labels map[string]string

// The labels the core sets. Providers may read them; they never change one.
const (
	LabelProject     = "project"      // project id from env.yaml
	LabelEnv         = "env"          // environment ID
	LabelName        = "name"         // machine name: the role, where a surge gave it another in its place
	LabelSpec        = "spec"         // Spec.Digest
	LabelSize        = "size"         // what Spec.Digest covers beside the image, in words: "cpus=1 memory=512M disk=4G data/pg=2G"
	LabelPorts       = "ports"        // where the machine it was made to replace was published: "80/tcp=20080"; only where there was one
	LabelImageKey    = "image-key"    // images.Image.Key
	LabelImageDigest = "image-digest" // images.Image.Digest
	LabelHostCA      = "host-ca"      // the machine's host CA: "ssh-ed25519 AAAA..."
	LabelOwner       = "owner"        // user@host that made it
	LabelCreated     = "created"      // RFC 3339, UTC
	LabelExpires     = "expires"      // RFC 3339, UTC; absent: never
)

// MaxLabels is the most labels one object carries: AWS allows 50 tags, OpenStack 128 metadata items, but libvirt's and docker's are
// free and metal's inventory is a file; 16 leaves every place room for its own.
const MaxLabels = 16

// maxLabel is the longest value of a label, in bytes.
const maxLabel = 255

var (
	// Lengths are checked beside: counted repetitions took a third of the binary's start-up time.
	labelKey   = lazyregexp.New(`^[a-z][a-z0-9-]*$`)
	labelValue = lazyregexp.New(`^[A-Za-z0-9 +=._:/@-]*$`)
)

// Validate reports the first label that breaks the rules above.
func (l Labels) Validate() error {
	if len(l) > MaxLabels {
		return fmt.Errorf("%d labels, at most %d are allowed", len(l), MaxLabels)
	}
	for k, v := range l {
		if len(k) > 32 || !labelKey.MatchString(k) {
			return fmt.Errorf("label key %q does not match %s, or is longer than 32 bytes", k, labelKey)
		}
		if len(v) > maxLabel || !labelValue.MatchString(v) {
			return fmt.Errorf("label %s has value %q, which does not match %s, or is longer than %d bytes", k, v, labelValue, maxLabel)
		}
	}
	return nil
}

// Time reads a label that holds a time; the zero time where it is absent or malformed.
func (l Labels) Time(key string) time.Time {
	t, err := time.Parse(time.RFC3339, l[key])
	if err != nil {
		return time.Time{}
	}
	return t
}
