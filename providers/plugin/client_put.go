// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

// undoTime is how long a cancelled Put, or one of a snapshot's long calls, may take to undo what it did, before it is given up.
const undoTime = 60 * time.Second

var errUndo = errors.New("it did not undo its work")

func (c *client) PutImage(ctx context.Context, img images.Image, p providers.Progress) (providers.ImageRef, error) {
	reply, err := put(ctx, c.rpc.PutImage,
		&proto.PutImageRequest{Step: &proto.PutImageRequest_Order{Order: &proto.PutImageOrder{Session: c.session, Image: toImage(img)}}},
		&proto.PutImageRequest{Step: &proto.PutImageRequest_Cancel{Cancel: &proto.Cancel{}}},
		func(r *proto.PutImageReply) *proto.Event { return r.GetEvent() }, p, c.undo)
	if err != nil {
		return "", c.putFailed(ctx, err, "store", "image "+img.Recipe)
	}
	return providers.ImageRef(text(reply.GetRef())), nil
}

func (c *client) PutMachine(ctx context.Context, spec providers.Spec, img providers.ImageRef, p providers.Progress) (providers.Machine, error) {
	if err := c.knows(spec, "create"); err != nil {
		return providers.Machine{}, err
	}
	reply, err := put(ctx, c.rpc.PutMachine,
		&proto.PutMachineRequest{Step: &proto.PutMachineRequest_Order{Order: &proto.PutMachineOrder{Session: c.session, Spec: toSpec(spec), Ref: string(img)}}},
		&proto.PutMachineRequest{Step: &proto.PutMachineRequest_Cancel{Cancel: &proto.Cancel{}}},
		func(r *proto.PutMachineReply) *proto.Event { return r.GetEvent() }, p, c.undo)
	if err != nil {
		return providers.Machine{}, c.putFailed(ctx, err, "create", "machine "+spec.Name)
	}
	return c.machine(reply.GetMachine(), "create")
}

func (c *client) putFailed(ctx context.Context, err error, op, subject string) error {
	switch {
	case errors.Is(err, errUndo):
		return &providers.Error{Code: providers.Unavailable, Op: op, Subject: subject, Err: fmt.Errorf("%w within %v after the cancel: %w", err, c.undo, ctx.Err()), Hint: "evenkeel gc finds what is left"}
	case errors.Is(err, ctx.Err()) && ctx.Err() != nil: // before it began
		return err
	case failureOf(err) == nil && ctx.Err() != nil: // it died before it had undone
		return &providers.Error{Code: providers.Unavailable, Op: op, Subject: subject, Err: errors.Join(c.gone(), ctx.Err())}
	}
	return c.fail(ctx, err, op, subject)
}

// put sends order, passes events on, and returns the reply that is none. When ctx ends it sends cancel and goes on waiting for the end, which comes
// when all is undone; after undo it gives up with errUndo. The stream does not end with ctx, for gRPC would then return at once.
func put[Req, Reply any](ctx context.Context, call func(context.Context, ...grpc.CallOption) (grpc.BidiStreamingClient[Req, Reply], error),
	order, cancel *Req, event func(*Reply) *proto.Event, p providers.Progress, undo time.Duration,
) (*Reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	streamCtx, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer giveUp(nil)
	stream, err := call(streamCtx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(order); err != nil && !errors.Is(err, io.EOF) { // io.EOF: the reason comes with Recv
		return nil, err
	}
	var timer sync.WaitGroup
	defer timer.Wait()
	ended := make(chan struct{})
	defer close(ended)
	timer.Go(func() {
		select {
		case <-ended:
			return
		case <-ctx.Done():
			_ = stream.Send(cancel) // a broken stream shows in Recv
		}
		select {
		case <-ended:
		case <-time.After(undo):
			giveUp(errUndo)
		}
	})
	for {
		reply, err := stream.Recv()
		if err != nil {
			if errors.Is(context.Cause(streamCtx), errUndo) {
				err = errUndo
			}
			return nil, err
		}
		e := event(reply)
		if e == nil {
			return reply, nil
		}
		p.Emit(fromEvent(e))
	}
}
