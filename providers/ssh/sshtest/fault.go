// SPDX-License-Identifier: Apache-2.0

package sshtest

import (
	"context"
	"io"
	"net"
)

// act behaves badly on conn until it or ctx ends.
func (f Fault) act(ctx context.Context, conn net.Conn) {
	switch f {
	case HangAfterBanner:
		_, _ = io.WriteString(conn, "SSH-2.0-sshtest\r\n") // the client may be gone: nothing to do then
		hold(conn)
	case DropMidHandshake:
		_, _ = io.WriteString(conn, "SSH-2.0-sshtest\r\n")
		_, _ = io.ReadFull(conn, make([]byte, 64)) // the client's version and the start of its offer
	case EndlessBanner:
		for ctx.Err() == nil {
			if _, err := io.WriteString(conn, "welcome to \x1b[31mnowhere\r\n"); err != nil {
				return
			}
		}
	default:
		hold(conn)
	}
}

// hold swallows what the client says until it is gone.
func hold(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
