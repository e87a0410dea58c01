// SPDX-License-Identifier: Apache-2.0

package docker_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/docker"
)

func someSpec() providers.Spec {
	return providers.Spec{
		Env: "shop.ci", Name: "db-1", CPUs: 1, Memory: 512 << 20, Disk: 4 << 30, ImageKey: strings.Repeat("0", 64),
		Data:   []providers.Data{{Name: "pg", Size: 1 << 30, Mount: "/srv/pg"}},
		Labels: providers.Labels{providers.LabelProject: "7f3a9c", providers.LabelOwner: "jo@host", providers.LabelExpires: "2026-12-01T00:00:00Z"},
		Seed: providers.Seed{
			Hostname: "db-1", HostKey: []byte("SECRET"), HostCertificate: []byte("CERT"), User: providers.LoginUser, AuthorizedKeys: []string{"ssh-ed25519 AAAA jo"},
			Data: []providers.Mount{{Name: "pg", Mount: "/srv/pg"}},
		},
	}
}

// TestMachineIsGivenNoMoreThanItNeeds holds what ARCHITECTURE.md says of privileges.
func TestMachineIsGivenNoMoreThanItNeeds(t *testing.T) {
	c, h, _, err := docker.Guest(someSpec(), 8<<30, 4)
	if err != nil {
		t.Fatal(err)
	}
	if h.Privileged || len(h.Binds) > 0 || len(h.Devices) > 0 || h.PidMode != "" || h.IpcMode != "" || h.UTSMode != "" || h.CgroupnsMode != "private" {
		t.Errorf("got %+v, want nothing of the host's", h)
	}
	if !slices.Equal(h.CapDrop, []string{"ALL"}) || len(h.CapAdd) != 15 {
		t.Errorf("got capabilities %v of which %v stay, want all gone but fifteen", h.CapDrop, h.CapAdd)
	}
	if len(h.SecurityOpt) > 0 || len(h.PortBindings) > 0 {
		t.Errorf("got security options %v and ports %v, want docker's own filter of system calls, and no port", h.SecurityOpt, h.PortBindings)
	}
	if h.Memory != 512<<20 || h.MemorySwap != h.Memory || len(h.CpusetCpus) != 1 {
		t.Errorf("got limits %+v, want 512 MiB without swap and one processor", h.Resources)
	}
	if script := strings.Join(c.Entrypoint, " "); !strings.HasSuffix(strings.TrimSpace(script), "exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin /sbin/init") {
		t.Errorf("got first process %q, want one that gives up the capability to mount before it becomes systemd", script)
	}
	for _, m := range h.Mounts {
		if m.Type != "volume" || m.Target != "/srv/pg" || m.VolumeOptions.Labels[docker.LabelDisk] != "pg" || m.VolumeOptions.Labels[docker.LabelProject] != "7f3a9c" {
			t.Errorf("got mount %+v, want the labelled data disk", m)
		}
	}
}

func TestAppArmorsProfileIsLeftOutWhereItIs(t *testing.T) {
	if got := docker.SecurityOptions([]string{"name=seccomp,profile=default", "name=apparmor"}); !slices.Equal(got, []string{"apparmor=unconfined"}) {
		t.Errorf("got %v", got)
	}
	if got := docker.SecurityOptions([]string{"name=seccomp,profile=default"}); len(got) > 0 {
		t.Errorf("got %v, want nothing to change", got)
	}
}

// TestSecretsAreInTheSeedAlone: what anybody may list who may ask the daemon holds none.
func TestSecretsAreInTheSeedAlone(t *testing.T) {
	c, h, seed, err := docker.Guest(someSpec(), 8<<30, 4)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range c.Labels {
		if strings.Contains(k+v, "SECRET") {
			t.Errorf("label %s holds the host key", k)
		}
	}
	if strings.Contains(strings.Join(append(c.Env, append(c.Entrypoint, c.Cmd...)...), " "), "SECRET") || len(h.Binds) > 0 {
		t.Error("the container's configuration holds the host key")
	}
	files := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(seed)); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files["/"+head.Name] = string(b)
	}
	if files[providers.PathHostKey] != "SECRET" || files[providers.PathAuthorizedKeys+providers.LoginUser] != "ssh-ed25519 AAAA jo\n" || len(strings.TrimSpace(files["/etc/machine-id"])) != 32 {
		t.Errorf("got seed %q", files)
	}
	if _, ok := files["/var/lib/evenkeel/seeded"]; !ok {
		t.Error("a machine would wait for a disk with its seed")
	}
	for _, name := range []string{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", providers.PathData} {
		if _, ok := files[name]; ok {
			t.Errorf("the seed holds %s, which the daemon mounts", name)
		}
	}
}

func TestProcessorsAreNamed(t *testing.T) {
	for _, c := range []struct {
		n, have int
		from    uint32
		want    string
	}{{1, 4, 0, "0"}, {1, 4, 7, "3"}, {2, 4, 3, "3,0"}, {4, 4, 1, ""}, {2, 0, 1, ""}} {
		if got := docker.CPUSet(c.n, c.have, c.from); got != c.want {
			t.Errorf("%d of %d from %d: got %q, want %q", c.n, c.have, c.from, got, c.want)
		}
	}
}
