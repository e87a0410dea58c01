// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/internal/bounded"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// awaitHealthy probes until the machine is healthy or h.Within is over; the error is the last probe's.
func awaitHealthy(ctx context.Context, client *ssh.Client, m Machine, h *envs.Health) error {
	if h == nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.Within, fmt.Errorf("not healthy within %s", h.Within))
	defer cancel()
	wait := 200 * time.Millisecond
	for {
		err := probe(ctx, client, m, h)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", context.Cause(ctx), err)
		case <-time.After(wait):
		}
		wait = min(wait+wait/4, time.Second)
	}
}

// probeTime bounds one question.
const probeTime = 10 * time.Second

// probe asks once. It connects from the machine itself to its address in the environment, so that a service that listens on loopback
// only does not pass, and so that nothing has to be published to be checked.
func probe(ctx context.Context, client *ssh.Client, m Machine, h *envs.Health) error {
	ctx, cancel := context.WithTimeoutCause(ctx, probeTime, fmt.Errorf("the probe has no answer within %s", probeTime))
	defer cancel()
	host := m.Address
	if host == "" {
		host = "127.0.0.1"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]" // IPv6, before a port
	}
	switch {
	case h.HTTP != "":
		return probeHTTP(ctx, client, "http://"+host+h.HTTP, m.Name)
	case h.TCP != "":
		conn, err := client.DialContext(ctx, "tcp", host+h.TCP)
		if err != nil {
			return err
		}
		return conn.Close()
	default:
		var out bounded.Tail
		if err := client.Run(ctx, ssh.Command{Line: h.Exec, Stdout: &out, Stderr: &out}); err != nil {
			return withOutput(err, &out)
		}
		return nil
	}
}

func probeHTTP(ctx context.Context, client *ssh.Client, url, name string) error {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return client.DialContext(ctx, network, addr)
		},
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Host = name
	web := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := web.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
	if resp.StatusCode >= 200 && resp.StatusCode < 400 {
		return nil
	}
	return fmt.Errorf("GET %s answers %d: %s", url, resp.StatusCode, Printable(string(body)))
}
