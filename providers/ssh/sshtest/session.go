// SPDX-License-Identifier: Apache-2.0

package sshtest

import (
	"context"
	"io"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// session serves one session channel: what prepares it (env, terminal), the one command, then signals and sizes until it ends.
func (s *Server) session(ctx context.Context, user string, opening ssh.NewChannel) {
	ch, requests, err := opening.Accept()
	if err != nil {
		return
	}
	defer func() { _ = ch.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	signals, sizes := make(chan string, 8), make(chan [2]int, 1)
	se := &Session{User: user, Stdin: ch, Stdout: ch, Stderr: ch.Stderr(), Signals: signals}
	var command sync.WaitGroup
	defer command.Wait()
	defer cancel()
	started := false
	for r := range requests {
		var ok bool
		switch r.Type {
		case "env":
			var v struct{ Name, Value string }
			if ok = !started && ssh.Unmarshal(r.Payload, &v) == nil && len(se.Env) < 100; ok {
				se.Env = append(se.Env, v.Name+"="+v.Value)
			}
		case "pty-req":
			var v struct {
				Term                          string
				Width, Height, PixelW, PixelH uint32
				Modes                         string
			}
			if ok = !started && ssh.Unmarshal(r.Payload, &v) == nil; ok {
				se.TTY = &TTY{Term: v.Term, Width: int(v.Width), Height: int(v.Height), Resize: sizes}
			}
		case "window-change":
			var v struct{ Width, Height, PixelW, PixelH uint32 }
			if ok = se.TTY != nil && ssh.Unmarshal(r.Payload, &v) == nil; ok {
				latest(sizes, [2]int{int(v.Width), int(v.Height)})
			}
		case "signal":
			var v struct{ Name string }
			if ok = ssh.Unmarshal(r.Payload, &v) == nil; ok {
				select {
				case signals <- v.Name:
				default:
				}
			}
		case "exec", "shell":
			var v struct{ Line string }
			if ok = !started && (r.Type == "shell" || ssh.Unmarshal(r.Payload, &v) == nil); ok {
				started, se.Command = true, v.Line
			}
		default:
			ok = false
		}
		if r.WantReply {
			_ = r.Reply(ok, nil) // the channel ended otherwise, and so does the loop
		}
		if ok && (r.Type == "exec" || r.Type == "shell") {
			command.Go(func() { s.run(ctx, ch, se) })
		}
	}
}

// run runs the command, says how it ended and closes the channel, which ends session's loop.
func (s *Server) run(ctx context.Context, ch ssh.Channel, se *Session) {
	status := s.cfg.Exec(ctx, se)
	_ = ch.CloseWrite() // each of these fails only where the client is gone
	if se.ExitSignal != "" {
		_, _ = ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal     string
			Core       bool
			Error, Tag string
		}{Signal: strings.TrimPrefix(se.ExitSignal, "SIG")}))
	} else {
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
	}
	_ = ch.Close()
}

// latest puts size in place of one that nobody read.
func latest(sizes chan [2]int, size [2]int) {
	for {
		select {
		case sizes <- size:
			return
		default:
		}
		select {
		case <-sizes:
		default:
		}
	}
}

// forward serves one direct-tcpip channel.
func (s *Server) forward(ctx context.Context, opening ssh.NewChannel) {
	var to struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if s.cfg.Dial == nil {
		_ = opening.Reject(ssh.Prohibited, "forwarding is off")
		return
	}
	if err := ssh.Unmarshal(opening.ExtraData(), &to); err != nil {
		_ = opening.Reject(ssh.ConnectionFailed, "malformed request")
		return
	}
	conn, err := s.cfg.Dial(ctx, "tcp", joinHostPort(to.Host, to.Port))
	if err != nil {
		_ = opening.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer func() { _ = conn.Close() }()
	ch, requests, err := opening.Accept()
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = conn.Close(); _ = ch.Close() })()
	var rest sync.WaitGroup
	defer rest.Wait()
	defer func() { _ = ch.Close() }()
	rest.Go(func() { ssh.DiscardRequests(requests); cancel() }) // ends when the client closes the channel
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(conn, ch)
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	})
	_, _ = io.Copy(ch, conn)
	_ = ch.CloseWrite()
	up.Wait()
}
