// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"time"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

// closeTime bounds Close, which has no context.
const closeTime = 10 * time.Second

func (c *client) Check(ctx context.Context, spec providers.Spec) ([]providers.Problem, error) {
	if err := c.knows(spec, "check"); err != nil {
		return nil, err
	}
	r, err := c.rpc.Check(ctx, &proto.CheckRequest{Session: c.session, Spec: toSpec(spec)})
	if err != nil {
		return nil, c.fail(ctx, err, "check", "machine "+spec.Name)
	}
	return each(r.GetProblems(), fromProblem), nil
}

func (c *client) ListMachines(ctx context.Context, env string) ([]providers.Machine, error) {
	r, err := c.rpc.ListMachines(ctx, &proto.ListMachinesRequest{Session: c.session, Env: env})
	if err != nil {
		return nil, c.fail(ctx, err, "list", "machines of "+env)
	}
	return c.machines(r.GetMachines())
}

func (c *client) ListEnvs(ctx context.Context) ([]providers.EnvInfo, error) {
	r, err := c.rpc.ListEnvs(ctx, &proto.ListEnvsRequest{Session: c.session})
	if err != nil {
		return nil, c.fail(ctx, err, "list", "environments")
	}
	return each(r.GetEnvs(), fromEnv), nil
}

func (c *client) DeleteMachine(ctx context.Context, id string) error {
	_, err := c.rpc.DeleteMachine(ctx, c.one(id))
	return c.done(ctx, err, "delete", "machine "+id)
}

func (c *client) DeleteEnv(ctx context.Context, env string, keepData bool) error {
	_, err := c.rpc.DeleteEnv(ctx, &proto.DeleteEnvRequest{Session: c.session, Env: env, KeepData: keepData})
	return c.done(ctx, err, "delete", "environment "+env)
}

// Close closes the far provider; closing again, or after the process ended, is success.
func (c *client) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	_, err := c.rpc.Close(ctx, &proto.CloseRequest{Session: c.session})
	if err != nil && failureOf(err) == nil && ctx.Err() == nil {
		return nil // nobody there: closed
	}
	return c.done(ctx, err, "close", c.subject())
}

func (c *client) StopMachine(ctx context.Context, id string) error {
	_, err := c.rpc.StopMachine(ctx, c.one(id))
	return c.done(ctx, err, "stop", "machine "+id)
}

func (c *client) StartMachine(ctx context.Context, id string) (providers.Machine, error) {
	m, err := c.rpc.StartMachine(ctx, c.one(id))
	if err != nil {
		return providers.Machine{}, c.fail(ctx, err, "start", "machine "+id)
	}
	return c.machine(m, "start")
}

func (c *client) SuspendMachine(ctx context.Context, id string) error {
	_, err := c.rpc.SuspendMachine(ctx, c.one(id))
	return c.done(ctx, err, "suspend", "machine "+id)
}

func (c *client) ResumeMachine(ctx context.Context, id string) (providers.Machine, error) {
	m, err := c.rpc.ResumeMachine(ctx, c.one(id))
	if err != nil {
		return providers.Machine{}, c.fail(ctx, err, "resume", "machine "+id)
	}
	return c.machine(m, "resume")
}

func (c *client) Console(ctx context.Context, id string, max int64) ([]byte, error) {
	r, err := c.rpc.Console(ctx, &proto.ConsoleRequest{Session: c.session, Id: id, Max: max})
	if err != nil {
		return nil, c.fail(ctx, err, "read", "console of machine "+id)
	}
	return r.GetOutput(), nil
}

func (c *client) ListImages(ctx context.Context) ([]providers.StoredImage, error) {
	r, err := c.rpc.ListImages(ctx, &proto.ListImagesRequest{Session: c.session})
	if err != nil {
		return nil, c.fail(ctx, err, "list", "images")
	}
	return each(r.GetImages(), fromStoredImage), nil
}

func (c *client) DeleteImage(ctx context.Context, ref providers.ImageRef) error {
	_, err := c.rpc.DeleteImage(ctx, &proto.DeleteImageRequest{Session: c.session, Ref: string(ref)})
	return c.done(ctx, err, "delete", "image "+string(ref))
}

func (c *client) Diagnose(ctx context.Context) ([]providers.Finding, error) {
	r, err := c.rpc.Diagnose(ctx, &proto.DiagnoseRequest{Session: c.session})
	if err != nil {
		return nil, c.fail(ctx, err, "diagnose", c.subject())
	}
	return each(r.GetFindings(), fromFinding), nil
}

func (c *client) one(id string) *proto.MachineRequest {
	return &proto.MachineRequest{Session: c.session, Id: id}
}

func (c *client) done(ctx context.Context, err error, op, subject string) error {
	if err == nil {
		return nil
	}
	return c.fail(ctx, err, op, subject)
}
