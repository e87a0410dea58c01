// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/providers"
)

// Names of everything of ours begin with prefix. Environment IDs and machine names hold no underscore, so it parts them. They are for people, and
// for the daemon, which lets no two containers or volumes have one; what an object is, its labels say.
//
//	network       evenkeel_ENV
//	container     evenkeel_ENV_NAME; of its forwards evenkeel_ENV_NAME_ports_NONCE
//	data disk     evenkeel-data_ENV_NAME_DISK_NONCE, and when it is whole .SIZE of the same
//	image         evenkeel/RECIPE:KEY
const (
	prefix     = "evenkeel_"
	dataPrefix = "evenkeel-data_"
)

func networkName(env string) string            { return prefix + env }
func containerName(env, machine string) string { return prefix + env + "_" + machine }
func forwardsName(env, machine string) string {
	return containerName(env, machine) + "_ports_" + nonce()
}

// volumeName names a data disk's volume. No two are alike, so that what a dead run filled half is never taken for one's own.
func volumeName(d providers.DataRef) string {
	return fmt.Sprintf("%s%s_%s_%s_%s", dataPrefix, d.Env, d.Machine, d.Name, nonce())
}

// markName names the volume that says that another is whole, and how large it is.
func markName(volume string, size int64) string { return fmt.Sprintf("%s.%d", volume, size) }

// parseMark takes a mark's name apart.
func parseMark(name string) (volume string, size int64, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 || !strings.HasPrefix(name, dataPrefix) {
		return "", 0, false
	}
	size, err := strconv.ParseInt(name[i+1:], 10, 64)
	volume = name[:i]
	return volume, size, err == nil && size > 0 && markName(volume, size) == name
}

// imageName is a name that docker takes: lower case, digits, and single separators between them.
func imageName(recipe, key string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(recipe) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if s := b.String(); s != "" && !strings.HasSuffix(s, "-") {
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), "-")
	if name == "" {
		name = "image"
	}
	return "evenkeel/" + name + ":" + key
}

func nonce() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdef") == ""
}
