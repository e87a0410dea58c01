// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"

	"google.golang.org/grpc"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

func (s *server) SaveSnapshot(stream grpc.BidiStreamingServer[proto.SnapshotRequest, proto.Snapshot]) error {
	return onSnapshot(s, stream, func(ctx context.Context, p providers.Snapshotter, d providers.DataRef, name string) (*proto.Snapshot, error) {
		saved, err := p.SaveSnapshot(ctx, d, name)
		return toSnapshot(saved), err
	})
}

func (s *server) RestoreSnapshot(stream grpc.BidiStreamingServer[proto.SnapshotRequest, proto.Empty]) error {
	return onSnapshot(s, stream, func(ctx context.Context, p providers.Snapshotter, d providers.DataRef, name string) (*proto.Empty, error) {
		return &proto.Empty{}, p.RestoreSnapshot(ctx, d, name)
	})
}

// onSnapshot runs do on the snapshot that the stream's order names and sends what it returns.
func onSnapshot[Reply any](s *server, stream grpc.BidiStreamingServer[proto.SnapshotRequest, Reply],
	do func(context.Context, providers.Snapshotter, providers.DataRef, string) (*Reply, error),
) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	order := first.GetOrder()
	p, err := ability[providers.Snapshotter](s, order.GetSession())
	if err != nil {
		return err
	}
	ctx, stop := cancelled(stream.Context(), stream)
	defer stop()
	reply, err := do(ctx, p, fromDataRef(order.GetDisk()), order.GetName())
	if err != nil {
		return err
	}
	return stream.Send(reply)
}

func (s *server) ListSnapshots(ctx context.Context, r *proto.ListSnapshotsRequest) (*proto.SnapshotList, error) {
	p, err := ability[providers.Snapshotter](s, r.GetSession())
	if err != nil {
		return nil, err
	}
	list, err := p.ListSnapshots(ctx, r.GetEnv())
	return &proto.SnapshotList{Snapshots: each(list, toSnapshot)}, err
}

func (s *server) DeleteSnapshot(ctx context.Context, r *proto.SnapshotOrder) (*proto.Empty, error) {
	p, err := ability[providers.Snapshotter](s, r.GetSession())
	if err != nil {
		return nil, err
	}
	return &proto.Empty{}, p.DeleteSnapshot(ctx, fromDataRef(r.GetDisk()), r.GetName())
}
