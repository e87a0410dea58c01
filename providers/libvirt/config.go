// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"os/user"
	"slices"
	"strings"
)

// Two connections a local daemon has. A system one needs root or the group libvirt; a session one belongs to a user.
const (
	systemURI  = "qemu:///system"
	sessionURI = "qemu:///session"
)

// outsideNet is what QEMU's user network gives each guest: https://www.qemu.org/docs/master/system/devices/net.html
var outsideNet = netip.MustParsePrefix("10.0.2.0/24")

// config is a tier's config block.
type config struct {
	// URI is qemu:///system or qemu:///session. Default: system for root and members of the group libvirt, else session. Whether the
	// daemon runs is no part of the choice: machines must not seem gone because it does not.
	URI string `json:"uri"`
	// Subnet is the private network of every environment; they do not see each other, so one subnet serves all. Default 10.213.0.0/24.
	Subnet string `json:"subnet"`
	// Pool is the storage pool for disks and images; the default, "evenkeel", is made on demand, another has to exist.
	Pool string `json:"pool"`
	// Seed is how a machine gets what first boot needs: "disk", which our own unit lays at once, or "cloud-init", as clouds do it (a NoCloud
	// volume): twice as slow in emulation, and the same in the end.
	Seed string `json:"seed"`

	subnet netip.Prefix
}

const (
	defaultSubnet = "10.213.0.0/24"
	defaultPool   = "evenkeel"
	seedByDisk    = "disk"
	seedByCloud   = "cloud-init"
)

func parseConfig(raw json.RawMessage) (config, error) {
	c := config{Subnet: defaultSubnet, Pool: defaultPool, Seed: seedByDisk}
	if len(bytes.TrimSpace(raw)) > 0 {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			return c, fmt.Errorf("config: %w; uri, subnet, pool and seed are known", err)
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return c, errors.New("config: more than one JSON value")
		}
	}
	if c.URI == "" {
		c.URI = defaultURI(os.Geteuid(), memberOf("libvirt"))
	}
	return c, c.validate()
}

func (c *config) validate() error {
	u, err := url.Parse(c.URI)
	if err != nil || u.Scheme != "qemu" || u.Host != "" || u.RawQuery != "" || (u.Path != "/system" && u.Path != "/session") {
		return fmt.Errorf("config: uri is %q; %s and %s are allowed, since ports are published on this computer", c.URI, systemURI, sessionURI)
	}
	if os.Geteuid() == 0 && c.session() {
		return fmt.Errorf("config: uri is %s, but root has only %s", sessionURI, systemURI)
	}
	if c.subnet, err = netip.ParsePrefix(c.Subnet); err != nil {
		return fmt.Errorf("config: subnet is %q, which is no network like %s", c.Subnet, defaultSubnet)
	}
	switch {
	case !c.subnet.Addr().Is4() || !c.subnet.Addr().IsPrivate() || c.subnet.Bits() < 16 || c.subnet.Bits() > 29:
		return fmt.Errorf("config: subnet is %s; a private IPv4 network from /16 to /29 is allowed", c.Subnet)
	case c.subnet != c.subnet.Masked():
		return fmt.Errorf("config: subnet is %s, which has host bits set; its network is %s", c.Subnet, c.subnet.Masked())
	case c.subnet.Overlaps(outsideNet):
		return fmt.Errorf("config: subnet is %s, which overlaps %s, the network each machine has to the outside", c.Subnet, outsideNet)
	}
	if c.Pool == "" || strings.ContainsAny(c.Pool, "/\n") {
		return fmt.Errorf("config: pool is %q, which is no name of a storage pool", c.Pool)
	}
	if c.Seed != seedByDisk && c.Seed != seedByCloud {
		return fmt.Errorf("config: seed is %q; %s and %s are allowed", c.Seed, seedByDisk, seedByCloud)
	}
	return nil
}

func (c *config) session() bool { return c.URI == sessionURI }

// defaultURI asks who we are and not the daemon, because the daemon would ask the user for a password.
func defaultURI(uid int, inGroup bool) string {
	if uid == 0 || inGroup {
		return systemURI
	}
	return sessionURI
}

// memberOf reports whether this process has the group; a user who was added but did not log in again has it not.
func memberOf(group string) bool {
	g, err := user.LookupGroup(group)
	if err != nil {
		return false
	}
	have, err := os.Getgroups()
	return err == nil && slices.ContainsFunc(have, func(id int) bool { return fmt.Sprint(id) == g.Gid })
}
