// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"archive/tar"
	"crypto/sha256"
	"io"
	"time"
)

// pack writes the file or link at name, which must be e before and after, as one member. After an error that is no *streamError the archive goes on, and the member is not to be used.
func (h *host) pack(w *tar.Writer, prefix, name string, e entry) (sum [32]byte, err error) {
	hd := &tar.Header{Name: prefix + name, Mode: 0o644, Size: e.Size, ModTime: timeOf(e.Time), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
	if e.Exec {
		hd.Mode = 0o755
	}
	if e.Kind == link {
		if !h.same(name, e, true) {
			return sum, errChanged
		}
		hd.Typeflag, hd.Linkname, hd.Mode, hd.ModTime = tar.TypeSymlink, e.Link, 0o777, time.Unix(0, 0)
		if err := w.WriteHeader(hd); err != nil {
			return sum, &streamError{err}
		}
		return sum, nil
	}
	f, err := h.open(name, e)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	if err := w.WriteHeader(hd); err != nil {
		return sum, &streamError{err}
	}
	digest := sha256.New()
	in := &onlyRead{r: io.TeeReader(f, digest)}
	n, err := io.CopyN(w, in, e.Size)
	if err != nil && in.err == nil { // the writer's
		return sum, &streamError{err}
	}
	if _, err := io.CopyN(w, zeros{}, e.Size-n); err != nil { // shorter than it was
		return sum, &streamError{err}
	}
	if n < e.Size || !h.same(name, e, true) {
		return sum, errChanged
	}
	return [32]byte(digest.Sum(nil)), nil
}

// streamError is a failure of the stream itself, after which nothing can follow.
type streamError struct{ error }

// onlyRead remembers that its reader failed or ended.
type onlyRead struct {
	r   io.Reader
	err error
}

func (o *onlyRead) Read(p []byte) (n int, err error) {
	n, o.err = o.r.Read(p)
	return n, o.err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
