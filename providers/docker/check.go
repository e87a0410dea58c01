// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"errors"
	"fmt"

	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/providers"
)

// Check reports what PutMachine would refuse.
func (p *provider) Check(ctx context.Context, spec providers.Spec) ([]providers.Problem, error) {
	problems, err := p.check(ctx, spec)
	return problems, wrap("check", "machine "+spec.Name, err)
}

func (p *provider) check(ctx context.Context, spec providers.Spec) ([]providers.Problem, error) {
	if err := p.validate(ctx, spec); err != nil {
		return problems(spec, err)
	}
	there, err := p.look(ctx, spec.Env)
	if err != nil {
		return nil, err
	}
	var found box
	if b := there.find(spec.Name); b != nil {
		found = *b
		if err := sameProject(found, spec); err != nil {
			return problems(spec, err)
		}
	}
	if _, err := p.planData(ctx, spec); err != nil {
		return problems(spec, err)
	}
	if err := p.checkImage(ctx, spec); err != nil {
		return problems(spec, err)
	}
	list, err := p.networks(ctx, spec.Env)
	if err != nil {
		return nil, err
	}
	if _, err := p.planPorts(ctx, found, spec.Env, spec.Name, spec.Publish, first(list).ID); err != nil {
		return problems(spec, err)
	}
	if len(list) > 0 && found.ID == "" {
		s, err := subnet(list[0])
		if err == nil {
			_, err = chooseSlot(s, there.machines, "", func(int) int { return 0 })
		}
		if err != nil {
			return problems(spec, err)
		}
	}
	return nil, nil
}

// checkImage refuses an image that is here and cannot start here, whatever its lock said of it (validate).
func (p *provider) checkImage(ctx context.Context, spec providers.Spec) error {
	host, err := p.host(ctx)
	if err != nil {
		return err
	}
	if has := debianArch(host.Architecture); has != "" && has != builtFor {
		return &coded{
			providers.Unsupported,
			fmt.Errorf("images are built for %s; docker's computer is %s", builtFor, has),
			"use a docker on such a computer: config: {host: ...}, or DOCKER_HOST",
		}
	}
	stored, err := p.stored(ctx, labelKey+"="+spec.ImageKey)
	if err != nil {
		return err
	}
	for _, i := range stored {
		if err := bootable(i.Labels[labelSystemd], host.CgroupVersion); err != nil {
			return err
		}
	}
	return nil
}

// problems makes a refusal of ours a problem; a failure to find out stays an error.
func problems(spec providers.Spec, err error) ([]providers.Problem, error) {
	c, ours := errors.AsType[*coded](err)
	if !ours {
		return nil, err
	}
	return []providers.Problem{{Severity: problem.Error, Path: "machines." + spec.Name, Message: c.Error(), Hint: c.hint}}, nil
}
