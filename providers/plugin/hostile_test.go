// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	pb "google.golang.org/protobuf/proto"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

// hostile answers with what it is told to, or with failure where that is set.
type hostile struct {
	proto.UnimplementedProviderServer
	fields   []string
	machines *proto.MachineList
	machine  *proto.Machine
	envs     *proto.EnvList
	check    *proto.CheckReply
	images   *proto.ImageList
	findings *proto.Diagnosis
	event    *proto.PutMachineReply
	failure  error
	deaf     bool // does not hear a cancel
	snapshot *proto.Snapshot
	kept     *proto.SnapshotList
}

func (h *hostile) Info(context.Context, *proto.InfoRequest) (*proto.InfoReply, error) {
	return &proto.InfoReply{Name: "hostile", SpecFields: h.fields}, nil
}

func (h *hostile) Open(context.Context, *proto.OpenRequest) (*proto.OpenReply, error) {
	return &proto.OpenReply{Session: 1, Abilities: []string{"ImagePruner", "Doctor", "Starter", "Snapshotter"}}, nil
}

func (h *hostile) ListMachines(context.Context, *proto.ListMachinesRequest) (*proto.MachineList, error) {
	return h.machines, h.failure
}
func (h *hostile) ListEnvs(context.Context, *proto.ListEnvsRequest) (*proto.EnvList, error) {
	return h.envs, h.failure
}
func (h *hostile) Check(context.Context, *proto.CheckRequest) (*proto.CheckReply, error) {
	return h.check, h.failure
}
func (h *hostile) ListImages(context.Context, *proto.ListImagesRequest) (*proto.ImageList, error) {
	return h.images, h.failure
}
func (h *hostile) Diagnose(context.Context, *proto.DiagnoseRequest) (*proto.Diagnosis, error) {
	return h.findings, h.failure
}
func (h *hostile) StartMachine(context.Context, *proto.MachineRequest) (*proto.Machine, error) {
	return h.machine, h.failure
}

func (h *hostile) ListSnapshots(context.Context, *proto.ListSnapshotsRequest) (*proto.SnapshotList, error) {
	return h.kept, h.failure
}

func (h *hostile) SaveSnapshot(stream grpc.BidiStreamingServer[proto.SnapshotRequest, proto.Snapshot]) error {
	if h.failure != nil {
		return h.failure
	}
	return stream.Send(h.snapshot)
}

// PutMachine sends its event, which may be a result or nothing, and ends.
func (h *hostile) PutMachine(stream grpc.BidiStreamingServer[proto.PutMachineRequest, proto.PutMachineReply]) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	if err := stream.Send(h.event); err != nil {
		return err
	}
	if h.deaf {
		<-stream.Context().Done()
	}
	return h.failure
}

func against(t testing.TB, h *hostile, undo time.Duration, log hclog.Logger) providers.Provider {
	t.Helper()
	if h.fields == nil {
		h.fields = plugin.SpecFields()
	}
	p, stop, err := plugin.Against(t.Context(), h, undo, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return p
}

func TestSpecFieldsThatThePluginDoesNotListAreRefused(t *testing.T) {
	h := &hostile{machine: &proto.Machine{Id: "a"}, check: &proto.CheckReply{}}
	h.event = &proto.PutMachineReply{Step: &proto.PutMachineReply_Machine{Machine: h.machine}}
	h.fields = slices.DeleteFunc(plugin.SpecFields(), func(f string) bool { return f == "publish.host_port" || f == "seed.user" })
	p := against(t, h, time.Second, nil)
	_, err := p.Check(t.Context(), spec)
	for _, call := range []string{"Check", "PutMachine"} {
		if providers.CodeOf(err) != providers.Unsupported || !strings.Contains(fmt.Sprint(err), "does not know: publish.host_port, seed.user") {
			t.Errorf("%s: got %v, want a refusal that names both fields", call, err)
		}
		_, err = p.PutMachine(t.Context(), spec, "", nil)
	}
	plain := spec
	plain.Seed.User, plain.Publish = "", []providers.Port{{Port: 80, Proto: "tcp"}}
	_, err = p.Check(t.Context(), plain)
	same(t, "Check of what uses neither", err, 0, 0)
	_, err = p.PutMachine(t.Context(), plain, "", nil)
	same(t, "PutMachine of what uses neither", err, 0, 0)
}

func TestPutThatDoesNotHearTheCancelIsGivenUp(t *testing.T) {
	h := &hostile{deaf: true, event: &proto.PutMachineReply{Step: &proto.PutMachineReply_Event{Event: &proto.Event{Stage: "create"}}}}
	p := against(t, h, 50*time.Millisecond, nil)
	ctx, cancel := context.WithCancel(t.Context())
	begun := time.Now()
	_, err := p.PutMachine(ctx, spec, "", func(providers.Event) { cancel() })
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Code != providers.Unavailable || !errors.Is(err, context.Canceled) || !strings.Contains(e.Hint, "gc") ||
		!strings.Contains(err.Error(), "did not undo its work within 50ms") {
		t.Errorf("got %#v: %v", err, err)
	}
	if took := time.Since(begun); took < 50*time.Millisecond || took > 30*time.Second {
		t.Errorf("it was given up after %v, want 50ms", took)
	}
}

func TestOneBadMachineIsListedAsUnknownBesideTheOthers(t *testing.T) {
	many := map[string]string{"owner": "me@here"}
	for i := range 20 {
		many[fmt.Sprint("a", i)] = "x"
	}
	good := &proto.Machine{Id: "1", Name: "good", State: "running", Labels: map[string]string{"project": "p"}}
	h := &hostile{machines: &proto.MachineList{Machines: []*proto.Machine{
		good,
		{Id: "2", Name: "label", State: "running", Labels: map[string]string{"project": strings.Repeat("x", 300), "owner": "me", "Bad Key": "x"}},
		{Id: "3", Name: "many", State: "running", Labels: many},
		{Id: "4", Name: "port", State: "running", Ports: []*proto.Port{{Port: 80, Proto: "tcp", HostPort: 70000}, {Port: 81, Proto: "tcp"}}},
		{Id: "5", Name: "state", State: "levitating"},
		{Id: "6", Name: "disk", State: "running", Data: []*proto.Attached{{Name: "pg", Device: "/dev/vda /\nx"}, {Name: "a b"}, {Name: "ok", Device: "/dev/vdb"}}},
	}}}
	var said bytes.Buffer
	p := against(t, h, time.Second, hclog.New(&hclog.LoggerOptions{Output: &said}))
	list, err := p.ListMachines(t.Context(), "e")
	if err != nil || len(list) != 6 {
		t.Fatalf("got %d machines, %v", len(list), err)
	}
	same(t, "good", nil, list[0], providers.Machine{ID: "1", Name: "good", State: providers.Running, Labels: providers.Labels{"project": "p"}})
	same(t, "label", nil, list[1], providers.Machine{ID: "2", Name: "label", State: providers.Unknown, Labels: providers.Labels{"project": "unreadable", "owner": "me"}})
	same(t, "many", nil, []any{list[2].State, len(list[2].Labels), list[2].Labels["owner"]}, []any{providers.Unknown, providers.MaxLabels, "me@here"})
	same(t, "port", nil, list[3], providers.Machine{ID: "4", Name: "port", State: providers.Unknown, Ports: []providers.Port{{Port: 81, Proto: "tcp"}}})
	same(t, "state", nil, list[4], providers.Machine{ID: "5", Name: "state", State: providers.Unknown})
	same(t, "disk", nil, list[5], providers.Machine{ID: "6", Name: "disk", State: providers.Unknown, Data: []providers.Attached{{Name: "ok", Device: "/dev/vdb"}}})
	if n := strings.Count(said.String(), "[WARN]"); n != 4 || !strings.Contains(said.String(), "machine=label") {
		t.Errorf("the log has %d warnings, want 4: %s", n, said.String())
	}

	h.machine = h.machines.Machines[1]
	if _, err := p.(providers.Starter).StartMachine(t.Context(), "2"); providers.CodeOf(err) != providers.Internal || !strings.Contains(err.Error(), "broke the contract") {
		t.Errorf("a machine that a call made: got %v, want a broken contract", err)
	}
	h.machines = &proto.MachineList{Machines: []*proto.Machine{good, {Name: "nameless"}}}
	if _, err := p.ListMachines(t.Context(), "e"); providers.CodeOf(err) != providers.Internal || !strings.Contains(err.Error(), "without ID") {
		t.Errorf("a machine without ID: got %v, want a broken contract", err)
	}
}

func TestOversizedMessagesAreExhausted(t *testing.T) {
	both(t, func(t *testing.T, p providers.Provider, _ func() string) {
		_, err := p.ListMachines(t.Context(), "huge")
		if providers.CodeOf(err) != providers.Exhausted || !strings.Contains(err.Error(), "larger than max") {
			t.Errorf("a reply: got %v", err)
		}
		big := spec
		big.Seed.HostKey = make([]byte, 17<<20)
		for _, call := range []func() error{
			func() error { _, err := p.Check(t.Context(), big); return err },
			func() error { _, err := p.PutMachine(t.Context(), big, "", nil); return err },
		} {
			if err := call(); providers.CodeOf(err) != providers.Exhausted || !strings.Contains(err.Error(), "larger than max") {
				t.Errorf("a request: got %v", err)
			}
		}
		_, err = p.ListMachines(t.Context(), "long error")
		if err == nil || len(err.Error()) > 2*plugin.MaxText || !strings.HasSuffix(err.Error(), "[cut]") {
			t.Errorf("an error of 1 MiB: got %d bytes", len(fmt.Sprint(err)))
		}
		_, err = p.ListEnvs(t.Context())
		same(t, "afterwards", err, 0, 0)
	})
}

// FuzzRepliesOfHostilePlugins gives the same bytes as every reply to every call. What comes out is bounded, readable, and keeps the contract.
func FuzzRepliesOfHostilePlugins(f *testing.F) {
	machine := &proto.Machine{Id: "1", Name: "web-1", State: "running", Labels: map[string]string{"project": "p", "Bad": "\n"}, Ports: []*proto.Port{{Port: -1, Proto: "x"}}}
	for _, m := range []pb.Message{
		&proto.MachineList{Machines: []*proto.Machine{machine}}, machine, &proto.EnvList{Envs: []*proto.EnvInfo{{Env: "a", Created: -1 << 63}}},
		&proto.CheckReply{Problems: []*proto.Problem{{Line: -1, Message: "m"}}}, &proto.ImageList{Images: []*proto.StoredImage{{Size: -1}}},
		&proto.Diagnosis{Findings: []*proto.Finding{{What: "x"}}}, &proto.Failure{Code: "nonsense", Ended: 99, Text: "t"}, &proto.Failure{},
		&proto.PutMachineReply{Step: &proto.PutMachineReply_Event{}}, &proto.PutMachineReply{},
		&proto.SnapshotList{Snapshots: []*proto.Snapshot{{Name: "n", Taken: -1, Disk: &proto.DataRef{Env: "e"}}}}, &proto.Snapshot{Size: -1},
		&proto.Machine{Id: "1", Data: []*proto.Attached{{Name: "pg", Device: "/etc/passwd"}}},
	} {
		b, err := pb.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h := &hostile{
			machines: as[proto.MachineList](b), machine: as[proto.Machine](b), envs: as[proto.EnvList](b), check: as[proto.CheckReply](b),
			images: as[proto.ImageList](b), findings: as[proto.Diagnosis](b), event: as[proto.PutMachineReply](b),
			snapshot: as[proto.Snapshot](b), kept: as[proto.SnapshotList](b),
		}
		p := against(t, h, time.Second, hclog.New(&hclog.LoggerOptions{Output: io.Discard}))
		play(t, p)
		s, err := status.New(codes.Unknown, "").WithDetails(as[proto.Failure](b))
		if err != nil {
			return // not to be sent
		}
		h.failure = s.Err()
		play(t, p)
	})
}

// as reads b as a T as far as that goes.
func as[T any, P interface {
	*T
	pb.Message
}](b []byte) P {
	m := P(new(T))
	if pb.Unmarshal(b, m) != nil {
		return P(new(T))
	}
	return m
}

func play(t *testing.T, p providers.Provider) {
	t.Helper()
	ctx := t.Context()
	list, err := p.ListMachines(ctx, "e")
	checkError(t, err)
	m, err := p.(providers.Starter).StartMachine(ctx, "a")
	checkError(t, err)
	if err == nil {
		list = append(list, m)
	}
	m, err = p.PutMachine(ctx, spec, "", func(e providers.Event) { checkText(t, e.Subject, e.Stage, e.Detail) })
	checkError(t, err)
	if err == nil {
		list = append(list, m)
	}
	for _, m := range list {
		checkText(t, m.ID, m.Env, m.Name, m.SSH, m.Address)
		if err := m.Labels.Validate(); err != nil || m.ID == "" {
			t.Errorf("machine %+v: %v", m, err)
		}
		if !slices.Contains([]providers.State{providers.Running, providers.Stopped, providers.Suspended, providers.Partial, providers.Unknown}, m.State) {
			t.Errorf("state %q", m.State)
		}
		for _, d := range m.Data {
			if strings.ContainsAny(d.Name+d.Device, " \n\t") {
				t.Errorf("data disk %+v", d)
			}
		}
		for _, p := range m.Ports {
			if p.Port < 1 || p.Port > 65535 || p.HostPort < 0 || p.HostPort > 65535 || p.Proto != "tcp" && p.Proto != "udp" {
				t.Errorf("port %+v", p)
			}
		}
	}
	envs, err := p.ListEnvs(ctx)
	checkError(t, err)
	for _, e := range envs {
		checkText(t, e.Env, e.Project, e.Owner)
	}
	kept, err := p.(providers.Snapshotter).ListSnapshots(ctx, "e")
	checkError(t, err)
	s, err := p.(providers.Snapshotter).SaveSnapshot(ctx, disk, "n")
	checkError(t, err)
	for _, s := range append(kept, s) {
		checkText(t, s.Name, s.Disk.Env, s.Disk.Machine, s.Disk.Name)
	}
	problems, err := p.Check(ctx, spec)
	checkError(t, err)
	for _, p := range problems {
		checkText(t, string(p.Severity), p.File, p.Source, p.Path, p.Message, p.Hint)
	}
	stored, err := p.(providers.ImagePruner).ListImages(ctx)
	checkError(t, err)
	for _, i := range stored {
		checkText(t, string(i.Ref), i.Key)
	}
	findings, err := p.(providers.Doctor).Diagnose(ctx)
	checkError(t, err)
	for _, f := range findings {
		checkText(t, f.What, f.Remedy)
	}
	if _, err := p.PutImage(ctx, images.Image{}, nil); err == nil {
		t.Error("PutImage, which it does not know, succeeded")
	}
}

func checkText(t *testing.T, list ...string) {
	t.Helper()
	for _, s := range list {
		if !utf8.ValidString(s) || len(s) > plugin.MaxText+len(" [cut]") {
			t.Errorf("%d bytes of text, valid: %t", len(s), utf8.ValidString(s))
		}
	}
}

// checkError wants of an error a code of the set and a text to be shown.
func checkError(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if !slices.Contains(providers.Codes, providers.CodeOf(err)) || !utf8.ValidString(err.Error()) || err.Error() == "" || len(err.Error()) > 4*plugin.MaxText {
		t.Errorf("error of code %q: %q", providers.CodeOf(err), err)
	}
}
