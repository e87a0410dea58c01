// SPDX-License-Identifier: Apache-2.0

package ssh

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// What forwards ports, or balances load, takes a connection while the machine behind it still boots, and asks the machine again after ever longer pauses:
// QEMU's user network after 6, 18 and 42 s (BSD's backoff). A connection that is given up is not taken back there: the machine meets it once it listens, and starts a
// server for nobody. So silent connections are few, and kept: opened a second apart, and no more while those are asked again, so that some one of them is asked
// each second.
const (
	knocks     = 6
	knockEvery = time.Second
	knockLife  = 2 * knocks * knockEvery // then a silent one is given up for a new one
)

// errMute is why a silent connection ends.
var errMute = fmt.Errorf("connected, but no word within %v: %w", knockLife, context.DeadlineExceeded)

// knock opens connections until somebody speaks over one, and returns that one, with nothing of it read. It ends with ctx, and says what became of the last
// connection. The others are closed when it returns.
func knock(ctx context.Context, connect func(context.Context) (net.Conn, error)) (net.Conn, error) {
	type answer struct {
		conn net.Conn
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	answers := make(chan answer)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	last := errors.New("no word came yet")
	next := time.NewTimer(0)
	defer next.Stop()
	for began, silent := time.Now(), 0; ; {
		select {
		case <-ctx.Done():
			return nil, &endedError{last, context.Cause(ctx)}
		case a := <-answers:
			if a.err == nil {
				return a.conn, nil
			}
			if over(ctx) {
				continue // what cut this one short says nothing of the machine
			}
			last = a.err
			if errors.Is(last, errMute) {
				continue
			}
			silent-- // it was told no, by somebody who can be asked often
			next.Reset(min(max(time.Since(began)/50, 10*time.Millisecond), knockEvery))
		case <-next.C:
			all.Go(func() {
				conn, err := firstWord(ctx, connect)
				select {
				case answers <- answer{conn, err}:
				case <-ctx.Done():
					if err == nil {
						_ = conn.Close() // another was quicker
					}
				}
			})
			next.Reset(knockEvery)
			if silent++; silent >= knocks {
				silent = 0
				next.Reset(knockLife - (knocks-1)*knockEvery)
			}
		}
	}
}

// over: ctx has ended, or would have by now. A connection that is being made ends at the same moment, and may be heard of first.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// firstWord is one connection over which something came.
func firstWord(ctx context.Context, connect func(context.Context) (net.Conn, error)) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, knockLife, errMute)
	defer cancel()
	conn, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	heard := bufio.NewReader(conn)
	_, err = heard.Peek(1)
	if !stop() {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &heardConn{conn, heard}, nil
}

// endedError says what became of the last try; that a context ended is for whom it belongs to to say.
type endedError struct{ last, cause error }

func (e *endedError) Error() string { return reason(e.last) }

func (e *endedError) Unwrap() []error { return []error{e.last, e.cause} }

// heardConn is a connection of which something was read ahead.
type heardConn struct {
	net.Conn
	heard *bufio.Reader
}

func (c *heardConn) Read(b []byte) (int, error) { return c.heard.Read(b) }
