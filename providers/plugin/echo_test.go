// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/providers"
)

// echo is a provider that gives back what it got, and behaves badly on order: names of machines and environments are its commands.
func echo() providers.Plugin {
	return providers.Plugin{
		Name: "echo", Formats: []images.Format{images.QCOW2, images.Kernel}, Traits: providers.Traits{Local: true, HostKernel: true, ReadOnly: true},
		Open: func(_ context.Context, config json.RawMessage, log hclog.Logger) (providers.Provider, error) {
			var c echoConfig
			if err := json.Unmarshal(config, &c); err != nil {
				return nil, &providers.Error{Code: providers.Invalid, Op: "open", Subject: "provider echo", Err: err}
			}
			log.Info("opened", "journal", c.Journal)
			return &echoProvider{echoConfig: c, log: log}, nil
		},
	}
}

type echoConfig struct {
	Journal string `json:"journal"` // file that notes what was done
}

type echoProvider struct {
	echoConfig
	log hclog.Logger
	mu  sync.Mutex
}

var (
	created = time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC)
	machine = providers.Machine{
		ID: "id-1", Env: "shop.laptop", Name: "web-1", State: providers.Running, SSH: "127.0.0.1:2222", Address: "10.1.2.3",
		Ports:  []providers.Port{{Port: 80, Proto: "tcp", HostPort: 8080}},
		Data:   []providers.Attached{{Name: "pg", Device: "/dev/disk/by-id/virtio-ek-pg"}, {Name: "inside"}},
		Labels: providers.Labels{"project": "7f3a9c", "host-ca": "ssh-ed25519 AAAA/+="}, Created: created,
	}
)

var (
	disk     = providers.DataRef{Env: "shop.ci", Machine: "db-1", Name: "pg"}
	snapshot = providers.Snapshot{Disk: disk, Name: "20261121t150000z", Taken: created, Size: 7 << 30}
	envInfos = []providers.EnvInfo{{
		Env: "shop.ci", Project: "p", Owner: "o", Machines: 2, Partial: true, Created: created, Expires: created.Add(time.Hour),
		Data: []providers.DataDisk{{DataRef: disk, Size: 2 << 40}},
	}, {Env: "b.c"}}
)

func (p *echoProvider) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, err := os.OpenFile(p.Journal, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintln(f, line)
}

func (p *echoProvider) Check(_ context.Context, s providers.Spec) ([]providers.Problem, error) {
	b, err := json.Marshal(s)
	return []providers.Problem{{Severity: problem.Note, File: "env.yaml", Line: 3, Column: 7, Source: "x: \xff", Path: "machines.web", Message: string(b), Hint: "h"}}, err
}

func (p *echoProvider) PutImage(_ context.Context, img images.Image, progress providers.Progress) (providers.ImageRef, error) {
	b, err := json.Marshal(img)
	for i := range 3 {
		progress.Emit(providers.Event{Subject: "web", Stage: fmt.Sprint("s", i), Detail: "d", Done: int64(i), Total: 3, Bytes: true})
	}
	return providers.ImageRef(b), err
}

func (p *echoProvider) PutMachine(ctx context.Context, s providers.Spec, img providers.ImageRef, progress providers.Progress) (providers.Machine, error) {
	switch s.Name {
	case "panic":
		panic("on order")
	case "flood":
		for i := range 30_000 {
			progress.Emit(providers.Event{Subject: "flood", Stage: fmt.Sprint(i % 7), Done: int64(i)})
		}
	case "slow":
		progress.Emit(providers.Event{Subject: "slow", Stage: "create"})
		p.note("begun")
		<-ctx.Done()
		time.Sleep(300 * time.Millisecond)
		p.log.Warn("undoing", "cause", ctx.Err()) // the first word after the client's death must not be the last
		p.note("undone")
		return providers.Machine{}, &providers.Error{Code: providers.Unavailable, Op: "create", Subject: "machine slow", Err: ctx.Err()}
	case "cause": // what libraries return, such as net/http
		progress.Emit(providers.Event{Subject: "cause", Stage: "create"})
		<-ctx.Done()
		return providers.Machine{}, &providers.Error{Code: providers.Unavailable, Op: "create", Subject: "machine cause", Err: context.Cause(ctx)}
	case "die":
		println("fatal: the ground is gone") // as the runtime does: to descriptor 2, whatever os.Stderr is
		os.Exit(7)
	}
	m := machine
	m.Name, m.ID = s.Name, string(img)
	return m, nil
}

func (p *echoProvider) ListMachines(ctx context.Context, env string) ([]providers.Machine, error) {
	if env == "wait" {
		<-ctx.Done()
		p.note("list cancelled")
		return nil, ctx.Err()
	}
	if code := providers.Code(env); slices.Contains(providers.Codes, code) {
		return nil, &providers.Error{Code: code, Op: "list", Subject: "machines", Hint: "hint", Err: errors.New("cause \xff")}
	}
	switch env {
	case "plain":
		return nil, errors.New("plain")
	case "wrapped":
		return nil, fmt.Errorf("outside: %w", &providers.Error{Code: providers.Conflict, Op: "list", Subject: "x", Err: errors.New("inside")})
	case "long error":
		return nil, errors.New(strings.Repeat("x", 1<<20))
	case "huge":
		m := machine
		m.Address = strings.Repeat("x", 10_000)
		return slices.Repeat([]providers.Machine{m}, 2_000), nil
	}
	return []providers.Machine{machine, machine}, nil
}

func (p *echoProvider) ListEnvs(context.Context) ([]providers.EnvInfo, error) {
	return envInfos, nil
}
func (p *echoProvider) DeleteMachine(_ context.Context, id string) error {
	p.note("delete " + id)
	return nil
}
func (p *echoProvider) DeleteEnv(_ context.Context, env string, keep bool) error {
	p.note(fmt.Sprint("delete env ", env, keep))
	return nil
}
func (p *echoProvider) Close() error { p.note("closed"); return nil }

func (p *echoProvider) StopMachine(_ context.Context, id string) error {
	p.note("stop " + id)
	return nil
}
func (p *echoProvider) StartMachine(_ context.Context, id string) (providers.Machine, error) {
	return machine, nil
}
func (p *echoProvider) SuspendMachine(_ context.Context, id string) error {
	p.note("suspend " + id)
	return nil
}
func (p *echoProvider) ResumeMachine(_ context.Context, id string) (providers.Machine, error) {
	return machine, nil
}
func (p *echoProvider) SaveSnapshot(ctx context.Context, d providers.DataRef, name string) (providers.Snapshot, error) {
	if err := p.slowly(ctx, name); err != nil {
		return providers.Snapshot{}, err
	}
	p.note(fmt.Sprint("save ", d, name))
	return snapshot, nil
}
func (p *echoProvider) ListSnapshots(_ context.Context, env string) ([]providers.Snapshot, error) {
	return []providers.Snapshot{snapshot, {Name: env}}, nil
}
func (p *echoProvider) RestoreSnapshot(ctx context.Context, d providers.DataRef, name string) error {
	p.note(fmt.Sprint("restore ", d, name))
	return p.slowly(ctx, name)
}
func (p *echoProvider) DeleteSnapshot(_ context.Context, d providers.DataRef, name string) error {
	p.note(fmt.Sprint("delete ", d, name))
	return nil
}

// slowly is a call that is named slow: it goes on until it is cancelled, then undoes.
func (p *echoProvider) slowly(ctx context.Context, name string) error {
	switch name {
	case "slow":
		p.note("begun " + name)
		<-ctx.Done()
		time.Sleep(100 * time.Millisecond)
		p.note("undone " + name)
		return &providers.Error{Code: providers.Unavailable, Op: "save", Subject: name, Err: ctx.Err()}
	case "taken":
		return &providers.Error{Code: providers.Conflict, Op: "save", Subject: "snapshot taken", Err: errors.New("it exists")}
	}
	return nil
}
func (p *echoProvider) Console(_ context.Context, id string, max int64) ([]byte, error) {
	return []byte(strings.Repeat("\xfe\n", int(max))), nil // more than was asked for
}
func (p *echoProvider) ListImages(context.Context) ([]providers.StoredImage, error) {
	return []providers.StoredImage{{Ref: "r", Key: "k", Size: 5, InUse: true}}, nil
}
func (p *echoProvider) DeleteImage(_ context.Context, ref providers.ImageRef) error {
	p.note("delete image " + string(ref))
	return nil
}
func (p *echoProvider) Diagnose(context.Context) ([]providers.Finding, error) {
	return []providers.Finding{{OK: true, What: "w"}, {What: "x", Remedy: "y"}}, nil
}

// DialSSH answers each byte by itself.
func (p *echoProvider) DialSSH(_ context.Context, id string) (net.Conn, error) {
	if id == "none" {
		return nil, &providers.Error{Code: providers.NotFound, Op: "dial", Subject: id}
	}
	near, far := net.Pipe()
	go func() {
		b := make([]byte, 1000)
		for {
			n, err := far.Read(b)
			if err != nil {
				p.note("hung up")
				return
			}
			_, _ = far.Write(b[:n])
		}
	}()
	return near, nil
}
