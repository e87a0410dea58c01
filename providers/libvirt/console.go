// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"context"
	"errors"
	"io"

	lv "libvirt.org/go/libvirt"
)

// Console reads the console's log through the daemon, since the file is root's where the daemon is. virtlogd begins a new file every 2 MiB
// (max_size in /etc/libvirt/virtlogd.conf); just after that there is little to read.
func (p *provider) Console(ctx context.Context, id string, max int64) ([]byte, error) {
	b, err := p.console(ctx, id, max)
	return b, p.wrapMachine("read console of", id, err)
}

func (p *provider) console(ctx context.Context, id string, max int64) ([]byte, error) {
	dom, d, err := p.byID(id)
	if err != nil {
		return nil, err
	}
	_ = dom.Free() // only a reference count
	if max <= 0 {
		return nil, nil
	}
	pool, err := p.existingPool()
	if err != nil || pool == nil {
		return nil, err
	}
	v, err := pool.LookupStorageVolByName(volumeName(d.record.Env, d.record.Name, d.uuid, consoleVolume))
	if is(err, lv.ERR_NO_STORAGE_VOL) {
		return nil, nil // half-made: nothing was said yet
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = v.Free() }() // only a reference count
	info, err := v.GetInfo()
	if err != nil {
		return nil, err
	}
	from := uint64(0)
	if info.Capacity > uint64(max) {
		from = info.Capacity - uint64(max)
	}
	return p.download(ctx, v, from, info.Capacity-from)
}

// download reads length bytes of a volume. ctx is asked between chunks.
func (p *provider) download(ctx context.Context, v *lv.StorageVol, from, length uint64) ([]byte, error) {
	if length == 0 {
		return nil, nil // to libvirt, 0 is "to the end"
	}
	stream, err := p.conn.NewStream(0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.Free() }() // only a reference count
	if err := v.Download(stream, from, length, 0); err != nil {
		return nil, err
	}
	text, err := receive(ctx, stream, length)
	if err != nil {
		_ = stream.Abort() // err says what went wrong
		return nil, err
	}
	return text, stream.Finish()
}

func receive(ctx context.Context, stream *lv.Stream, length uint64) ([]byte, error) {
	text := make([]byte, 0, length)
	buf := make([]byte, chunk)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := stream.Recv(buf)
		if errors.Is(err, io.EOF) {
			return text, nil
		}
		if err != nil {
			return nil, err
		}
		text = append(text, buf[:min(n, int(length)-len(text))]...)
	}
}
