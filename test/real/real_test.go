// SPDX-License-Identifier: Apache-2.0

// Package real_test brings up the example on real virtual machines with the binaries in bin/, as a user does: once whole with a stranger beside it, and
// once killed again and again. It takes minutes in emulation, so it belongs to `make test-all`.
package real_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/test/conformance"
)

// stranger is a machine that nothing in the example's rules lets in.
const stranger = `  stranger:
    image: images/web.yaml
    memory: 512MiB
    stateless: true
`

const one = `evenkeel: 1
name: realkill
id: "0c1d2e"
image: images/web.yaml
machines: {web: {memory: 512MiB, stateless: true}}
tiers: {laptop: {provider: libvirt}}
`

// site is a copy of the example under another name, so that a running one is not touched. Images are the user's own, as everything else here is new.
type site struct {
	t   *testing.T
	dir string
	env []string
	bin string
}

func newSite(t *testing.T, change func(yaml string) string) *site {
	t.Helper()
	if os.Getenv("EVENKEEL_TEST_REAL") == "" {
		conformance.Require(t, "shop", errors.New("EVENKEEL_TEST_REAL is not set"))
	}
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: filepath.Join(t.TempDir(), "shop"), bin: filepath.Join(bin, "evenkeel")}
	s.env = append(os.Environ(), "XDG_STATE_HOME="+t.TempDir(), "NO_COLOR=1", "EVENKEEL_BOOT_DEADLINE=15m")
	if err := os.CopyFS(s.dir, os.DirFS("../../envs/examples/shop")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.dir, "env.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(change(string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs our command and returns what it printed; any other status than want fails the test.
func (s *site) run(want int, args ...string) string {
	s.t.Helper()
	out, said, status := s.try(args...)
	if status != want {
		s.t.Fatalf("evenkeel %s: status %d, want %d\n%s%s", strings.Join(args, " "), status, want, out, said)
	}
	return out
}

func (s *site) try(args ...string) (stdout, stderr string, status int) {
	s.t.Helper()
	cmd := exec.Command(s.bin, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), said.String(), exit.ExitCode()
	} else if err != nil {
		s.t.Fatal(err)
	}
	return out.String(), said.String(), 0
}

type machine struct {
	Name  string
	Ports []struct {
		Port     int
		HostPort int `json:"host_port"`
	}
}

func (s *site) machines() map[string]machine {
	s.t.Helper()
	var status struct{ Machines []machine }
	if err := json.Unmarshal([]byte(s.run(0, "status", "--json")), &status); err != nil {
		s.t.Fatal(err)
	}
	byName := map[string]machine{}
	for _, m := range status.Machines {
		byName[m.Name] = m
	}
	return byName
}

// wantNothing holds that libvirt has no domain, network or machine volume of the environment any more.
func (s *site) wantNothing(env string) {
	s.t.Helper()
	for _, args := range [][]string{{"list", "--all", "--name"}, {"net-list", "--all", "--name"}, {"vol-list", "evenkeel"}} {
		out, err := exec.Command("virsh", append([]string{"-c", "qemu:///system"}, args...)...).CombinedOutput()
		if err != nil {
			s.t.Errorf("virsh %v: %v: %s", args, err, out)
		}
		if strings.Contains(string(out), env) {
			s.t.Errorf("left over in virsh %s:\n%s", args[0], out)
		}
	}
}

func TestTheShopServesItsRowsAndRefusesAStranger(t *testing.T) {
	s := newSite(t, func(yaml string) string {
		yaml = strings.Replace(yaml, "name: shop\n", "name: realshop\n", 1)
		before, after, ok := strings.Cut(yaml, "\nmachines:\n")
		if !ok {
			t.Fatal("the example has no machines")
		}
		return before + "\nmachines:\n" + stranger + after
	})
	t.Cleanup(func() {
		s.run(0, "down", "--data")
		s.wantNothing("realshop.laptop")
	})
	s.run(0, "up", "--locked")

	for _, name := range []string{"web-1", "web-2"} {
		if body := fetch(t, s.machines()[name]); !strings.Contains(body, name) {
			t.Errorf("the page of %s does not name it:\n%s", name, body)
		}
	}
	const ask = "timeout 20 bash -c 'exec 3<>/dev/tcp/db/5432' 2>&1"
	s.run(0, "ssh", "web-1", "--", ask)
	if out, said, status := s.try("ssh", "stranger-1", "--", ask); status == 0 || !strings.Contains(out+said, "refused") {
		t.Errorf("the stranger reaches db: status %d, %s%s", status, out, said)
	}

	began := time.Now()
	s.run(0, "up", "--locked")
	t.Logf("up again took %s", time.Since(began).Round(10*time.Millisecond))
	s.run(0, "status", "--check")
	s.opensshAgrees()

	before := s.run(0, "ssh", "web-1", "--", "cat /etc/ssh/ssh_host_ed25519_key.pub")
	s.run(0, "rebuild", "web-1")
	if after := s.run(0, "ssh", "web-1", "--", "cat /etc/ssh/ssh_host_ed25519_key.pub"); after == before {
		t.Error("the rebuilt machine has the host key of the old one")
	}
	fetch(t, s.machines()["web-1"])
	s.run(1, "rebuild", "db") // the only one, and its own disk holds the rows
}

func fetch(t *testing.T, m machine) string {
	t.Helper()
	if len(m.Ports) != 1 {
		t.Fatalf("%s publishes %v, want one port", m.Name, m.Ports)
	}
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", m.Ports[0].HostPort))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %s, %v:\n%s", m.Name, resp.Status, err, body)
	}
	return string(body)
}

// opensshAgrees: the real client, with nothing but our ssh_config, verifies the host and gets in.
func (s *site) opensshAgrees() {
	s.t.Helper()
	config := filepath.Join(s.t.TempDir(), "config")
	if err := os.WriteFile(config, []byte(s.run(0, "ssh-config")), 0o600); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "ssh", "-F", config, "-o", "BatchMode=yes", "web-1", "hostname").CombinedOutput(); err != nil || string(out) != "web-1\n" {
		s.t.Errorf("ssh -F ssh-config web-1 hostname: %v, %q", err, out)
	}
}

func TestKilledOnRealMachinesIsSettled(t *testing.T) {
	s := newSite(t, func(string) string { return one })
	t.Cleanup(func() {
		s.run(0, "down", "--data")
		s.wantNothing("realkill.laptop")
	})
	began := time.Now()
	s.run(0, "up")
	whole := time.Since(began)
	s.run(0, "down", "--data")
	seed := rand.Uint64()
	t.Logf("seed %d; up takes %s", seed, whole.Round(time.Second))
	random := rand.New(rand.NewPCG(seed, seed))
	for i := range 5 {
		after := time.Duration(random.Int64N(int64(whole)))
		cmd := exec.Command(s.bin, "up")
		cmd.Dir, cmd.Env = s.dir, s.env
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if i%2 == 0 {
			s.run(0, "up")
			s.run(0, "status", "--check")
		}
		s.run(0, "down", "--data")
		s.wantNothing("realkill.laptop")
		t.Logf("killed after %s: settled", after.Round(100*time.Millisecond))
	}
}
