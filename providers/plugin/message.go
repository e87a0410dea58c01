// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

// Each pair here is a value to its message and back. What comes from a plugin is bounded where it comes in.

func toSpec(s providers.Spec) *proto.Spec {
	return &proto.Spec{
		Env: text(s.Env), Name: text(s.Name), Cpus: int64(s.CPUs), Memory: s.Memory, Disk: s.Disk, ImageKey: text(s.ImageKey),
		Labels: toLabels(s.Labels), Publish: each(s.Publish, toPort), Data: each(s.Data, toData),
		Seed: &proto.Seed{
			Hostname: text(s.Seed.Hostname), HostKey: s.Seed.HostKey, HostCertificate: s.Seed.HostCertificate,
			User: text(s.Seed.User), AuthorizedKeys: each(s.Seed.AuthorizedKeys, text), Data: each(s.Seed.Data, toMount),
		},
		Systemd: text(s.Systemd),
	}
}

func fromSpec(s *proto.Spec) providers.Spec {
	seed := s.GetSeed()
	return providers.Spec{
		Env: s.GetEnv(), Name: s.GetName(), CPUs: int(s.GetCpus()), Memory: s.GetMemory(), Disk: s.GetDisk(), ImageKey: s.GetImageKey(),
		Labels: fromLabels(s.GetLabels()), Publish: each(s.GetPublish(), fromPort), Data: each(s.GetData(), fromData),
		Seed: providers.Seed{
			Hostname: seed.GetHostname(), HostKey: seed.GetHostKey(), HostCertificate: seed.GetHostCertificate(),
			User: seed.GetUser(), AuthorizedKeys: seed.GetAuthorizedKeys(), Data: each(seed.GetData(), fromMount),
		},
		Systemd: s.GetSystemd(),
	}
}

func toLabels(l providers.Labels) map[string]string {
	m := make(map[string]string, len(l))
	for k, v := range l {
		m[text(k)] = text(v)
	}
	return m
}

func fromLabels(m map[string]string) providers.Labels { return m }

func toPort(p providers.Port) *proto.Port {
	return &proto.Port{Port: int64(p.Port), Proto: text(p.Proto), HostPort: int64(p.HostPort)}
}

func fromPort(p *proto.Port) providers.Port {
	return providers.Port{Port: int(p.GetPort()), Proto: p.GetProto(), HostPort: int(p.GetHostPort())}
}

func toImage(i images.Image) *proto.Image {
	artefacts := make(map[string]*proto.Artefact, len(i.Artefacts))
	for f, a := range i.Artefacts {
		artefacts[text(string(f))] = &proto.Artefact{Path: text(a.Path), Size: a.Size, Sha256: text(a.SHA256)}
	}
	return &proto.Image{
		Key: text(i.Key), Digest: text(i.Digest), Recipe: text(i.Recipe), Release: text(i.Release), Arch: text(i.Arch),
		DiskSize: i.DiskSize, Artefacts: artefacts,
	}
}

func fromImage(i *proto.Image) images.Image {
	var artefacts map[images.Format]images.Artefact
	if len(i.GetArtefacts()) > 0 {
		artefacts = make(map[images.Format]images.Artefact, len(i.GetArtefacts()))
	}
	for f, a := range i.GetArtefacts() {
		artefacts[images.Format(f)] = images.Artefact{Path: a.GetPath(), Size: a.GetSize(), SHA256: a.GetSha256()}
	}
	return images.Image{
		Key: i.GetKey(), Digest: i.GetDigest(), Recipe: i.GetRecipe(), Release: i.GetRelease(), Arch: i.GetArch(),
		DiskSize: i.GetDiskSize(), Artefacts: artefacts,
	}
}

func toMachine(m providers.Machine) *proto.Machine {
	return &proto.Machine{
		Id: text(m.ID), Env: text(m.Env), Name: text(m.Name), State: text(string(m.State)), Ssh: text(m.SSH), Address: text(m.Address),
		Ports: each(m.Ports, toPort), Data: each(m.Data, toAttached), Labels: toLabels(m.Labels), Created: toTime(m.Created),
		Host: toHost(m.Host),
	}
}

// fromMachine is m as far as it keeps the rules. With an error, of what breaks them, the machine's state is Unknown and the rest can be shown: labels
// are readable's, ports and data disks that are none are left out. A state it does not know is Unknown without error.
func fromMachine(m *proto.Machine) (providers.Machine, error) {
	labels := fromLabels(m.GetLabels())
	broken := labels.Validate()
	if broken != nil {
		labels = readable(labels)
	}
	var ports []providers.Port
	for _, p := range each(m.GetPorts(), fromPort) {
		if p.Port < 1 || p.Port > 65535 || p.HostPort < 0 || p.HostPort > 65535 || p.Proto != "tcp" && p.Proto != "udp" {
			broken = errors.Join(broken, fmt.Errorf("port %d to %d of protocol %.20q is none", p.HostPort, p.Port, p.Proto))
			continue
		}
		ports = append(ports, p)
	}
	data, noData := fromAttached(m.GetData())
	host, noHost := fromHost(m.GetHost())
	broken = errors.Join(broken, noData, noHost)
	state := providers.State(m.GetState())
	switch state {
	case providers.Running, providers.Stopped, providers.Suspended, providers.Partial:
	default:
		state = providers.Unknown
	}
	if broken != nil {
		state, broken = providers.Unknown, errors.New(text(broken.Error()))
	}
	return providers.Machine{
		ID: text(m.GetId()), Env: text(m.GetEnv()), Name: text(m.GetName()), State: state, SSH: text(m.GetSsh()), Address: text(m.GetAddress()),
		Ports: ports, Data: data, Labels: labels, Created: fromTime(m.GetCreated()), Host: host,
	}, broken
}

// unreadable stands for a label's value that breaks the rules. To leave the label out would say that it is absent, and a machine without a project is
// taken for anybody's.
const unreadable = "unreadable"

// readable is what of l keeps the rules: values that do not are unreadable, keys that do not are left out. Of more than MaxLabels the core's own stay,
// then the first by key.
func readable(l providers.Labels) providers.Labels {
	own := []string{
		providers.LabelProject, providers.LabelEnv, providers.LabelName, providers.LabelSpec, providers.LabelSize, providers.LabelPorts, providers.LabelImageKey, providers.LabelImageDigest,
		providers.LabelHostCA, providers.LabelOwner, providers.LabelCreated, providers.LabelExpires,
	}
	kept := providers.Labels{}
	for _, k := range append(own, slices.Sorted(maps.Keys(l))...) {
		v, there := l[k]
		switch {
		case !there || len(kept) == providers.MaxLabels || (providers.Labels{k: ""}).Validate() != nil:
		case (providers.Labels{k: v}).Validate() != nil:
			kept[k] = unreadable
		default:
			kept[k] = v
		}
	}
	return kept
}

func toEnv(e providers.EnvInfo) *proto.EnvInfo {
	return &proto.EnvInfo{
		Env: text(e.Env), Project: text(e.Project), Owner: text(e.Owner), Machines: int64(e.Machines), Partial: e.Partial,
		Data: each(e.Data, toDataDisk), Created: toTime(e.Created), Expires: toTime(e.Expires),
	}
}

func fromEnv(e *proto.EnvInfo) providers.EnvInfo {
	return providers.EnvInfo{
		Env: text(e.GetEnv()), Project: text(e.GetProject()), Owner: text(e.GetOwner()), Machines: int(e.GetMachines()), Partial: e.GetPartial(),
		Data: each(e.GetData(), fromDataDisk), Created: fromTime(e.GetCreated()), Expires: fromTime(e.GetExpires()),
	}
}

func toStoredImage(i providers.StoredImage) *proto.StoredImage {
	return &proto.StoredImage{Ref: text(string(i.Ref)), Key: text(i.Key), Size: i.Size, InUse: i.InUse}
}

func fromStoredImage(i *proto.StoredImage) providers.StoredImage {
	return providers.StoredImage{Ref: providers.ImageRef(text(i.GetRef())), Key: text(i.GetKey()), Size: i.GetSize(), InUse: i.GetInUse()}
}

func toFinding(f providers.Finding) *proto.Finding {
	return &proto.Finding{Ok: f.OK, What: text(f.What), Remedy: text(f.Remedy)}
}

func fromFinding(f *proto.Finding) providers.Finding {
	return providers.Finding{OK: f.GetOk(), What: text(f.GetWhat()), Remedy: text(f.GetRemedy())}
}

func toProblem(p providers.Problem) *proto.Problem {
	return &proto.Problem{
		Severity: text(string(p.Severity)), File: text(p.File), Line: int64(p.Line), Column: int64(p.Column), Source: text(p.Source),
		Path: text(p.Path), Message: text(p.Message), Hint: text(p.Hint),
	}
}

func fromProblem(p *proto.Problem) providers.Problem {
	return providers.Problem{
		Severity: problem.Severity(text(p.GetSeverity())), File: text(p.GetFile()), Line: int(p.GetLine()), Column: int(p.GetColumn()), Source: text(p.GetSource()),
		Path: text(p.GetPath()), Message: text(p.GetMessage()), Hint: text(p.GetHint()),
	}
}

func toEvent(e providers.Event) *proto.Event {
	return &proto.Event{Subject: text(e.Subject), Stage: text(e.Stage), Detail: text(e.Detail), Done: e.Done, Total: e.Total, Bytes: e.Bytes}
}

func fromEvent(e *proto.Event) providers.Event {
	return providers.Event{
		Subject: text(e.GetSubject()), Stage: text(e.GetStage()), Detail: text(e.GetDetail()), Done: e.GetDone(), Total: e.GetTotal(), Bytes: e.GetBytes(),
	}
}

func toTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromTime(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// each maps a slice; nil stays nil.
func each[A, B any](list []A, f func(A) B) []B {
	if list == nil {
		return nil
	}
	out := make([]B, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}
