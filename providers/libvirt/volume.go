// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"

	lv "libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/evenkeel/evenkeel/internal/progress"
)

// has reports whether the volume is there. It asks for the file too, since the pool's list may be older than its folder.
func (p *pool) has(volume string) (bool, error) {
	v, err := p.LookupStorageVolByName(volume)
	if is(err, lv.ERR_NO_STORAGE_VOL) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = v.Free() }() // only a reference count
	if _, err := v.GetInfo(); err != nil {
		if is(err, lv.ERR_NO_STORAGE_VOL) {
			return false, nil
		}
		return false, err
	}
	return true, nil
}

// volume is a volume to be. Sizes are bytes.
type volume struct {
	name     string
	format   string // raw or qcow2
	capacity int64
	mode     string // octal
	backing  string // path of a qcow2 disk below it, or ""
}

// create makes a volume, sparse. One of that name there already is ERR_STORAGE_VOL_EXIST.
func (p *pool) create(v volume) (*lv.StorageVol, error) {
	text, err := v.describe()
	if err != nil {
		return nil, err
	}
	return p.StorageVolCreateXML(text, 0)
}

func (v volume) describe() (string, error) {
	d := libvirtxml.StorageVolume{
		Name:       v.name,
		Capacity:   &libvirtxml.StorageVolumeSize{Unit: "bytes", Value: uint64(v.capacity)},
		Allocation: &libvirtxml.StorageVolumeSize{Unit: "bytes"},
		Target: &libvirtxml.StorageVolumeTarget{
			Format:      &libvirtxml.StorageVolumeTargetFormat{Type: v.format},
			Permissions: &libvirtxml.StorageVolumeTargetPermissions{Mode: v.mode},
		},
	}
	if v.format == "qcow2" {
		// Without it libvirt makes disks of 2006's format, which cannot give back what the guest deletes above a backing file.
		d.Target.Compat = "1.1"
	}
	if v.backing != "" {
		d.BackingStore = &libvirtxml.StorageVolumeBackingStore{Path: v.backing, Format: &libvirtxml.StorageVolumeTargetFormat{Type: "qcow2"}}
	}
	return d.Marshal()
}

// make is create for a volume nobody writes to now.
func (p *pool) make(v volume) error {
	vol, err := p.create(v)
	if err != nil {
		return fmt.Errorf("volume %s: %w", v.name, err)
	}
	return vol.Free()
}

// clone copies a qcow2 volume into a new one. It is one long call, which nothing ends early; after an error nothing of the copy is left.
func (p *pool) clone(from, to string) error {
	source, err := p.LookupStorageVolByName(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Free() }() // only a reference count
	info, err := source.GetInfo()
	if err != nil {
		return err
	}
	text, err := volume{name: to, format: "qcow2", capacity: int64(info.Capacity), mode: "0600"}.describe()
	if err != nil {
		return err
	}
	v, err := p.StorageVolCreateXMLFrom(text, source, 0)
	if err != nil {
		return fmt.Errorf("volume %s: %w", to, err)
	}
	return v.Free()
}

// remove deletes a volume. Absent is success.
func (p *pool) remove(name string) error {
	v, err := p.LookupStorageVolByName(name)
	if is(err, lv.ERR_NO_STORAGE_VOL) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = v.Free() }() // only a reference count
	if err := v.Delete(0); err != nil && !is(err, lv.ERR_NO_STORAGE_VOL) {
		return err
	}
	return nil
}

// names lists the pool's volumes.
func (p *pool) names() ([]string, error) { return p.ListStorageVolumes() }

// describe reads a volume's XML; the zero value and false where it is gone.
func (p *pool) describe(name string) (d libvirtxml.StorageVolume, ok bool, err error) {
	v, err := p.LookupStorageVolByName(name)
	if is(err, lv.ERR_NO_STORAGE_VOL) {
		return d, false, nil
	}
	if err != nil {
		return d, false, err
	}
	defer func() { _ = v.Free() }() // only a reference count
	text, err := v.GetXMLDesc(0)
	if is(err, lv.ERR_NO_STORAGE_VOL) {
		return d, false, nil
	}
	if err != nil {
		return d, false, err
	}
	return d, true, xml.Unmarshal([]byte(text), &d)
}

// chunk is the most one message to the daemon carries in every version of libvirt (VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX), rounded down.
const chunk = 256<<10 - 64

// upload writes size bytes of r over the volume, from its beginning. ctx is asked between chunks.
func (p *provider) upload(ctx context.Context, v *lv.StorageVol, r io.Reader, size int64, done func(int64)) error {
	stream, err := p.conn.NewStream(0)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Free() }() // only a reference count
	if err := v.Upload(stream, 0, uint64(size), 0); err != nil {
		return err
	}
	if err := send(ctx, stream, io.LimitReader(r, size), done); err != nil {
		_ = stream.Abort() // err says what went wrong
		return err
	}
	return stream.Finish()
}

func send(ctx context.Context, stream *lv.Stream, r io.Reader, done func(int64)) error {
	buf := make([]byte, chunk)
	var sent int64
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(r, buf)
		for b := buf[:n]; len(b) > 0; {
			w, err := stream.Send(b)
			if err != nil {
				return err
			}
			b = b[w:]
		}
		sent += int64(n)
		if n > 0 && done != nil {
			done(sent)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// meter tells progress at most a hundred times, and always the end.
func meter(p progress.Func, e progress.Event) func(int64) {
	var told int64
	return func(done int64) {
		if done-told < e.Total/100 && done < e.Total {
			return
		}
		told = done
		e.Done = done
		p.Emit(e)
	}
}
