// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"

	"github.com/evenkeel/evenkeel/providers"
)

// oldestAPI is docker 20.10's API: the first with cgroup namespaces, without which a machine's systemd would see other machines' processes.
const oldestAPI = "1.41"

// connectTime is ample: a daemon answers in milliseconds, ssh in a second or two, an emulated machine in ten.
const connectTime = 45 * time.Second

// connect opens the connection, agrees on an API with the daemon and says whether it is near.
func (p *provider) connect(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTime, fmt.Errorf("it did not answer within %s", connectTime))
	defer cancel()
	u, err := url.Parse(p.config.Host)
	if err != nil {
		return err
	}
	opts := []client.Opt{client.WithAPIVersionNegotiation()}
	switch u.Scheme {
	case "ssh":
		opts = append(opts, client.WithHost("http://docker.example"), client.WithDialContext(overSSH(u)))
	case "tcp":
		opts = append(opts, client.WithTLSClientConfigFromEnv(), client.WithHost(p.config.Host))
	default:
		opts = append(opts, client.WithHost(p.config.Host))
	}
	p.Client, err = client.NewClientWithOpts(opts...)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = p.Client.Close() // err says what went wrong
		}
	}()
	ping, err := p.Ping(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	if ping.APIVersion != "" && versions.LessThan(ping.APIVersion, oldestAPI) {
		return &coded{
			providers.Unsupported,
			fmt.Errorf("it is too old: it speaks API %s, at least %s is needed (docker 20.10)", ping.APIVersion, oldestAPI),
			"install a newer docker: sudo apt-get install docker.io",
		}
	}
	if ping.OSType != "" && ping.OSType != "linux" {
		return &coded{providers.Unsupported, fmt.Errorf("it runs containers of %s; those of linux are needed", ping.OSType), ""}
	}
	p.turns.needed = ping.APIVersion != "" && versions.LessThan(ping.APIVersion, soundAPI)
	p.abroad = u.Scheme != "unix" && !isLoopback(u.Hostname()) || u.Scheme == "ssh"
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// near reports whether this process shares the network of the daemon, whose bridges and loopback are then its own. It does not where the daemon is on
// another computer, in a container or a virtual machine, or is a user's own (rootless). A bridge's name is made of its network's ID.
func near(network string) bool {
	if len(network) < 12 {
		return false
	}
	_, err := net.InterfaceByName("br-" + network[:12])
	return err == nil
}

// address is the daemon's, for people.
func (p *provider) address() string {
	if p.config.Host == "" {
		return defaultHost
	}
	if dir := strings.TrimPrefix(p.config.Host, "unix://"); dir != p.config.Host {
		return filepath.Clean(dir)
	}
	return p.config.Host
}
