// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers/plugin"
)

// shake reports how the handshake of the two went for each; of TLS 1.3 the client learns only at its first read that it was refused.
func shake(t *testing.T, client, server *tls.Config) (clientErr, serverErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			_, err = tls.Server(conn, server).Write([]byte{1})
		}
		done <- err
	}()
	conn, err := net.DialTimeout("tcp", l.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, clientErr = tls.Client(conn, client).Read(make([]byte, 1))
	return clientErr, <-done
}

func TestOnlyTheTwoSidesOfOneLaunchBelieveEachOther(t *testing.T) {
	client, server, err := plugin.Sides()
	if err != nil {
		t.Fatal(err)
	}
	strangeClient, strangeServer, err := plugin.Sides()
	if err != nil {
		t.Fatal(err)
	}
	if c, s := shake(t, client, server); c != nil || s != nil {
		t.Errorf("the two sides: client %v, server %v", c, s)
	}
	if _, s := shake(t, strangeClient, server); s == nil {
		t.Error("the plugin believed a client of another launch")
	}
	if c, _ := shake(t, client, strangeServer); c == nil {
		t.Error("the client believed a plugin of another launch")
	}
	bare := strangeClient.Clone()
	bare.Certificates, bare.InsecureSkipVerify = nil, true
	if _, s := shake(t, bare, server); s == nil || !strings.Contains(s.Error(), "certificate") {
		t.Errorf("a client without certificate: got %v, want a refusal", s)
	}
}

func TestPluginRunByHandSaysWhatItIsAndEnds(t *testing.T) {
	dir := install(t, "echo")
	silent, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	defer w.Close()
	for _, c := range []struct {
		name, cookie string
		stdin        *os.File // nil: /dev/null
		text         string
	}{
		{name: "shell"},
		{name: "cookie", cookie: "provider"},
		{name: "silence", cookie: "provider", stdin: silent},
		{name: "nonsense", cookie: "provider", text: "hello\n"},
		{name: "flood", cookie: "provider", text: strings.Repeat("x", 20_000)},
		{name: "null", cookie: "provider", text: "null\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "env-provider-echo"))
			cmd.Env = append(os.Environ(), "EVENKEEL_PLUGIN="+c.cookie)
			if c.stdin != nil {
				cmd.Stdin = c.stdin
			}
			if c.text != "" {
				cmd.Stdin = strings.NewReader(c.text)
			}
			begun := time.Now()
			out, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "there is nothing to do here by hand") {
				t.Errorf("got %v: %s", err, out)
			}
			if took := time.Since(begun); took > 30*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}
