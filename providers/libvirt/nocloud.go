// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/diskfs/go-diskfs/backend"
	"github.com/diskfs/go-diskfs/filesystem/fat12"
)

// What cloud-init's NoCloud looks for: a FAT or ISO 9660 file system of this label, in either case, with files user-data, meta-data and
// network-config (https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html). The files are small: user-data is bounded
// by providers.Seed.UserData.
const (
	noCloudLabel = "CIDATA"
	noCloudSize  = 256 << 10
)

// noCloud renders a NoCloud volume. All of it stays in memory, since a host key is in it.
func noCloud(files map[string][]byte) ([]byte, error) {
	m := &memory{content: make([]byte, noCloudSize)}
	f, err := fat12.Create(m, noCloudSize, 0, 0, noCloudLabel, true)
	if err != nil {
		return nil, fmt.Errorf("cannot make NoCloud volume: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := writeFile(f, name, files[name]); err != nil {
			return nil, fmt.Errorf("cannot write %s to NoCloud volume: %w", name, err)
		}
	}
	return m.content, nil
}

func writeFile(f *fat12.FileSystem, name string, content []byte) error {
	w, err := f.OpenFile("/"+name, os.O_CREATE|os.O_RDWR)
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	return w.Close()
}

// memory is a disk of a fixed size in memory.
type memory struct {
	content []byte
	at      int64
}

var _ backend.WritableFile = (*memory)(nil)

func (m *memory) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(m.content)) {
		return 0, io.EOF
	}
	n := copy(b, m.content[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memory) WriteAt(b []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(b)) > int64(len(m.content)) {
		return 0, io.ErrShortWrite
	}
	return copy(m.content[off:], b), nil
}

func (m *memory) Read(b []byte) (int, error) {
	n, err := m.ReadAt(b, m.at)
	m.at += int64(n)
	return n, err
}

func (m *memory) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += m.at
	case io.SeekEnd:
		offset += int64(len(m.content))
	}
	m.at = offset
	return offset, nil
}

func (m *memory) Writable() (backend.WritableFile, error) { return m, nil }
func (m *memory) Stat() (fs.FileInfo, error)              { return nil, errors.ErrUnsupported }
func (m *memory) Sys() (*os.File, error)                  { return nil, backend.ErrNotSuitable }
func (m *memory) Path() string                            { return "" }
func (m *memory) Close() error                            { return nil }
