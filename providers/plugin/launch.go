// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/evenkeel/evenkeel/providers"
)

// startTime bounds the way to the handshake, and from there to the first answer. A plugin needs some 20 ms; a program that is none may wait for ever.
const startTime = 10 * time.Second

// Launched is a running plugin process whose provider is not yet opened. Plugin.Open opens through it.
type Launched struct {
	providers.Plugin
	process *process
	wire    *goplugin.Client
	said    *lastLines
	folder  string // of the socket
	closing sync.Once
	err     error
}

// Launch starts the binary of the named provider. hold, where not nil, is an open file the process inherits, so that a lock on it lives as
// long as the plugin does. An unknown name is NotFound and lists the known ones. The process has our environment (a provider may need a
// cloud's variables); what it logs goes to log, under its name. It outlives ctx, which bounds the start only: call Close.
func Launch(ctx context.Context, name string, hold *os.File, log hclog.Logger) (*Launched, error) {
	return launch(ctx, name, hold, log, startTime)
}

func launch(ctx context.Context, name string, hold *os.File, log hclog.Logger, within time.Duration) (*Launched, error) {
	if !pluginName.MatchString(name) {
		return nil, &providers.Error{Code: providers.Invalid, Op: "start", Subject: "provider " + fmt.Sprintf("%q", name), Err: fmt.Errorf("a provider's name is like %s", pluginName)}
	}
	path, err := locate(name)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	log = log.Named(name)
	ours, theirs, err := newCredentials()
	if err != nil {
		return nil, err
	}
	secure, err := ours.config()
	if err != nil {
		return nil, err
	}
	first, err := theirs.line()
	if err != nil {
		return nil, err
	}
	l := &Launched{process: newProcess(path, first, hold), said: &lastLines{}}
	l.wire = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  handshake(),
		Plugins:          goplugin.PluginSet{pluginKey: &wire{}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		TLSConfig:        secure,
		StartTimeout:     within,
		Stderr:           l.said,
		SyncStderr:       l.said,
		Logger:           relayLogger{hclog.NewNullLogger(), log},
		GRPCDialOptions:  dialOptions(),
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: socketFolder()},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, folder string) (runner.Runner, error) {
			l.folder = folder
			l.process.cmd.Env = append(cmd.Env, envLogLevel+"="+log.GetLevel().String())
			return l.process, nil
		},
	})
	if err := l.start(ctx, name, log, within); err != nil {
		err = l.explain(ctx, err, path)
		l.kill()
		return nil, err
	}
	return l, nil
}

func (l *Launched) start(ctx context.Context, name string, log hclog.Logger, within time.Duration) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*within, fmt.Errorf("it does not answer within %s", 2*within))
	defer cancel()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	defer context.AfterFunc(ctx, l.process.kill)()
	l.Name = name
	protocol, err := l.wire.Client()
	if err != nil {
		return err
	}
	raw, err := protocol.Dispense(pluginKey)
	if err != nil {
		return err
	}
	if l.Plugin, err = connect(ctx, raw.(*grpc.ClientConn), name, l.gone, log); err != nil {
		return err
	}
	// There is but this connection. Its socket goes at once, so that even where both sides are killed nothing of it stays.
	if err := os.RemoveAll(l.folder); err != nil {
		return fmt.Errorf("cannot remove the plugin's socket: %w", err)
	}
	return nil
}

// explain says why the program at path did not become a plugin of ours.
func (l *Launched) explain(ctx context.Context, err error, path string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, ours := errors.AsType[*providers.Error](err); ours {
		return err
	}
	e := &providers.Error{Code: providers.Unsupported, Op: "start", Subject: "provider " + l.Name, Hint: "install evenkeel and its plugins from one build"}
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.Code, e.Err, e.Hint = providers.Denied, fmt.Errorf("%s cannot be executed", path), "chmod +x "+path
	case errors.Is(err, syscall.ENOEXEC):
		e.Err = fmt.Errorf("%s is no program for this computer", path)
	case l.process.cmd.Process == nil:
		e.Code, e.Err = providers.Unavailable, fmt.Errorf("%s does not start: %w", path, err)
	case l.process.ended(time.Second) && !l.process.killed(): // go-plugin kills what it does not understand
		e.Code, e.Err = providers.Unavailable, fmt.Errorf("%s ended before it said that it is a plugin of protocol %d: %w", path, ProtocolVersion, l.gone())
	default:
		e.Err = fmt.Errorf("%s is no plugin of protocol %d: %s%s", path, ProtocolVersion, strings.Join(strings.Fields(text(err.Error())), " "), l.said)
	}
	return e
}

// gone says how the process ended, with its last words. The connection breaks a moment before the process is seen to have ended.
func (l *Launched) gone() error {
	if !l.process.ended(time.Second) {
		return fmt.Errorf("its process does not answer%s", l.said)
	}
	how := "exit status 0"
	if l.process.state != nil {
		how = l.process.state.Error()
	}
	time.Sleep(drainTime / 10) // its last words are still on their way through go-plugin
	return fmt.Errorf("its process ended: %s%s", how, l.said)
}

// Close ends the process: stdin is closed, running Puts are cancelled and awaited (60 s), then it is killed. Closing again is success.
func (l *Launched) Close() error {
	l.closing.Do(func() {
		_ = l.process.stdin.Close() // it only tells
		if !l.process.ended(undoTime + 5*time.Second) {
			l.err = &providers.Error{Code: providers.Unavailable, Op: "stop", Subject: "provider " + l.Name, Err: errors.New("its process did not end and was killed")}
		}
		l.kill()
	})
	return l.err
}

// kill ends what is left: the process, go-plugin's goroutines, the socket's folder.
func (l *Launched) kill() {
	l.process.kill()
	if l.process.stdin != nil {
		_ = l.process.stdin.Close() // again, where Close closed it
	}
	l.wire.Kill()
	if l.folder != "" {
		_ = os.RemoveAll(l.folder) // where it did not come to a connection
	}
}

// socketFolder is where the socket's folder is made: the longest path of a socket is 108 bytes (unix(7)), of which go-plugin needs 40.
func socketFolder() string {
	if dir := os.TempDir(); len(dir) <= 60 {
		return dir
	}
	return "/tmp"
}

// relayLogger drops what go-plugin says of itself and passes on what the plugin says: go-plugin names the logger for that after the binary.
type relayLogger struct {
	hclog.Logger
	plugin hclog.Logger
}

func (r relayLogger) Named(name string) hclog.Logger {
	if strings.HasPrefix(name, prefix) {
		return r.plugin
	}
	return r.Logger
}

// lastLines keeps the last of what a process wrote to stderr.
type lastLines struct {
	mu   sync.Mutex
	kept []byte
}

const maxSaid = 2 << 10

func (l *lastLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, b...)
	if over := len(l.kept) - maxSaid; over > 0 {
		l.kept = append(l.kept[:0], l.kept[over:]...)
	}
	return len(b), nil
}

// String is "; it said:" and the lines, indented, or nothing. What it logged is in the log already.
func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var said strings.Builder
	for line := range strings.Lines(text(string(l.kept))) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, `{"@level"`) {
			said.WriteString("\n  " + line)
		}
	}
	if said.Len() == 0 {
		return ""
	}
	return "; it said:" + said.String()
}
