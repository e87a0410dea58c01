// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"github.com/evenkeel/evenkeel/providers"
)

// Names of everything of ours begin with prefix. Environment IDs and machine names hold no underscore, so it parts them.
//
//	domain, network   evenkeel_ENV_NAME, evenkeel_ENV
//	volume            evenkeel_ENV_NAME_UUID.disk.qcow2, .seed, .console
//	image             evenkeel-image_KEY_CONTENT.qcow2, .kernel, .initrd, .complete
const (
	prefix      = "evenkeel_"
	imagePrefix = "evenkeel-image_"
)

func domainName(env, machine string) string { return prefix + env + "_" + machine }

// envName names what an environment has one of: its network, or its switch.
func envName(env string) string { return prefix + env }

// parseName takes a domain's, network's or volume's name apart; machine is "" for an environment's own object.
func parseName(name string) (env, machine string, ours bool) {
	rest, ours := strings.CutPrefix(name, prefix)
	if !ours {
		return "", "", false
	}
	env, rest, _ = strings.Cut(rest, "_")
	machine, _, _ = strings.Cut(rest, "_")
	return env, machine, true
}

// The volumes of a machine. The UUID of its domain is part of the name, so that a machine made anew never meets its forerunner's.
const (
	diskVolume    = ".disk.qcow2"
	seedVolume    = ".seed"
	consoleVolume = ".console"
)

func volumeName(env, machine, uuid, kind string) string {
	return domainName(env, machine) + "_" + uuid + kind
}

// volumeOwner is the UUID in a machine's volume name, or "".
func volumeOwner(name string) string {
	if _, _, ours := parseName(name); !ours {
		return ""
	}
	parts := strings.SplitN(name, "_", 4)
	if len(parts) < 4 {
		return ""
	}
	uuid, _, _ := strings.Cut(parts[3], ".")
	return uuid
}

// bridgeName fits the kernel's 15 characters.
func bridgeName(env string) string {
	sum := sha256.Sum256([]byte("bridge " + env))
	return "ek" + hex.EncodeToString(sum[:6])
}

// mac is a locally administered address, the same for one machine place whenever it is made.
func mac(kind, env string, slot int) string {
	sum := sha256.Sum256([]byte(kind + " " + env))
	return fmt.Sprintf("52:54:%02x:%02x:%02x:%02x", sum[0], sum[1], byte(slot>>8), byte(slot))
}

// uuidOf derives a UUID from words, for objects that exist once for each environment (version 8 of RFC 9562).
func uuidOf(words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return formatUUID([16]byte(sum[:16]), 8)
}

func formatUUID(b [16]byte, version byte) string {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// addressOf is the slot's address in the subnet, as a prefix: slot 1 of 10.213.0.0/24 is 10.213.0.1/24.
func addressOf(subnet netip.Prefix, slot int) netip.Prefix {
	b := subnet.Addr().As4()
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	n += uint32(slot)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), subnet.Bits())
}

// slots is the number of addresses for machines: all but the network's and the broadcast address.
func slots(subnet netip.Prefix) int { return 1<<(32-subnet.Bits()) - 2 }

// image names an image's volumes. Content is part of it: an image built twice with other bytes is another, since the disks of
// machines refer to bytes.
type image struct{ key, content string }

func (i image) ref() providers.ImageRef   { return providers.ImageRef(i.key + "_" + i.content) }
func (i image) volume(kind string) string { return imagePrefix + i.key + "_" + i.content + "." + kind }
func parseRef(ref providers.ImageRef) (i image, ok bool) {
	i.key, i.content, ok = strings.Cut(string(ref), "_")
	return i, ok && isHex(i.key) && isHex(i.content)
}

// parseImageVolume takes the name of an image's volume apart.
func parseImageVolume(name string) (i image, kind string, ok bool) {
	rest, ours := strings.CutPrefix(name, imagePrefix)
	ref, kind, dotted := strings.Cut(rest, ".")
	i, valid := parseRef(providers.ImageRef(ref))
	return i, kind, ours && dotted && valid
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdef") == ""
}
