// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/providers"
)

// Plugin is the fake place. It boots from no artefact: PutImage notes an image's key and digest, so nothing has to be built for it.
//
// A program that opens it must call Main first thing.
var Plugin = providers.Plugin{Name: "fake", Traits: providers.Traits{Local: true}, Open: open}

type provider struct {
	config config
	world  world
	log    hclog.Logger
}

var (
	_ providers.Starter     = (*provider)(nil)
	_ providers.Suspender   = (*provider)(nil)
	_ providers.Snapshotter = (*provider)(nil)
	_ providers.Consoler    = (*provider)(nil)
	_ providers.ImagePruner = (*provider)(nil)
	_ providers.Doctor      = (*provider)(nil)
)

// open touches nothing: the world is made when something is first put into it.
func open(_ context.Context, raw json.RawMessage, log hclog.Logger) (providers.Provider, error) {
	c, err := decodeConfig(raw)
	if err != nil {
		return nil, &providers.Error{Code: providers.Invalid, Op: "open", Subject: "provider fake", Err: err}
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &provider{c, world(filepath.Clean(c.World)), log.Named("fake")}, nil
}

func (p *provider) Close() error { return nil }

// begin waits as long as ordered for op and fails where that is ordered.
func (p *provider) begin(ctx context.Context, op string) error {
	if err := sleep(ctx, time.Duration(p.config.Latency[op])); err != nil {
		return err
	}
	return p.failure(op)
}

// early and late are the two halves of begin, for what is worth being cancelled half-way: the waiting is shared, the failure comes late.
func (p *provider) early(ctx context.Context, op string) error {
	return sleep(ctx, time.Duration(p.config.Latency[op])/2)
}

func (p *provider) late(ctx context.Context, op string) error {
	return errors.Join(p.failure(op), p.early(ctx, op))
}

// failure is op's ordered failure while there is one left. They are counted by files, so that a process that starts anew goes on counting.
func (p *provider) failure(op string) error {
	f, ordered := p.config.Fail[op]
	if !ordered {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(p.world.failed(op, 0)), 0o700); err != nil {
		return err
	}
	for n := range max(f.Times, 1) {
		file, err := os.OpenFile(p.world.failed(op, n), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		_ = file.Close()
		message := f.Message
		if message == "" {
			message = fmt.Sprintf("ordered failure %d of %d", n+1, max(f.Times, 1))
		}
		return &providers.Error{Code: f.Code, Err: errors.New(message)}
	}
	return nil
}

// wrap makes err an *Error of this op and subject, keeping the code of one that is an *Error already.
func wrap(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	e := providers.Error{Code: providers.Internal, Err: err}
	if known, ok := errors.AsType[*providers.Error](err); ok {
		e = *known
	} else if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		e.Code = providers.Unavailable
	} else if errors.Is(err, fs.ErrPermission) {
		e.Code = providers.Denied
	}
	e.Op, e.Subject = op, subject
	return &e
}

// undone is err, the reason for an undo, with what became of that.
func undone(err, undo error) error {
	if undo == nil {
		return err
	}
	undo = fmt.Errorf("what was made could not be taken back: %w", undo)
	if known, ok := errors.AsType[*providers.Error](err); ok {
		e := *known
		e.Err = fmt.Errorf("%w; %w", known.Err, undo)
		return &e
	}
	return fmt.Errorf("%w; %w", err, undo)
}

func fail(code providers.Code, format string, args ...any) error {
	return &providers.Error{Code: code, Err: fmt.Errorf(format, args...)}
}
