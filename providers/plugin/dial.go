// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"google.golang.org/grpc"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

// chunk is how many bytes of a dialled stream travel in one message.
const chunk = 32 << 10

func (s *server) DialSSH(stream grpc.BidiStreamingServer[proto.DialRequest, proto.DialReply]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	d, err := ability[providers.Dialer](s, first.GetSession())
	if err != nil {
		return err
	}
	conn, err := d.DialSSH(stream.Context(), first.GetId())
	if err != nil {
		return err
	}
	var closing sync.Once
	hangUp := func() { closing.Do(func() { _ = conn.Close() }) } // nobody is left to tell
	defer hangUp()
	defer context.AfterFunc(stream.Context(), hangUp)()
	if err := stream.Send(&proto.DialReply{}); err != nil {
		return err
	}
	go func() { // ends with the stream, which is when the handler returns
		_ = copyIn(conn, func() ([]byte, error) { m, err := stream.Recv(); return m.GetData(), err })
		hangUp()
	}()
	return copyOut(func(b []byte) error { return stream.Send(&proto.DialReply{Data: b}) }, conn)
}

// copyOut sends what r gives until its end, which is success.
func copyOut(send func([]byte) error, r io.Reader) error {
	for {
		b := make([]byte, chunk) // gRPC may keep a message after Send
		n, err := r.Read(b)
		if n > 0 {
			if err := send(b[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return nil //nolint:nilerr // however a connection ends, the other side sees an end
		}
	}
}

// copyIn writes what receive gives until it fails.
func copyIn(w io.Writer, receive func() ([]byte, error)) error {
	for {
		b, err := receive()
		if err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
}

// DialSSH implements providers.Dialer. ctx bounds the dialling; the connection lives until Close.
func (c *client) DialSSH(ctx context.Context, id string) (net.Conn, error) {
	streamCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	stream, err := c.rpc.DialSSH(streamCtx)
	if err == nil {
		err = stream.Send(&proto.DialRequest{Session: c.session, Id: id})
		if err == nil || errors.Is(err, io.EOF) { // io.EOF: the reason comes with Recv
			_, err = stream.Recv()
		}
	}
	if !stop() || err != nil {
		cancel()
		return nil, c.fail(ctx, err, "dial", "machine "+id)
	}
	near, far := net.Pipe()
	conn := &dialled{Conn: near, cancel: cancel}
	conn.running.Go(func() {
		_ = copyIn(far, func() ([]byte, error) { m, err := stream.Recv(); return m.GetData(), err })
		_ = far.Close()
	})
	conn.running.Go(func() {
		_ = copyOut(func(b []byte) error { return stream.Send(&proto.DialRequest{Data: b}) }, far)
		_ = stream.CloseSend()
	})
	return conn, nil
}

// dialled is one end of a pipe whose other end the stream works. Deadlines are the pipe's.
type dialled struct {
	net.Conn
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func (d *dialled) Close() error {
	err := d.Conn.Close()
	d.cancel()
	d.running.Wait()
	return err
}
