// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/providers"
)

// Free ports are sought from a place that follows from the machine's name, below the kernel's range for outgoing connections, so that a
// stopped machine finds its ports free again.
const (
	portsFrom  = 20000
	portsCount = 10000
	portTries  = 500
	udpIdle    = 60 * time.Second
)

// forwards are a machine's published ports: listeners on the host's loopback whose traffic reaches the machine from its network's gateway, and
// so has to pass its firewall.
type forwards struct {
	seed    string // what free choices follow from
	address string // the machine's
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	open    map[providers.Port]io.Closer
	work    sync.WaitGroup
}

// publish makes exactly the wanted ports forwarded and returns them with their host ports. After failure what was open still is.
func (f *forwards) publish(wanted []providers.Port) ([]providers.Port, error) {
	list := make([]providers.Port, 0, len(wanted))
	made := map[providers.Port]io.Closer{}
	for _, p := range wanted {
		if f.open[p] != nil {
			list = append(list, p)
			continue
		}
		opened, l, err := f.listen(p)
		if err != nil {
			for _, l := range made {
				_ = l.Close()
			}
			return nil, err
		}
		list = append(list, opened)
		made[opened] = l
	}
	keep := map[providers.Port]io.Closer{}
	for _, p := range list {
		if l := made[p]; l != nil {
			keep[p] = l
		} else {
			keep[p] = f.open[p]
			delete(f.open, p)
		}
	}
	f.close()
	f.open = keep
	return list, nil
}

func (f *forwards) close() {
	for _, l := range f.open {
		_ = l.Close()
	}
	f.open = nil
}

func (f *forwards) listen(p providers.Port) (providers.Port, io.Closer, error) {
	target := net.JoinHostPort(f.address, strconv.Itoa(p.Port))
	seed := fmt.Sprintf("%s %d/%s", f.seed, p.Port, p.Proto)
	var l io.Closer
	var err error
	p.HostPort, err = choose(p.HostPort, seed, func(address string) error {
		if p.Proto == "udp" {
			conn, err := net.ListenPacket("udp", address)
			if err == nil {
				l = conn
				f.work.Go(func() { f.relay(conn, target) })
			}
			return err
		}
		listener, err := net.Listen("tcp", address)
		if err == nil {
			l = listener
			f.work.Go(func() { f.accept(listener, target) })
		}
		return err
	})
	return p, l, err
}

func (f *forwards) accept(l net.Listener, target string) {
	for {
		near, err := l.Accept()
		if err != nil {
			return // closed
		}
		f.work.Go(func() {
			defer near.Close()
			ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
			far, err := f.dial(ctx, "tcp", target)
			cancel()
			if err != nil {
				return
			}
			defer far.Close()
			join(near, far)
		})
	}
}

// join copies both ways until both have ended.
func join(a, b net.Conn) {
	var work sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		work.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			if half, ok := way[0].(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
		})
	}
	work.Wait()
}

// relay passes datagrams on, with one connection for each sender, forgotten when it is idle.
func (f *forwards) relay(l net.PacketConn, target string) {
	var mu sync.Mutex
	far := map[string]net.Conn{}
	b := make([]byte, 64<<10)
	for {
		n, sender, err := l.ReadFrom(b)
		if err != nil {
			break // closed
		}
		mu.Lock()
		conn := far[sender.String()]
		mu.Unlock()
		if conn == nil {
			ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
			conn, err = f.dial(ctx, "udp", target)
			cancel()
			if err != nil {
				continue
			}
			mu.Lock()
			far[sender.String()] = conn
			mu.Unlock()
			f.work.Go(func() {
				back := make([]byte, 64<<10)
				for {
					_ = conn.SetReadDeadline(time.Now().Add(udpIdle))
					n, err := conn.Read(back)
					if err != nil {
						break
					}
					_, _ = l.WriteTo(back[:n], sender)
				}
				mu.Lock()
				delete(far, sender.String())
				mu.Unlock()
				_ = conn.Close()
			})
		}
		_, _ = conn.Write(b[:n])
	}
	mu.Lock()
	defer mu.Unlock()
	for _, conn := range far {
		_ = conn.Close()
	}
}

// choose calls try with loopback addresses until one is free: that of port alone where it is not 0.
func choose(port int, seed string, try func(address string) error) (int, error) {
	if port != 0 {
		err := try(fmt.Sprintf("127.0.0.1:%d", port))
		if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES) {
			err = fail(providers.Exhausted, "port %d on 127.0.0.1 cannot be had: %w", port, err)
		}
		return port, err
	}
	h := fnv.New32a()
	h.Write([]byte(seed))
	start := int(h.Sum32() % portsCount)
	for i := range portTries {
		port := portsFrom + (start+i)%portsCount
		err := try(fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			return port, err
		}
	}
	return 0, fail(providers.Exhausted, "no port is free on 127.0.0.1")
}
