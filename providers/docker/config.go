// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"slices"
)

// config is a tier's config block.
type config struct {
	// Host is the daemon: unix:///path, tcp://host:port or ssh://[user@]host. Default: $DOCKER_HOST, else this computer's. For tcp, docker's own
	// variables say with which certificates ($DOCKER_TLS_VERIFY, $DOCKER_CERT_PATH).
	Host string `json:"host"`
	// Subnets is what the networks of environments are cut from, a /24 each. Default 10.214.0.0/16.
	Subnets string `json:"subnets"`

	subnets netip.Prefix
}

const (
	defaultSubnets = "10.214.0.0/16"
	defaultHost    = "unix:///var/run/docker.sock"
	networkBits    = 24 // of an environment's network
)

func parseConfig(raw json.RawMessage) (config, error) {
	c := config{Subnets: defaultSubnets}
	if len(bytes.TrimSpace(raw)) > 0 {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			return c, fmt.Errorf("config: %w; host and subnets are known", err)
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return c, errors.New("config: more than one JSON value")
		}
	}
	from := "config: host"
	if c.Host == "" {
		from, c.Host = "$DOCKER_HOST", cmp.Or(os.Getenv("DOCKER_HOST"), defaultHost)
	}
	if err := validateHost(c.Host); err != nil {
		return c, fmt.Errorf("%s is %q; %w", from, c.Host, err)
	}
	return c, c.validate()
}

func validateHost(host string) error {
	u, err := url.Parse(host)
	if err != nil || !slices.Contains([]string{"unix", "tcp", "ssh"}, u.Scheme) {
		return errors.New("unix:///path, tcp://host:port and ssh://[user@]host are allowed")
	}
	switch {
	case u.Scheme == "unix" && (u.Host != "" || u.Path == ""):
		return errors.New("a socket's path is absolute: " + defaultHost)
	case u.Scheme == "tcp" && (u.Hostname() == "" || u.Port() == "" || u.User != nil || u.Path != ""):
		return errors.New("a host and a port are needed, and nothing else: tcp://127.0.0.1:2376")
	case u.Scheme == "ssh" && (u.Hostname() == "" || u.Hostname()[0] == '-' || u.RawQuery != ""):
		return errors.New("a host is needed: ssh://user@host")
	}
	if _, secret := u.User.Password(); secret {
		return errors.New("it holds a password; keys and agents log in")
	}
	return nil
}

func (c *config) validate() (err error) {
	if c.subnets, err = netip.ParsePrefix(c.Subnets); err != nil {
		return fmt.Errorf("config: subnets is %q, which is no network like %s", c.Subnets, defaultSubnets)
	}
	switch {
	case !c.subnets.Addr().Is4() || !c.subnets.Addr().IsPrivate() || c.subnets.Bits() < 8 || c.subnets.Bits() > networkBits:
		return fmt.Errorf("config: subnets is %s; a private IPv4 network from /8 to /%d is allowed", c.Subnets, networkBits)
	case c.subnets != c.subnets.Masked():
		return fmt.Errorf("config: subnets is %s, which has host bits set; its network is %s", c.Subnets, c.subnets.Masked())
	}
	return nil
}
