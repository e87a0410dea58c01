// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin"
)

func TestWhatIsNoPluginIsRefusedQuicklyAndReadably(t *testing.T) {
	dir := install(t, "crash", "older", "other", "echo")
	write := func(name, content string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "env-provider-"+name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("plain", "hello", 0o600)
	write("garbage", "\x00\x01\x02", 0o700)
	write("chatty", "#!/bin/sh\necho hello; echo 'and a word' >&2; exec sleep 60\n", 0o700)
	write("elsewhere", "#!/none/such\n", 0o700)
	for _, c := range []struct {
		name string
		code providers.Code
		want []string
	}{
		{"Bad_Name", providers.Invalid, []string{`"Bad_Name"`, "[a-z]"}},
		{"ech", providers.NotFound, []string{"chatty, crash, echo", dir}},
		{"plain", providers.Denied, []string{"cannot be executed"}},
		{"garbage", providers.Unsupported, []string{"no program for this computer"}},
		{"elsewhere", providers.Unavailable, []string{"does not start"}},
		{"crash", providers.Unavailable, []string{"exit status 3", "no libfoo.so.3"}},
		{"older", providers.Unsupported, []string{"99", "protocol 1"}},
		{"chatty", providers.Unsupported, []string{"hello"}},
		{"other", providers.Invalid, []string{`says that it is "somebody"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			begun := time.Now()
			l, err := plugin.Launch(t.Context(), c.name, nil, nil)
			if err == nil {
				_ = l.Close()
				t.Fatal("it was launched")
			}
			if got := providers.CodeOf(err); got != c.code {
				t.Errorf("code: got %s, want %s", got, c.code)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in %q", w, err)
				}
			}
			if d := time.Since(begun); d > 30*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

func TestLaunchThatHangsEndsWithItsContext(t *testing.T) {
	install(t, "hang")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := plugin.Launch(ctx, "hang", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}

func TestPluginThatSaysNothingAfterTheHandshakeIsGivenUp(t *testing.T) {
	install(t, "mute")
	begun := time.Now()
	l, err := plugin.LaunchWithin(t.Context(), "mute", 300*time.Millisecond)
	if err == nil {
		_ = l.Close()
		t.Fatal("it was launched")
	}
	if providers.CodeOf(err) != providers.Unsupported || !strings.Contains(err.Error(), "does not answer within 600ms") {
		t.Errorf("got %v, want that it does not answer", err)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}

func open(t *testing.T, l *plugin.Launched) (providers.Provider, func() string) {
	t.Helper()
	config, journal := journalConfig(t)
	p, err := l.Open(t.Context(), config, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p, journal
}

func TestDeadProcessIsUnavailableWithItsLastWords(t *testing.T) {
	p, _ := open(t, launch(t, "echo"))
	s := spec
	s.Name = "die"
	_, err := p.PutMachine(t.Context(), s, "", nil)
	for range 2 {
		if providers.CodeOf(err) != providers.Unavailable || !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(err.Error(), "the ground is gone") {
			t.Errorf("got %v", err)
		}
		_, err = p.ListEnvs(t.Context())
	}
}

func TestCloseUndoesWhatRuns(t *testing.T) {
	l := launch(t, "echo")
	p, journal := open(t, l)
	s := spec
	s.Name = "slow"
	result := make(chan error, 1)
	go func() {
		_, err := p.PutMachine(t.Context(), s, "", nil)
		result <- err
	}()
	eventually(t, "it runs", func() bool { return journal() != "" })
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	same(t, "journal", nil, journal(), "begun\nundone\nclosed\n")
	if err := <-result; providers.CodeOf(err) != providers.Unavailable {
		t.Errorf("got %v, want unavailable", err)
	}
}

func TestPluginLogsReachTheHost(t *testing.T) {
	install(t, "echo")
	var out bytes.Buffer
	l, err := plugin.Launch(t.Context(), "echo", nil, hclog.New(&hclog.LoggerOptions{Output: &out, Level: hclog.Info, Name: "evenkeel"}))
	if err != nil {
		t.Fatal(err)
	}
	open(t, l)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if got := out.String(); !strings.Contains(got, "[INFO]  evenkeel.echo: opened: journal=") || strings.Count(got, "\n") != 1 {
		t.Errorf("log: got %q", got)
	}
}

func TestHeldLockLivesAsLongAsThePlugin(t *testing.T) {
	install(t, "echo")
	path := filepath.Join(t.TempDir(), "lock")
	lock := func() *os.File {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			_ = f.Close()
			return nil
		}
		return f
	}
	held := lock()
	l, err := plugin.Launch(t.Context(), "echo", held, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = held.Close()
	if again := lock(); again != nil {
		t.Error("the lock was free while the plugin lived")
		_ = again.Close()
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	again := lock()
	if again == nil {
		t.Fatal("the lock was held after the plugin ended")
	}
	_ = again.Close()
}

func TestRunningPluginLeavesNothingToCleanUp(t *testing.T) {
	p, _ := open(t, launch(t, "echo"))
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) != 0 { // so that kill -9 of both sides leaves nothing either
		t.Errorf("while it runs the folder of temporary files holds %v, %v", left, err)
	}
	_, err = p.ListEnvs(t.Context())
	same(t, "ListEnvs", err, 0, 0)
}

func TestTwoOpensOnOneProcessAreTwoProviders(t *testing.T) {
	l := launch(t, "echo")
	first, firstJournal := open(t, l)
	second, secondJournal := open(t, l)
	same(t, "first", first.DeleteMachine(t.Context(), "a"), 0, 0)
	same(t, "second", second.DeleteMachine(t.Context(), "b"), 0, 0)
	same(t, "Close of the first", first.Close(), 0, 0)
	if err := first.DeleteMachine(t.Context(), "c"); providers.CodeOf(err) != providers.Invalid || !strings.Contains(err.Error(), "closed") {
		t.Errorf("use of the closed one: got %v", err)
	}
	same(t, "Close again", first.Close(), 0, 0)
	same(t, "second after that", second.DeleteMachine(t.Context(), "d"), 0, 0)
	same(t, "Close of the process", l.Close(), 0, 0)
	same(t, "journal of the first", nil, firstJournal(), "delete a\nclosed\n")
	same(t, "journal of the second", nil, secondJournal(), "delete b\ndelete d\nclosed\n")
}

const clientOf = "EVENKEEL_TEST_CLIENT_OF"

// playClient is the client that is killed: it puts a machine, which never ends.
func playClient(journal string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // long killed by then
	defer cancel()
	l, err := plugin.Launch(ctx, "echo", nil, hclog.New(&hclog.LoggerOptions{Output: os.Stderr}))
	if err != nil {
		return err
	}
	config, err := json.Marshal(echoConfig{journal})
	if err != nil {
		return err
	}
	p, err := l.Open(ctx, config, nil)
	if err != nil {
		return err
	}
	s := spec
	s.Name = "slow"
	_, err = p.PutMachine(ctx, s, "", nil)
	return errors.Join(errors.New("the put ended"), err)
}

func TestKilledClientLeavesAPluginThatUndoesAndEnds(t *testing.T) {
	install(t, "echo") // its cleanup sees that the socket is gone too
	journal := filepath.Join(t.TempDir(), "journal")
	client := exec.Command(os.Args[0])
	client.Env = append(os.Environ(), clientOf+"="+journal)
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	read := func() string {
		b, _ := os.ReadFile(journal)
		return string(b)
	}
	eventually(t, "a put runs", func() bool { return read() == "begun\n" })
	if err := client.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = client.Wait()
	eventually(t, "the plugin undid and closed", func() bool { return read() == "begun\nundone\nclosed\n" })
	eventually(t, "its socket is gone", func() bool {
		left, err := os.ReadDir(os.TempDir())
		return err == nil && len(left) == 0
	})
}

// BenchmarkLaunch is what every verb pays: start, handshake, open, one list, close.
func BenchmarkLaunch(b *testing.B) {
	dir := b.TempDir()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "env-provider-echo")); err != nil {
		b.Fatal(err)
	}
	b.Setenv(plugin.EnvPath, dir)
	var start, use, end time.Duration
	for b.Loop() {
		t0 := time.Now()
		l, err := plugin.Launch(b.Context(), "echo", nil, nil)
		if err != nil {
			b.Fatal(err)
		}
		t1 := time.Now()
		p, err := l.Open(b.Context(), json.RawMessage("{}"), nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.ListMachines(b.Context(), "e"); err != nil {
			b.Fatal(err)
		}
		t2 := time.Now()
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		start, use, end = start+t1.Sub(t0), use+t2.Sub(t1), end+time.Since(t2)
	}
	per := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(b.N) }
	b.ReportMetric(per(start), "ms-launch")
	b.ReportMetric(per(use), "ms-open+list")
	b.ReportMetric(per(end), "ms-close")
}
