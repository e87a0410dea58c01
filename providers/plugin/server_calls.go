// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

func (s *server) Info(context.Context, *proto.InfoRequest) (*proto.InfoReply, error) {
	return &proto.InfoReply{
		Name:       text(s.plugin.Name),
		Formats:    each(s.plugin.Formats, func(f images.Format) string { return text(string(f)) }),
		Traits:     &proto.Traits{Local: s.plugin.Traits.Local, HostKernel: s.plugin.Traits.HostKernel, ReadOnly: s.plugin.Traits.ReadOnly},
		SpecFields: specFields(),
	}, nil
}

func (s *server) Open(ctx context.Context, r *proto.OpenRequest) (*proto.OpenReply, error) {
	p, err := s.plugin.Open(ctx, r.GetConfig(), s.log)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.opened[s.last] = p
	return &proto.OpenReply{Session: s.last, Abilities: abilities(p)}, nil
}

// Close of what is closed already is success.
func (s *server) Close(_ context.Context, r *proto.CloseRequest) (*proto.Empty, error) {
	s.mu.Lock()
	p, ok := s.opened[r.GetSession()]
	delete(s.opened, r.GetSession())
	s.mu.Unlock()
	if !ok {
		return &proto.Empty{}, nil
	}
	return &proto.Empty{}, p.Close()
}

func (s *server) Check(ctx context.Context, r *proto.CheckRequest) (*proto.CheckReply, error) {
	p, err := s.session(r.GetSession())
	if err != nil {
		return nil, err
	}
	problems, err := p.Check(ctx, fromSpec(r.GetSpec()))
	return &proto.CheckReply{Problems: each(problems, toProblem)}, err
}

func (s *server) ListMachines(ctx context.Context, r *proto.ListMachinesRequest) (*proto.MachineList, error) {
	p, err := s.session(r.GetSession())
	if err != nil {
		return nil, err
	}
	list, err := p.ListMachines(ctx, r.GetEnv())
	return &proto.MachineList{Machines: each(list, toMachine)}, err
}

func (s *server) ListEnvs(ctx context.Context, r *proto.ListEnvsRequest) (*proto.EnvList, error) {
	p, err := s.session(r.GetSession())
	if err != nil {
		return nil, err
	}
	list, err := p.ListEnvs(ctx)
	return &proto.EnvList{Envs: each(list, toEnv)}, err
}

func (s *server) DeleteMachine(ctx context.Context, r *proto.MachineRequest) (*proto.Empty, error) {
	p, err := s.session(r.GetSession())
	if err != nil {
		return nil, err
	}
	return &proto.Empty{}, p.DeleteMachine(ctx, r.GetId())
}

func (s *server) DeleteEnv(ctx context.Context, r *proto.DeleteEnvRequest) (*proto.Empty, error) {
	p, err := s.session(r.GetSession())
	if err != nil {
		return nil, err
	}
	return &proto.Empty{}, p.DeleteEnv(ctx, r.GetEnv(), r.GetKeepData())
}

func (s *server) StopMachine(ctx context.Context, r *proto.MachineRequest) (*proto.Empty, error) {
	p, err := ability[providers.Starter](s, r.GetSession())
	if err != nil {
		return nil, err
	}
	return &proto.Empty{}, p.StopMachine(ctx, r.GetId())
}

func (s *server) StartMachine(ctx context.Context, r *proto.MachineRequest) (*proto.Machine, error) {
	p, err := ability[providers.Starter](s, r.GetSession())
	if err != nil {
		return nil, err
	}
	m, err := p.StartMachine(ctx, r.GetId())
	return toMachine(m), err
}

func (s *server) SuspendMachine(ctx context.Context, r *proto.MachineRequest) (*proto.Empty, error) {
	p, err := ability[providers.Suspender](s, r.GetSession())
	if err != nil {
		return nil, err
	}
	return &proto.Empty{}, p.SuspendMachine(ctx, r.GetId())
}

func (s *server) ResumeMachine(ctx context.Context, r *proto.MachineRequest) (*proto.Machine, error) {
	p, err := ability[providers.Suspender](s, r.GetSession())
	if err != nil {
		return nil, err
	}
	m, err := p.ResumeMachine(ctx, r.GetId())
	return toMachine(m), err
}

func (s *server) Console(ctx context.Context, r *proto.ConsoleRequest) (*proto.ConsoleReply, error) {
	p, err := ability[providers.Consoler](s, r.GetSession())
	if err != nil {
		return nil, err
	}
	most := min(r.GetMax(), maxConsole)
	out, err := p.Console(ctx, r.GetId(), most)
	if over := int64(len(out)) - max(most, 0); over > 0 {
		out = out[over:]
	}
	return &proto.ConsoleReply{Output: out}, err
}

func (s *server) ListImages(ctx context.Context, r *proto.ListImagesRequest) (*proto.ImageList, error) {
	p, err := ability[providers.ImagePruner](s, r.GetSession())
	if err != nil {
		return nil, err
	}
	list, err := p.ListImages(ctx)
	return &proto.ImageList{Images: each(list, toStoredImage)}, err
}

func (s *server) DeleteImage(ctx context.Context, r *proto.DeleteImageRequest) (*proto.Empty, error) {
	p, err := ability[providers.ImagePruner](s, r.GetSession())
	if err != nil {
		return nil, err
	}
	return &proto.Empty{}, p.DeleteImage(ctx, providers.ImageRef(r.GetRef()))
}

func (s *server) Diagnose(ctx context.Context, r *proto.DiagnoseRequest) (*proto.Diagnosis, error) {
	p, err := ability[providers.Doctor](s, r.GetSession())
	if err != nil {
		return nil, err
	}
	list, err := p.Diagnose(ctx)
	return &proto.Diagnosis{Findings: each(list, toFinding)}, err
}
