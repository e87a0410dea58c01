// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/evenkeel/evenkeel/internal/progress"
)

// blob is one file known by its content, and where it may be found, best first.
type blob struct {
	name   string // for messages
	sha256 string
	size   int64 // bytes; 0: not known, then maxPackage is the bound
	from   []string
}

// fetcher gets blobs over HTTP.
type fetcher struct{ client *http.Client }

const (
	fetchAtOnce = 4
	// A server that sends nothing for this long is given up: the next place may have the file.
	stallLimit = 30 * time.Second
)

func newFetcher() fetcher {
	dial := &net.Dialer{Timeout: 10 * time.Second}
	return fetcher{client: &http.Client{Transport: &http.Transport{
		Proxy:                 (&aptProxies{}).choose,
		DialContext:           dial.DialContext,
		ResponseHeaderTimeout: stallLimit,
		MaxIdleConnsPerHost:   fetchAtOnce,
		DisableCompression:    true, // the content is what is hashed
	}}}
}

// packagePath is where the store keeps the file of this content.
func (s *Store) packagePath(sha256 string) string { return filepath.Join(s.dir, "packages", sha256) }

// fetch brings every blob into the store. Each is checked against its hash, also those that are there already: a disk forgets too.
func (s *Store) fetch(ctx context.Context, blobs []blob, subject string, p progress.Func) error {
	var total int64
	for _, b := range blobs {
		total += b.size
	}
	var done atomic.Int64
	tell := func(n int64, detail string) {
		now := done.Add(n)
		p.Emit(progress.Event{Subject: subject, Stage: "fetch", Detail: detail, Done: min(now, total), Total: total, Bytes: true})
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchAtOnce)
	for _, b := range blobs {
		g.Go(func() error { return s.fetchOne(gctx, b, tell) })
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (s *Store) fetchOne(ctx context.Context, b blob, tell func(int64, string)) error {
	final := s.packagePath(b.sha256)
	if hasContent(final, b.sha256) {
		tell(b.size, b.name)
		return nil
	}
	l, err := s.lock(ctx, "package-"+b.sha256, func() {})
	if err != nil {
		return err
	}
	defer l.unlock()
	defer os.Remove(l.f.Name())
	if hasContent(final, b.sha256) { // another process was quicker
		tell(b.size, b.name)
		return nil
	}
	part := final + ".part"
	var errs []error
	for _, place := range b.from {
		err := s.fetcher.get(ctx, place, part, b, tell)
		if err == nil {
			return os.Rename(part, final)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		errs = append(errs, fmt.Errorf("  %s: %w", place, err))
	}
	return fmt.Errorf("cannot get %s (SHA-256 %s); looked in:\n%w", b.name, b.sha256, errors.Join(errs...))
}

func hasContent(name, sum string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return false
	}
	if hex.EncodeToString(h.Sum(nil)) != sum {
		return false
	}
	used(name)
	return true
}

// get brings the blob from one place into the file part, going on where an earlier attempt stopped. After success part is complete,
// checked and on the disk.
func (f fetcher) get(ctx context.Context, place, part string, b blob, tell func(int64, string)) error {
	resumed, err := f.attempt(ctx, place, part, b, tell)
	if err != nil && resumed && ctx.Err() == nil {
		// What was there may be the beginning of something else: once more from the start.
		if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		_, err = f.attempt(ctx, place, part, b, tell)
		return err
	}
	return err
}

func (f fetcher) attempt(ctx context.Context, place, part string, b blob, tell func(int64, string)) (resumed bool, err error) {
	out, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return false, err
	}
	defer out.Close()
	h := sha256.New()
	have, err := io.Copy(h, out)
	if err != nil {
		return false, err
	}
	body, offset, err := f.open(ctx, place, have)
	if err != nil {
		return false, err
	}
	defer body.Close()
	if offset != have {
		have = 0
		h.Reset()
		if _, err := out.Seek(0, io.SeekStart); err != nil {
			return false, err
		}
		if err := out.Truncate(0); err != nil {
			return false, err
		}
	}
	resumed = have > 0
	told := have
	tell(have, b.name)
	defer func() {
		if err != nil {
			tell(-told, b.name)
		}
	}()
	limit := b.size
	if limit == 0 {
		limit = maxPackage
	}
	n, err := io.Copy(io.MultiWriter(out, h, writerFunc(func(p []byte) { told += int64(len(p)); tell(int64(len(p)), b.name) })), io.LimitReader(body, limit-have+1))
	switch got := hex.EncodeToString(h.Sum(nil)); {
	case err != nil:
		return resumed, err
	case have+n > limit:
		err = fmt.Errorf("it sent more than the %d bytes there should be", limit)
	case b.size > 0 && have+n < b.size:
		return resumed, fmt.Errorf("it sent %d of %d bytes", have+n, b.size) // what came is kept
	case got != b.sha256:
		err = fmt.Errorf("its content is another one: SHA-256 %s", got)
	default:
		return resumed, out.Sync()
	}
	return resumed, errors.Join(err, out.Truncate(0))
}

// open returns the content from offset on, or from 0 where the place cannot begin later.
func (f fetcher) open(ctx context.Context, place string, offset int64) (io.ReadCloser, int64, error) {
	if !strings.HasPrefix(place, "http://") && !strings.HasPrefix(place, "https://") {
		in, err := os.Open(place)
		if err != nil {
			return nil, 0, errors.Unwrap(err)
		}
		return in, 0, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, place, nil)
	if err != nil {
		cancel(nil)
		return nil, 0, err
	}
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := f.client.Do(req)
	if err != nil {
		cancel(nil)
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the address stands in the message already
		}
		return nil, 0, err
	}
	body := &stallReader{body: resp.Body, cancel: cancel}
	body.timer = time.AfterFunc(stallLimit, func() { cancel(errStalled) })
	switch {
	case resp.StatusCode == http.StatusOK:
		return body, 0, nil
	case resp.StatusCode == http.StatusPartialContent && strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)):
		return body, offset, nil
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && offset > 0:
		// All of it is there: nothing follows.
		body.Close()
		return http.NoBody, offset, nil
	}
	body.Close()
	return nil, 0, fmt.Errorf("HTTP status %s", resp.Status)
}

var errStalled = fmt.Errorf("nothing came for %s", stallLimit)

// stallReader ends a transfer in which nothing comes.
type stallReader struct {
	body   io.ReadCloser
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

func (r *stallReader) Read(p []byte) (int, error) {
	r.timer.Reset(stallLimit)
	return r.body.Read(p)
}

func (r *stallReader) Close() error {
	r.timer.Stop()
	r.cancel(nil)
	return r.body.Close()
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}
