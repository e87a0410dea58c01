// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

func (c *client) SaveSnapshot(ctx context.Context, d providers.DataRef, name string) (providers.Snapshot, error) {
	s, err := put(ctx, c.rpc.SaveSnapshot, c.snapshotOrder(d, name), cancelSnapshot(), noEvent[proto.Snapshot], nil, c.undo)
	if err != nil {
		return providers.Snapshot{}, c.putFailed(ctx, err, "save", snapshotSubject(d, name))
	}
	return fromSnapshot(s), nil
}

func (c *client) ListSnapshots(ctx context.Context, env string) ([]providers.Snapshot, error) {
	r, err := c.rpc.ListSnapshots(ctx, &proto.ListSnapshotsRequest{Session: c.session, Env: env})
	if err != nil {
		return nil, c.fail(ctx, err, "list", "snapshots of "+env)
	}
	return each(r.GetSnapshots(), fromSnapshot), nil
}

func (c *client) RestoreSnapshot(ctx context.Context, d providers.DataRef, name string) error {
	_, err := put(ctx, c.rpc.RestoreSnapshot, c.snapshotOrder(d, name), cancelSnapshot(), noEvent[proto.Empty], nil, c.undo)
	if err != nil {
		return c.putFailed(ctx, err, "restore", snapshotSubject(d, name))
	}
	return nil
}

func (c *client) DeleteSnapshot(ctx context.Context, d providers.DataRef, name string) error {
	_, err := c.rpc.DeleteSnapshot(ctx, c.snapshot(d, name))
	return c.done(ctx, err, "delete", snapshotSubject(d, name))
}

func (c *client) snapshot(d providers.DataRef, name string) *proto.SnapshotOrder {
	return &proto.SnapshotOrder{Session: c.session, Disk: toDataRef(d), Name: text(name)}
}

func (c *client) snapshotOrder(d providers.DataRef, name string) *proto.SnapshotRequest {
	return &proto.SnapshotRequest{Step: &proto.SnapshotRequest_Order{Order: c.snapshot(d, name)}}
}

func cancelSnapshot() *proto.SnapshotRequest {
	return &proto.SnapshotRequest{Step: &proto.SnapshotRequest_Cancel{Cancel: &proto.Cancel{}}}
}

// noEvent is for calls whose first reply is the result.
func noEvent[Reply any](*Reply) *proto.Event { return nil }

func snapshotSubject(d providers.DataRef, name string) string {
	return "snapshot " + name + " of data disk " + d.Name + " of machine " + d.Machine
}
