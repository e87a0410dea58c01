// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A gate is a socket between a machine's process in the host's network and one inside a namespace, over which the inner one hands out
// connections that it dialled: only a process of a network namespace can dial there, but anyone can use the connection.
const gateFD = 3

type order struct {
	ID      int            `json:"id"`
	Boot    *bootWork      `json:"boot,omitempty"`   // or
	Signal  syscall.Signal `json:"signal,omitempty"` // to every process of the namespace, or dial:
	Network string         `json:"network,omitempty"`
	Address string         `json:"address,omitempty"`
}

type reply struct {
	ID    int    `json:"id"`
	Error string `json:"error,omitempty"`
	conn  net.Conn
}

type gate struct {
	conn    *net.UnixConn
	mu      sync.Mutex
	next    int
	waiting map[int]chan reply // nil once the inner process is gone
}

// newGate returns our end and the file for the inner process's. Our end must be closed.
func newGate() (*gate, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	inner := os.NewFile(uintptr(fds[1]), "gate")
	conn, err := unixConn(fds[0])
	if err != nil {
		_ = inner.Close()
		return nil, nil, err
	}
	return &gate{conn: conn, waiting: map[int]chan reply{}}, inner, nil
}

func unixConn(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "gate")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

// receive hands replies to who waits for them, until the socket ends.
func (g *gate) receive() {
	for {
		var r reply
		conn, err := readPacket(g.conn, &r)
		g.mu.Lock()
		if err != nil {
			for _, c := range g.waiting {
				close(c)
			}
			g.waiting = nil
			g.mu.Unlock()
			return
		}
		r.conn = conn
		c, ok := g.waiting[r.ID]
		delete(g.waiting, r.ID)
		if ok {
			c <- r // has room for one; under the lock, so that who forgets it finds it there or knows that it will not come
		} else if conn != nil {
			_ = conn.Close()
		}
		g.mu.Unlock()
	}
}

func (g *gate) ask(ctx context.Context, o order) (net.Conn, error) {
	answer := make(chan reply, 1)
	g.mu.Lock()
	if g.waiting == nil {
		g.mu.Unlock()
		return nil, net.ErrClosed
	}
	g.next++
	o.ID = g.next
	g.waiting[o.ID] = answer
	g.mu.Unlock()
	b, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	if _, err := g.conn.Write(b); err != nil {
		g.forget(o.ID)
		return nil, err
	}
	select {
	case r, ok := <-answer:
		switch {
		case !ok:
			return nil, net.ErrClosed
		case r.Error != "":
			return nil, errors.New(r.Error)
		}
		return r.conn, nil
	case <-ctx.Done():
		g.forget(o.ID)
		select {
		case r, ok := <-answer: // came at the same moment
			if ok && r.conn != nil {
				_ = r.conn.Close()
			}
		default:
		}
		return nil, ctx.Err()
	}
}

func (g *gate) forget(id int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.waiting, id)
}

// dial connects from inside.
func (g *gate) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return g.ask(ctx, order{Network: network, Address: address})
}

// serveGate is the inner end: it dials, and boots and signals where it can, until the other end is closed.
func serveGate(boot func(bootWork) error, signal func(syscall.Signal) error) error {
	conn, err := unixConn(gateFD)
	if err != nil {
		return err
	}
	defer conn.Close()
	var work sync.WaitGroup
	defer work.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var writing sync.Mutex
	for {
		var o order
		if _, err := readPacket(conn, &o); err != nil {
			return nil // the machine's process is gone, and we with it
		}
		work.Go(func() {
			r, err := reply{ID: o.ID}, error(nil)
			switch {
			case o.Network != "":
				dialer := net.Dialer{Timeout: 15 * time.Second}
				r.conn, err = dialer.DialContext(ctx, o.Network, o.Address)
			case boot == nil:
				err = errors.New("no machine is here")
			case o.Boot != nil:
				err = boot(*o.Boot)
			default:
				err = signal(o.Signal)
			}
			if err != nil {
				r.Error = err.Error()
			}
			writing.Lock()
			defer writing.Unlock()
			_ = writePacket(conn, r) // who does not listen any more is gone
		})
	}
}

const packetMax = 64 << 10

func readPacket(c *net.UnixConn, v any) (net.Conn, error) {
	b, rights := make([]byte, packetMax), make([]byte, syscall.CmsgSpace(4))
	n, nr, _, _, err := c.ReadMsgUnix(b, rights)
	if err == nil && n == 0 {
		err = net.ErrClosed
	}
	if err != nil {
		return nil, err
	}
	conn, err := receivedConn(rights[:nr])
	if err != nil {
		return nil, err
	}
	return conn, json.Unmarshal(b[:n], v)
}

func receivedConn(rights []byte) (net.Conn, error) {
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fds[0]), "connection")
	defer f.Close()
	return net.FileConn(f)
}

func writePacket(c *net.UnixConn, r reply) error {
	b, err := json.Marshal(r)
	if err != nil || r.conn == nil {
		if err == nil {
			_, err = c.Write(b)
		}
		return err
	}
	defer r.conn.Close()
	f, err := r.conn.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		return err
	}
	defer f.Close()
	_, _, err = c.WriteMsgUnix(b, syscall.UnixRights(int(f.Fd())), nil)
	return err
}
