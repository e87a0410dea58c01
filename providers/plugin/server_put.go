// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

func (s *server) PutImage(stream grpc.BidiStreamingServer[proto.PutImageRequest, proto.PutImageReply]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	order := first.GetOrder()
	p, err := s.session(order.GetSession())
	if err != nil {
		return err
	}
	ctx, stop := cancelled(stream.Context(), stream)
	defer stop()
	events := newRelay(func(e providers.Event) error {
		return stream.Send(&proto.PutImageReply{Step: &proto.PutImageReply_Event{Event: toEvent(e)}})
	})
	defer events.end()
	ref, err := p.PutImage(ctx, fromImage(order.GetImage()), events.add)
	events.end()
	if err != nil {
		return err
	}
	return stream.Send(&proto.PutImageReply{Step: &proto.PutImageReply_Ref{Ref: text(string(ref))}})
}

func (s *server) PutMachine(stream grpc.BidiStreamingServer[proto.PutMachineRequest, proto.PutMachineReply]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	order := first.GetOrder()
	p, err := s.session(order.GetSession())
	if err != nil {
		return err
	}
	ctx, stop := cancelled(stream.Context(), stream)
	defer stop()
	events := newRelay(func(e providers.Event) error {
		return stream.Send(&proto.PutMachineReply{Step: &proto.PutMachineReply_Event{Event: toEvent(e)}})
	})
	defer events.end()
	m, err := p.PutMachine(ctx, fromSpec(order.GetSpec()), providers.ImageRef(order.GetRef()), events.add)
	events.end()
	if err != nil {
		return err
	}
	return stream.Send(&proto.PutMachineReply{Step: &proto.PutMachineReply_Machine{Machine: toMachine(m)}})
}

// cancelled is ctx until the client says or does anything but wait: its only further message is Cancel, and a stream that breaks is a client that
// died. The reader ends with the stream, which is when the handler returns.
func cancelled[Req, Reply any](ctx context.Context, stream grpc.BidiStreamingServer[Req, Reply]) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		_, err := stream.Recv()
		if err == nil {
			err = errors.New("cancelled by the client")
		}
		cancel(&recalled{err})
	}()
	return ctx, func() { cancel(nil) }
}

// recalled is why a client's wish ended. Libraries hand on the cause of a context's end in place of its error, so it says itself what it is.
type recalled struct{ error }

func (e *recalled) Unwrap() error        { return e.error }
func (e *recalled) Is(target error) bool { return target == context.Canceled }
