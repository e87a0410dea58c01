// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
)

// place is a provider in memory whose machines never answer: for what the core decides from records alone.
type place struct {
	mu       sync.Mutex
	machines []providers.Machine
	envs     []providers.EnvInfo
	problems []providers.Problem
	deleted  []string // machine IDs and "env ID keepData"
	calls    []string
	listed   func() // before each ListMachines; may be nil
}

var errPlace = &providers.Error{Code: providers.Unavailable, Op: "list", Subject: "machines", Err: errors.New("the place is away")}

func (p *place) called(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, what)
}

func (p *place) Check(context.Context, providers.Spec) ([]providers.Problem, error) {
	return p.problems, nil
}

func (p *place) PutImage(_ context.Context, img images.Image, _ providers.Progress) (providers.ImageRef, error) {
	p.called("put image")
	return providers.ImageRef(img.Key), nil
}

func (p *place) PutMachine(_ context.Context, s providers.Spec, _ providers.ImageRef, _ providers.Progress) (providers.Machine, error) {
	p.called("put machine " + s.Name)
	return providers.Machine{}, &providers.Error{Code: providers.Exhausted, Op: "create", Subject: "machine " + s.Name, Err: errors.New("no memory left")}
}

func (p *place) ListMachines(_ context.Context, env string) ([]providers.Machine, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listed != nil {
		p.listed()
	}
	var list []providers.Machine
	for _, m := range p.machines {
		if m.Env == env {
			list = append(list, m)
		}
		if m.Env == "away" {
			return nil, errPlace
		}
	}
	return list, nil
}

func (p *place) ListEnvs(context.Context) ([]providers.EnvInfo, error) { return p.envs, nil }

func (p *place) DeleteMachine(_ context.Context, id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deleted = append(p.deleted, id)
	p.machines = slices.DeleteFunc(p.machines, func(m providers.Machine) bool { return m.ID == id })
	return nil
}

func (p *place) DeleteEnv(_ context.Context, env string, keepData bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	what := "env " + env
	if keepData {
		what += " but its data"
	}
	p.deleted = append(p.deleted, what)
	return nil
}

func (p *place) Close() error { return nil }
