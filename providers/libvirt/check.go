// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"context"
	"errors"

	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/providers"
)

// Check reports what PutMachine would refuse.
func (p *provider) Check(ctx context.Context, spec providers.Spec) ([]providers.Problem, error) {
	problems, err := p.check(ctx, spec)
	return problems, wrap("check", "machine "+spec.Name, err)
}

func (p *provider) check(ctx context.Context, spec providers.Spec) ([]providers.Problem, error) {
	if err := p.validate(spec); err != nil {
		return problems(spec, err)
	}
	found, err := p.find(spec.Env, spec.Name)
	if err != nil {
		return problems(spec, err)
	}
	var had []port
	uuid := ""
	if found != nil {
		if err := sameProject(*found, spec); err != nil {
			return problems(spec, err)
		}
		had, uuid = found.record.Ports, found.uuid
	}
	if _, err := p.planData(spec); err != nil {
		return problems(spec, err)
	}
	taken, err := p.claimed(ctx, uuid)
	if err != nil {
		return nil, err
	}
	if _, err := choosePorts(spec.Env, spec.Name, spec.Publish, had, taken, listening); err != nil {
		return problems(spec, err)
	}
	if found == nil {
		others, err := p.domains(ctx, spec.Env)
		if err != nil {
			return nil, err
		}
		if _, err := chooseSlot(others, "", p.slots(), 0); err != nil {
			return problems(spec, err)
		}
	}
	return nil, nil
}

// problems makes a refusal of ours a problem; a failure to find out stays an error.
func problems(spec providers.Spec, err error) ([]providers.Problem, error) {
	c, ours := errors.AsType[*coded](err)
	if !ours {
		return nil, err
	}
	return []providers.Problem{{Severity: problem.Error, Path: "machines." + spec.Name, Message: c.Error(), Hint: c.hint}}, nil
}
