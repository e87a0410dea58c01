// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"context"
	"errors"
	"testing"

	"github.com/evenkeel/evenkeel/providers"
)

// flaky fails its first calls of ListEnvs with one code.
type flaky struct {
	place
	code  providers.Code
	fails int
	tried int
}

func (f *flaky) ListEnvs(context.Context) ([]providers.EnvInfo, error) {
	f.tried++
	if f.tried <= f.fails {
		return nil, &providers.Error{Code: f.code, Op: "list", Subject: "environments", Err: errors.New("the daemon restarts")}
	}
	return []providers.EnvInfo{{Env: "shop.ci"}}, nil
}

func (f *flaky) StopMachine(context.Context, string) error { return nil }
func (f *flaky) StartMachine(context.Context, string) (providers.Machine, error) {
	return providers.Machine{}, nil
}

func TestOnlyUnavailableIsTriedAgainAndNotForEver(t *testing.T) {
	for _, c := range []struct {
		name  string
		code  providers.Code
		fails int
		tries int
		ok    bool
	}{
		{"away for a moment", providers.Unavailable, 2, 3, true},
		{"away", providers.Unavailable, 99, 3, false},
		{"refused", providers.Denied, 99, 1, false},
		{"full", providers.Exhausted, 1, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &flaky{code: c.code, fails: c.fails}
			envs, err := providers.Retry(f).ListEnvs(t.Context())
			if (err == nil) != c.ok || f.tried != c.tries || c.ok && len(envs) != 1 {
				t.Errorf("got %v, %v after %d tries; want ok %t after %d", envs, err, f.tried, c.ok, c.tries)
			}
		})
	}
}

func TestRetryEndsWithItsContextAndKeepsAbilities(t *testing.T) {
	f := &flaky{code: providers.Unavailable, fails: 99}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := providers.Retry(f).ListEnvs(ctx); providers.CodeOf(err) != providers.Unavailable || f.tried != 1 {
		t.Errorf("cancelled: %v after %d tries, want one", err, f.tried)
	}
	if _, ok := providers.As[providers.Starter](providers.Retry(f)); !ok {
		t.Error("the ability to start is hidden")
	}
	if _, ok := providers.As[providers.Doctor](providers.Retry(f)); ok {
		t.Error("an ability nobody has is found")
	}
}
