// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"time"

	"github.com/evenkeel/evenkeel/images"
)

// retryAfter are the pauses before the second and the third try: long enough for a daemon that is being restarted by its socket, short enough
// that one who forgot to start it is told soon.
var retryAfter = [...]time.Duration{300 * time.Millisecond, time.Second}

// Retry is p with every call of the contract tried again, up to three times in all, while it is Unavailable; the contract makes each of them
// idempotent. Nothing else is ever retried, and nothing is once ctx ended. Abilities are passed through as they are.
func Retry(p Provider) Provider { return retrying{p} }

type retrying struct{ p Provider }

// Unwrap lets As find p's abilities.
func (r retrying) Unwrap() Provider { return r.p }

func again[T any](ctx context.Context, call func() (T, error)) (T, error) {
	for _, pause := range retryAfter {
		v, err := call()
		if CodeOf(err) != Unavailable {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, err
		case <-time.After(pause):
		}
	}
	return call()
}

func (r retrying) Check(ctx context.Context, spec Spec) ([]Problem, error) {
	return again(ctx, func() ([]Problem, error) { return r.p.Check(ctx, spec) })
}

func (r retrying) PutImage(ctx context.Context, img images.Image, p Progress) (ImageRef, error) {
	return again(ctx, func() (ImageRef, error) { return r.p.PutImage(ctx, img, p) })
}

func (r retrying) PutMachine(ctx context.Context, spec Spec, img ImageRef, p Progress) (Machine, error) {
	return again(ctx, func() (Machine, error) { return r.p.PutMachine(ctx, spec, img, p) })
}

func (r retrying) ListMachines(ctx context.Context, env string) ([]Machine, error) {
	return again(ctx, func() ([]Machine, error) { return r.p.ListMachines(ctx, env) })
}

func (r retrying) ListEnvs(ctx context.Context) ([]EnvInfo, error) {
	return again(ctx, func() ([]EnvInfo, error) { return r.p.ListEnvs(ctx) })
}

func (r retrying) DeleteMachine(ctx context.Context, id string) error {
	_, err := again(ctx, func() (struct{}, error) { return struct{}{}, r.p.DeleteMachine(ctx, id) })
	return err
}

func (r retrying) DeleteEnv(ctx context.Context, env string, keepData bool) error {
	_, err := again(ctx, func() (struct{}, error) { return struct{}{}, r.p.DeleteEnv(ctx, env, keepData) })
	return err
}

func (r retrying) Close() error { return r.p.Close() }
