// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin"
)

func journalConfig(t *testing.T) (json.RawMessage, func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal")
	b, err := json.Marshal(echoConfig{path})
	if err != nil {
		t.Fatal(err)
	}
	return b, func() string {
		b, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(b)
	}
}

// both runs f over the wire in memory and in a process of its own.
func both(t *testing.T, f func(t *testing.T, p providers.Provider, journal func() string)) {
	for name, get := range map[string]func(t *testing.T) providers.Plugin{
		"memory":  func(*testing.T) providers.Plugin { return plugin.InMemory(echo()) },
		"process": func(t *testing.T) providers.Plugin { return launch(t, "echo").Plugin },
	} {
		t.Run(name, func(t *testing.T) {
			config, journal := journalConfig(t)
			p, err := get(t).Open(t.Context(), config, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := p.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				if !strings.HasSuffix(journal(), "closed\n") {
					t.Errorf("the far provider was not closed; its journal: %q", journal())
				}
			})
			f(t, p, journal)
		})
	}
}

// install makes this test binary the plugins of these names.
func install(t *testing.T, names ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, n := range names {
		if err := os.Symlink(self, filepath.Join(dir, "env-provider-"+n)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv(plugin.EnvPath, dir)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector would have every plugin sleep for a second at its end
	t.Setenv("TMPDIR", shortTemp(t))
	return dir
}

// shortTemp is a folder that must be empty at the end: nothing of a plugin may stay.
func shortTemp(t *testing.T) string {
	dir, err := os.MkdirTemp("", "wire")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Errorf("something was left: %v", err)
			_ = os.RemoveAll(dir)
		}
	})
	return dir
}

func launch(t *testing.T, name string) *plugin.Launched {
	t.Helper()
	install(t, name)
	l, err := plugin.Launch(t.Context(), name, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

var spec = providers.Spec{
	Env: "shop.laptop", Name: "web-1", CPUs: 2, Memory: 512 << 20, Disk: 4 << 30, ImageKey: "key", Labels: providers.Labels{"project": "p q"},
	Data:    []providers.Data{{Name: "pg", Size: 1 << 40, Mount: "/var/lib/postgresql"}},
	Publish: []providers.Port{{Port: 80, Proto: "tcp", HostPort: 8080}},
	Seed: providers.Seed{
		Hostname: "web-1", HostKey: []byte("k\xff"), HostCertificate: []byte("c\xfe"), User: "evenkeel", AuthorizedKeys: []string{"a", "b"},
		Data: []providers.Mount{{Name: "pg", Mount: "/var/lib/postgresql"}},
	},
}

func same[T any](t *testing.T, what string, err error, got, want T) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	} else if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

func TestEveryCallCrosses(t *testing.T) {
	both(t, func(t *testing.T, p providers.Provider, journal func() string) {
		ctx := t.Context()
		problems, err := p.Check(ctx, spec)
		js, _ := json.Marshal(spec)
		same(t, "Check", err, problems, []providers.Problem{{Severity: problem.Note, File: "env.yaml", Line: 3, Column: 7, Source: "x: \uFFFD", Path: "machines.web", Message: string(js), Hint: "h"}})

		img := images.Image{Key: "k", Digest: "d", Recipe: "web", Release: "debian:12", Arch: "amd64", DiskSize: 7,
			Artefacts: map[images.Format]images.Artefact{images.Raw: {Path: "/p", Size: 9, SHA256: "s"}}}
		var stages []string
		ref, err := p.PutImage(ctx, img, func(e providers.Event) { stages = append(stages, e.Stage) })
		ji, _ := json.Marshal(img)
		same(t, "PutImage", err, string(ref), string(ji))
		same(t, "progress", nil, stages, []string{"s0", "s1", "s2"})

		want := machine
		want.ID = "ref"
		m, err := p.PutMachine(ctx, spec, "ref", nil)
		same(t, "PutMachine", err, m, want)
		list, err := p.ListMachines(ctx, "e")
		same(t, "ListMachines", err, list, []providers.Machine{machine, machine})
		envs, err := p.ListEnvs(ctx)
		same(t, "ListEnvs", err, envs, envInfos)
		same(t, "DeleteMachine", p.DeleteMachine(ctx, "a"), 0, 0)
		same(t, "DeleteEnv", p.DeleteEnv(ctx, "b", true), 0, 0)
		same(t, "journal", nil, journal(), "delete a\ndelete env btrue\n")
	})
}

func TestEveryAbilityCrosses(t *testing.T) {
	both(t, func(t *testing.T, p providers.Provider, journal func() string) {
		ctx := t.Context()
		starter, ok := providers.As[providers.Starter](p)
		same(t, "Starter", nil, ok, true)
		same(t, "StopMachine", starter.StopMachine(ctx, "a"), 0, 0)
		m, err := starter.StartMachine(ctx, "a")
		same(t, "StartMachine", err, m, machine)
		suspender, ok := providers.As[providers.Suspender](p)
		same(t, "Suspender", nil, ok, true)
		same(t, "SuspendMachine", suspender.SuspendMachine(ctx, "b"), 0, 0)
		m, err = suspender.ResumeMachine(ctx, "b")
		same(t, "ResumeMachine", err, m, machine)
		snapshotter, ok := providers.As[providers.Snapshotter](p)
		same(t, "Snapshotter", nil, ok, true)
		saved, err := snapshotter.SaveSnapshot(ctx, disk, "now")
		same(t, "SaveSnapshot", err, saved, snapshot)
		kept, err := snapshotter.ListSnapshots(ctx, "e")
		same(t, "ListSnapshots", err, kept, []providers.Snapshot{snapshot, {Name: "e"}})
		same(t, "RestoreSnapshot", snapshotter.RestoreSnapshot(ctx, disk, "now"), 0, 0)
		same(t, "DeleteSnapshot", snapshotter.DeleteSnapshot(ctx, disk, "now"), 0, 0)
		consoler, ok := providers.As[providers.Consoler](p)
		same(t, "Consoler", nil, ok, true)
		out, err := consoler.Console(ctx, "c", 4)
		same(t, "Console", err, string(out), "\xfe\n\xfe\n")
		out, err = consoler.Console(ctx, "c", 1<<40)
		same(t, "Console without bound", err, len(out), 8<<20)
		pruner, ok := providers.As[providers.ImagePruner](p)
		same(t, "ImagePruner", nil, ok, true)
		stored, err := pruner.ListImages(ctx)
		same(t, "ListImages", err, stored, []providers.StoredImage{{Ref: "r", Key: "k", Size: 5, InUse: true}})
		same(t, "DeleteImage", pruner.DeleteImage(ctx, "r"), 0, 0)
		doctor, ok := providers.As[providers.Doctor](p)
		same(t, "Doctor", nil, ok, true)
		findings, err := doctor.Diagnose(ctx)
		same(t, "Diagnose", err, findings, []providers.Finding{{OK: true, What: "w"}, {What: "x", Remedy: "y"}})
		same(t, "journal", nil, journal(), "stop a\nsuspend b\nsave {shop.ci db-1 pg}now\nrestore {shop.ci db-1 pg}now\ndelete {shop.ci db-1 pg}now\ndelete image r\n")
	})
}

func TestDialledStreamCarriesBytesAndEnds(t *testing.T) {
	both(t, func(t *testing.T, p providers.Provider, journal func() string) {
		d, ok := providers.As[providers.Dialer](p)
		same(t, "Dialer", nil, ok, true)
		if _, err := d.DialSSH(t.Context(), "none"); providers.CodeOf(err) != providers.NotFound {
			t.Errorf("got %v, want not found", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		conn, err := d.DialSSH(ctx, "web-1")
		if err != nil {
			t.Fatal(err)
		}
		cancel() // bounds the dialling only
		sent := bytes.Repeat([]byte("0123456789"), 30_000)
		go func() { _, _ = conn.Write(sent) }()
		got := make([]byte, len(sent))
		_, err = io.ReadFull(conn, got)
		same(t, "bytes", err, bytes.Equal(got, sent), true)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := conn.Read(got); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want a deadline", err)
		}
		same(t, "Close", conn.Close(), 0, 0)
		eventually(t, "the far side hangs up", func() bool { return strings.Contains(journal(), "hung up") })
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come to this: %s", what)
		}
	}
}

func TestErrorsKeepTheirCode(t *testing.T) {
	both(t, func(t *testing.T, p providers.Provider, _ func() string) {
		for _, code := range providers.Codes {
			_, err := p.ListMachines(t.Context(), string(code))
			e, ok := errors.AsType[*providers.Error](err)
			if !ok || e.Code != code || e.Hint != "hint" || e.Error() != "cannot list machines: cause \uFFFD" {
				t.Errorf("%s: got %#v", code, err)
			}
		}
		_, err := p.ListMachines(t.Context(), "plain")
		same(t, "plain code", nil, providers.CodeOf(err), providers.Internal)
		same(t, "plain", nil, err.Error(), "plain")
		_, err = p.ListMachines(t.Context(), "wrapped")
		same(t, "wrapped code", nil, providers.CodeOf(err), providers.Conflict)
		same(t, "wrapped", nil, err.Error(), "outside: cannot list x: inside")
	})
}

func TestPanicIsAnErrorAndTheProcessGoesOn(t *testing.T) {
	both(t, func(t *testing.T, p providers.Provider, _ func() string) {
		s := spec
		s.Name = "panic"
		_, err := p.PutMachine(t.Context(), s, "", nil)
		if providers.CodeOf(err) != providers.Internal || !strings.Contains(err.Error(), "on order") {
			t.Errorf("got %v", err)
		}
		_, err = p.ListEnvs(t.Context())
		same(t, "afterwards", err, 0, 0)
	})
}

func TestCancelledPutReturnsAfterUndo(t *testing.T) {
	both(t, func(t *testing.T, p providers.Provider, journal func() string) {
		s := spec
		s.Name = "slow"
		ctx, cancel := context.WithCancel(t.Context())
		_, err := p.PutMachine(ctx, s, "", func(providers.Event) { cancel() })
		if !errors.Is(err, context.Canceled) || providers.CodeOf(err) != providers.Unavailable {
			t.Errorf("got %v, want a cancelled one", err)
		}
		same(t, "journal when it returned", nil, journal(), "begun\nundone\n")

		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err = p.PutMachine(ctx, s, "", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err = p.ListMachines(ctx, "wait"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		eventually(t, "the far call is cancelled", func() bool { return strings.Contains(journal(), "list cancelled") })
	})
}

func TestACancelledPutIsOneWhicheverReasonItsProviderTells(t *testing.T) {
	both(t, func(t *testing.T, p providers.Provider, _ func() string) {
		s := spec
		s.Name = "cause"
		ctx, cancel := context.WithCancel(t.Context())
		_, err := p.PutMachine(ctx, s, "", func(providers.Event) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want a cancelled one", err)
		}
	})
}

func TestCancelledSnapshotReturnsAfterUndo(t *testing.T) {
	both(t, func(t *testing.T, p providers.Provider, journal func() string) {
		s := p.(providers.Snapshotter)
		for what, call := range map[string]func(context.Context, string) error{
			"save":    func(ctx context.Context, name string) error { _, err := s.SaveSnapshot(ctx, disk, name); return err },
			"restore": func(ctx context.Context, name string) error { return s.RestoreSnapshot(ctx, disk, name) },
		} {
			before, begun := strings.Count(journal(), "undone slow\n"), strings.Count(journal(), "begun slow\n")
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- call(ctx, "slow") }()
			eventually(t, what+" runs", func() bool { return strings.Count(journal(), "begun slow\n") > begun })
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) || providers.CodeOf(err) != providers.Unavailable {
				t.Errorf("%s: got %v, want a cancelled one", what, err)
			}
			same(t, what+": undone when it returned", nil, strings.Count(journal(), "undone slow\n"), before+1)
			err := call(t.Context(), "taken")
			same(t, what+": code", nil, providers.CodeOf(err), providers.Conflict)
			same(t, what+": text", nil, err.Error(), "cannot save snapshot taken: it exists")
		}
	})
}

func TestProgressFloodDoesNotBlock(t *testing.T) {
	both(t, func(t *testing.T, p providers.Provider, _ func() string) {
		s := spec
		s.Name = "flood"
		last := int64(-1)
		n := 0
		_, err := p.PutMachine(t.Context(), s, "ref", func(e providers.Event) {
			if e.Done <= last {
				t.Errorf("event %d came after %d", e.Done, last)
			}
			last = e.Done
			n++
			if n < 20 {
				time.Sleep(time.Millisecond)
			}
		})
		same(t, "the last event", err, last, 29_999)
	})
}

func TestInfoCrosses(t *testing.T) {
	l := launch(t, "echo")
	e := echo()
	same(t, "name", nil, l.Name, e.Name)
	same(t, "formats", nil, l.Formats, e.Formats)
	same(t, "traits", nil, l.Traits, e.Traits)
}

func TestAbilityThatIsMissingIsNotFound(t *testing.T) {
	p := echo()
	open := p.Open
	p.Open = func(ctx context.Context, c json.RawMessage, log hclog.Logger) (providers.Provider, error) {
		o, err := open(ctx, c, log)
		return struct{ providers.Provider }{o}, err
	}
	opened, err := plugin.InMemory(p).Open(t.Context(), json.RawMessage("{}"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if _, ok := providers.As[providers.Starter](opened); ok {
		t.Error("a Starter was found in a provider that is none")
	}
	err = opened.(providers.Starter).StopMachine(t.Context(), "a")
	same(t, "called all the same", nil, providers.CodeOf(err), providers.Unsupported)
}

func TestFindListsByNameAndTheFirstOfANameWins(t *testing.T) {
	dir := install(t, "zeta", "echo", "Bad_Name")
	second := t.TempDir()
	if err := os.WriteFile(filepath.Join(second, "env-provider-echo"), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv(plugin.EnvPath, dir+":"+second+":/none/such")
	found, err := plugin.Find()
	same(t, "Find", err, slices.Clone(found), []plugin.Found{{Name: "echo", Path: dir + "/env-provider-echo"}, {Name: "zeta", Path: dir + "/env-provider-zeta"}})
}
