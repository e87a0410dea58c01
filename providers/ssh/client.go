// SPDX-License-Identifier: Apache-2.0

package ssh

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	keepAlive       = 15 * time.Second
	keepAliveMissed = 3
)

// Client is a verified connection. Safe for concurrent use. It keeps itself alive (15 s probes, 3 missed end it).
type Client struct {
	conn     *ssh.Client
	via      *Client // the jump host's connection, which this one owns; or nil
	stop     context.CancelFunc
	probing  sync.WaitGroup
	finished bool
}

func newClient(conn ssh.Conn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request, via *Client, tr *trust, every time.Duration) *Client {
	if every == 0 {
		every = keepAlive
	}
	_, finished, _ := tr.verdict()
	ctx, stop := context.WithCancel(context.Background()) // the connection's life is Close's, not that of Dial's ctx
	c := &Client{conn: ssh.NewClient(conn, channels, requests), via: via, stop: stop, finished: finished}
	c.probing.Go(func() { c.probe(ctx, every) })
	return c
}

// probe asks the server for a sign of life until ctx or the connection ends. One question unanswered for three intervals ends it.
func (c *Client) probe(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		late := time.AfterFunc(keepAliveMissed*every, c.hangUp)
		_, _, err := c.conn.SendRequest("keepalive@openssh.com", true, nil) // a refusal is an answer too
		late.Stop()
		if err != nil {
			return // the connection is gone, and whoever uses it hears so
		}
	}
}

// hangUp ends the connection without waiting for anything.
func (c *Client) hangUp() {
	_ = c.conn.Close()
	if c.via != nil {
		c.via.hangUp() // or a jump host that stalls keeps this side reading
	}
}

// Finished says that the host presented a certificate that does not expire.
func (c *Client) Finished() bool { return c.finished }

// Close ends the connection and what runs over it, the jump host's connection too. Twice is no error.
func (c *Client) Close() error {
	c.stop()
	c.hangUp()
	_ = c.conn.Wait() // says how it ended, which is known
	c.probing.Wait()
	if c.via != nil {
		return c.via.Close()
	}
	return nil
}

// DialContext opens a connection from the far side (direct-tcpip). network is tcp, tcp4 or tcp6; the far side resolves the name.
// Deadlines are not supported on what it returns; close it instead.
func (c *Client) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.conn.DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("cannot reach %s from the far side: %w", address, &farError{err})
	}
	return conn, nil
}
