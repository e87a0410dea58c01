// SPDX-License-Identifier: Apache-2.0

package docker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/docker"
)

// daemonOf is a stand-in that answers requests by method and path, without the API's version, on a socket of its own. Every other request finds nothing there.
func daemonOf(t *testing.T, api string, answers map[string]string) json.RawMessage {
	t.Helper()
	return daemonAt(t, api, func(w http.ResponseWriter, request string) {
		answer, ok := answers[request]
		switch {
		case !ok:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintf(w, `{"message": "no answer to %s"}`, request)
		case strings.HasPrefix(answer, "!"): // a failure
			w.WriteHeader(http.StatusInternalServerError)
			_ = json.NewEncoder(w).Encode(map[string]string{"message": answer[1:]})
		default:
			fmt.Fprint(w, answer)
		}
	})
}

// daemonAt is a stand-in that answers what it is asked: "GET /info", say.
func daemonAt(t *testing.T, api string, answer func(w http.ResponseWriter, request string)) json.RawMessage {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "d.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", api)
		w.Header().Set("Ostype", "linux")
		w.Header().Set("Content-Type", "application/json")
		if path := strings.TrimPrefix(r.URL.Path, "/v"+api); path != "/_ping" {
			answer(w, r.Method+" "+path)
		}
	})}}
	s.Start()
	t.Cleanup(s.Close)
	return json.RawMessage(`{"host": "unix://` + socket + `"}`)
}

func TestDaemonThatIsTooOldIsRefused(t *testing.T) {
	_, err := docker.Plugin().Open(t.Context(), daemonOf(t, "1.40", nil), nil)
	if wantError(t, err, providers.Unsupported, "1.40", "20.10") == "" {
		t.Error("no hint says what to do")
	}
}

func TestDaemonThatIsAbsentIsUnavailable(t *testing.T) {
	config := json.RawMessage(`{"host": "unix://` + filepath.Join(t.TempDir(), "none.sock") + `"}`)
	_, err := docker.Plugin().Open(t.Context(), config, nil)
	if hint := wantError(t, err, providers.Unavailable, "none.sock"); !strings.Contains(hint, "docker.io") {
		t.Errorf("got hint %q, want what to install", hint)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	_, err = docker.Plugin().Open(t.Context(), json.RawMessage(`{"host": "tcp://`+l.Addr().String()+`"}`), nil)
	wantError(t, err, providers.Unavailable, l.Addr().String())
}

// wantError wants a provider's error, and returns its hint.
func wantError(t *testing.T, err error, code providers.Code, words ...string) (hint string) {
	t.Helper()
	e, ok := err.(*providers.Error) //nolint:errorlint // what a provider returns is one, not something around it
	if !ok || e.Code != code {
		t.Errorf("got %T %v, want code %q", err, err, code)
		return ""
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("got %q, want it to say %q", err, w)
		}
	}
	return e.Hint
}

const (
	computer = `{"MemTotal": 8589934592, "NCPU": 4, "MemoryLimit": true, "CpuSet": true, "CgroupVersion": "1", "Architecture": "x86_64"}`
	noOne    = `[]`
)

func emptyPlace(more map[string]string) map[string]string {
	answers := map[string]string{
		"GET /info": computer, "GET /containers/json": noOne, "GET /networks": noOne, "GET /volumes": `{"Volumes": []}`, "GET /images/json": noOne,
	}
	for k, v := range more {
		answers[k] = v
	}
	return answers
}

func TestWhatTheDaemonCannotDoIsSaidBeforehand(t *testing.T) {
	for what, c := range map[string]struct {
		answers map[string]string
		change  func(*providers.Spec)
		want    string
	}{
		"too much memory":     {nil, func(s *providers.Spec) { s.Memory = 16 << 30 }, "docker's computer has 8192 MiB"},
		"too many processors": {nil, func(s *providers.Spec) { s.CPUs = 5 }, "docker's computer has 4"},
		"no limits without root, version 1": {map[string]string{"GET /info": `{"NCPU": 4, "MemTotal": 8589934592, "CgroupVersion": "1", "CgroupDriver": "none", "SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}`},
			func(*providers.Spec) {}, "without root, which control groups of version 1 give nothing to"},
		"not delegated": {map[string]string{"GET /info": `{"NCPU": 4, "MemTotal": 8589934592, "MemoryLimit": true, "CgroupVersion": "2", "CgroupDriver": "systemd", "SecurityOptions": ["name=rootless"]}`},
			func(*providers.Spec) {}, "its user was not given the control groups cpuset"},
		"no limits":              {map[string]string{"GET /info": `{"NCPU": 4, "MemTotal": 8589934592, "CgroupVersion": "2"}`}, func(*providers.Spec) {}, "cannot limit"},
		"another processor":      {map[string]string{"GET /info": strings.Replace(computer, "x86_64", "aarch64", 1)}, func(*providers.Spec) {}, "docker's computer is arm64"},
		"a systemd that refuses": {map[string]string{"GET /images/json": `[{"Id": "sha256:00", "Labels": {"com.github.evenkeel.systemd": "257.8-1"}}]`}, func(*providers.Spec) {}, "systemd 257.8-1 does not start"},
		"a systemd that refuses, before its image is built": {nil, func(s *providers.Spec) { s.Systemd = "257.9-1~deb13u1" }, "systemd 257.9-1~deb13u1 does not start"},
		"a port that is taken": {map[string]string{"GET /containers/json": `[{"Id": "aa", "Labels": {"com.github.evenkeel.kind": "forwards", "com.github.evenkeel.machine": "bb", "com.github.evenkeel.ports": "80/tcp=8080!"}}]`},
			func(s *providers.Spec) { s.Publish = []providers.Port{{Port: 80, Proto: "tcp", HostPort: 8080}} }, "belongs to another machine"},
	} {
		p, err := docker.Plugin().Open(t.Context(), daemonOf(t, "1.41", emptyPlace(c.answers)), nil)
		if err != nil {
			t.Fatal(err)
		}
		spec := someSpec()
		c.change(&spec)
		problems, err := p.Check(t.Context(), spec)
		if err != nil || len(problems) != 1 || !strings.Contains(problems[0].Message, c.want) || problems[0].Hint == "" {
			t.Errorf("%s: got %+v, %v, want one problem that says %q and what to do", what, problems, err, c.want)
		}
		_ = p.Close()
	}
}

// TestFailuresOfTheDaemonHaveACode: it answers most with one status, so that only its words tell.
func TestFailuresOfTheDaemonHaveACode(t *testing.T) {
	for said, code := range map[string]providers.Code{
		"write /var/lib/docker/x: no space left on device": providers.Exhausted,
		"fork/exec /proc/self/exe: cannot allocate memory": providers.Exhausted,
		"something else": providers.Internal,
	} {
		p, err := docker.Plugin().Open(t.Context(), daemonOf(t, "1.41", emptyPlace(map[string]string{"GET /containers/json": "!" + said})), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.ListMachines(t.Context(), "shop.ci")
		wantError(t, err, code, "cannot list machines of shop.ci", said)
		_ = p.Close()
	}
}

// TestWhatIsNotWholeIsListedAsSuch: a container that was never started, whose maker is dead, and the disk that was to be its.
func TestWhatIsNotWholeIsListedAsSuch(t *testing.T) {
	const labels = `"com.github.evenkeel.env": "shop.ci", "com.github.evenkeel.name": "db-1", "com.github.evenkeel.label.project": "7f3a9c", "com.github.evenkeel.maker": "x:1:2:3"`
	p, err := docker.Plugin().Open(t.Context(), daemonOf(t, "1.41", emptyPlace(map[string]string{
		"GET /containers/json": `[{"Id": "aa", "State": "created", "Labels": {` + labels + `, "com.github.evenkeel.kind": "machine"}}]`,
		"GET /volumes":         `{"Volumes": [{"Name": "evenkeel-data_shop.ci_db-1_pg_00", "Labels": {` + labels + `, "com.github.evenkeel.kind": "data", "com.github.evenkeel.disk": "pg"}}]}`,
	})), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	machines, err := p.ListMachines(t.Context(), "shop.ci")
	if err != nil || len(machines) != 1 || machines[0].State != providers.Partial || machines[0].Labels[providers.LabelProject] != "7f3a9c" || machines[0].SSH != "" {
		t.Errorf("got %+v, %v, want one that is half-made, with its labels", machines, err)
	}
	envs, err := p.ListEnvs(t.Context())
	if err != nil || len(envs) != 1 || !envs[0].Partial || envs[0].Machines != 1 || len(envs[0].Data) > 0 {
		t.Errorf("got %+v, %v, want an environment with something half-made and no disk", envs, err)
	}
}

// TestWhatADaemonWithoutRootCannotDoHasARemedy: its words are those of docker 20.10 on Debian 12.
func TestWhatADaemonWithoutRootCannotDoHasARemedy(t *testing.T) {
	for said, want := range map[string]struct {
		code   providers.Code
		remedy string
	}{
		"driver failed programming external connectivity on endpoint x (66): Error starting userland proxy: error while calling PortManager.AddPort(): cannot expose privileged port 80, you can add 'net.ipv4.ip_unprivileged_port_start=80' to /etc/sysctl.conf (currently 1024), or set CAP_NET_BIND_SERVICE on rootlesskit binary, or choose a larger port number (>= 1024): listen tcp4 127.0.0.1:80: bind: permission denied.": {
			providers.Denied, "publish:",
		},
		`failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: unable to apply cgroup configuration: unable to start unit "docker-a7.scope" (properties []): Permission denied: unknown`: {
			providers.Unsupported, "dbus-user-session",
		},
	} {
		err := docker.Wrap("create", "machine web-1", errors.New(said))
		if hint := wantError(t, err, want.code, said[:40]); !strings.Contains(hint, want.remedy) {
			t.Errorf("got hint %q, want one that says %q", hint, want.remedy)
		}
	}
}

// TestOwnDaemonIsNamedWhereTheSystemsIsNot: a docker without root listens in its user's own folder.
func TestOwnDaemonIsNamedWhereTheSystemsIsNot(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	denied := errors.New("dial unix /var/run/docker.sock: connect: permission denied")
	const system = "/var/run/docker.sock"
	if hint := wantError(t, docker.ConnectError(system, denied), providers.Denied); !strings.Contains(hint, "usermod") {
		t.Errorf("got hint %q, want the group", hint)
	}
	if err := os.WriteFile(filepath.Join(dir, "docker.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if hint := wantError(t, docker.ConnectError(system, denied), providers.Denied); !strings.Contains(hint, "DOCKER_HOST=unix://"+dir+"/docker.sock") {
		t.Errorf("got hint %q, want the user's own", hint)
	}
	if hint := wantError(t, docker.ConnectError("tcp://a.example:2376", denied), providers.Unavailable); strings.Contains(hint, dir) {
		t.Errorf("got hint %q for a daemon that was named", hint)
	}
}

// TestPortsOfADaemonWithoutRootAreThisComputers: its bridges are its own, what it publishes is not.
func TestPortsOfADaemonWithoutRootAreThisComputers(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rootlesskit"), nil, 0o700); err != nil { // without a capability of its own
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	taken := l.Addr().(*net.TCPAddr).Port
	info := strings.Replace(computer, "{", `{"SecurityOptions": ["name=seccomp,profile=default", "name=rootless"], "Name": "`+name+`", `, 1)
	for port, want := range map[int]string{taken: "address already in use", 1: "docker runs without root and may listen from port"} {
		if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); port == 1 && (err != nil || slices.Contains([]string{"0", "1"}, strings.TrimSpace(string(text)))) {
			continue // here everybody may listen on any port
		}
		for at, refused := range map[string]bool{info: true, strings.Replace(info, name, name+"-not", 1): false} {
			p, err := docker.Plugin().Open(t.Context(), daemonOf(t, "1.41", emptyPlace(map[string]string{"GET /info": at})), nil)
			if err != nil {
				t.Fatal(err)
			}
			spec := someSpec()
			spec.Publish = []providers.Port{{Port: 80, Proto: "tcp", HostPort: port}}
			problems, err := p.Check(t.Context(), spec)
			if err != nil || len(problems) > 0 != refused || refused && !strings.Contains(problems[0].Message, want) {
				t.Errorf("port %d, refused %t: got %+v, %v, want one that says %q", port, refused, problems, err, want)
			}
			_ = p.Close()
		}
	}
}
