// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// The pair's data disks: db-1's outlives it, web-1's is saved and restored.
const (
	pgMount    = "/srv/pg"
	pgSize     = 256 << 20
	pgGrown    = 384 << 20
	filesMount = "/srv/files"
	filesSize  = 128 << 20
)

// withData gives a machine to be a data disk, as the core does. Its digest's label is up to date.
func withData(spec providers.Spec, name string, size int64, mount string) providers.Spec {
	spec.Data = append(slices.Clone(spec.Data), providers.Data{Name: name, Size: size, Mount: mount})
	spec.Seed.Data = append(slices.Clone(spec.Seed.Data), providers.Mount{Name: name, Mount: mount})
	spec.Labels = maps.Clone(spec.Labels)
	spec.Labels[providers.LabelSpec] = spec.Digest()
	return spec
}

// disks are the data disks of an environment as a client that opens the place anew finds them.
func (s *suite) disks(t *testing.T, env string) map[providers.DataRef]int64 {
	t.Helper()
	other, err := s.h.Plugin.Open(t.Context(), s.h.Config, hclog.NewNullLogger())
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	envs, err := other.ListEnvs(t.Context())
	if err := errors.Join(err, other.Close()); err != nil {
		t.Fatalf("ListEnvs: %v", err)
	}
	sizes := map[providers.DataRef]int64{}
	for _, e := range envs {
		if e.Env != env {
			continue
		}
		for i, d := range e.Data {
			if d.Env != env {
				t.Errorf("got disk %+v in environment %s", d, env)
			}
			if i > 0 && e.Data[i-1].Machine+" "+e.Data[i-1].Name >= d.Machine+" "+d.Name {
				t.Errorf("got disks %+v, want them by machine and name, each once", e.Data)
			}
			sizes[d.DataRef] = d.Size
		}
	}
	return sizes
}

// wantDisks wants exactly these disks, each at least as large and less than a tenth larger.
func (s *suite) wantDisks(t *testing.T, env string, want map[providers.DataRef]int64) {
	t.Helper()
	if got := s.disks(t, env); !areDisks(got, want) {
		t.Errorf("got disks %v, want %v", got, want)
	}
}

// areDisks: got are those of want; a place may round a size up.
func areDisks(got, want map[providers.DataRef]int64) bool {
	for d, size := range want {
		if got[d] < size || got[d] > size+size/10 {
			return false
		}
	}
	return len(got) == len(want)
}

func (p *pair) pg() providers.DataRef {
	return providers.DataRef{Env: p.env, Machine: "db-1", Name: "pg"}
}

func (p *pair) files() providers.DataRef {
	return providers.DataRef{Env: p.env, Machine: "web-1", Name: "files"}
}

func dataMounted(t *testing.T, p *pair) {
	p.wantDisks(t, p.env, map[providers.DataRef]int64{p.pg(): pgSize, p.files(): filesSize})
	for _, m := range []struct {
		shell *ssh.Client
		mount string
		size  int64
	}{{p.dbShell, pgMount, pgSize}, {p.webShell, filesMount, filesSize}} {
		p.wantMounted(t, m.shell, m.mount, m.size)
		if got := command(t, m.shell, "sudo -n ls -A "+m.mount); got != "" && got != "lost+found" {
			t.Errorf("a new disk at %s holds %q, want nothing", m.mount, got)
		}
	}
	command(t, p.dbShell, "sudo -n sh -c 'umask 077; mkdir "+pgMount+"/base && echo row >"+pgMount+"/base/1 && ln -s base/1 "+pgMount+"/link && sync'")
}

// wantMounted wants a file system of its own at mount. What it needs for itself is not for files: a sixth is allowed.
func (s *suite) wantMounted(t *testing.T, shell *ssh.Client, mount string, size int64) {
	t.Helper()
	if got := number(t, shell, "df -Pk "+mount+" | awk 'NR == 2 {print $2}'") * 1024; !s.sized(got, size, 17) {
		t.Errorf("got a file system of %d bytes at %s, want %d within 17 %%", got, mount, size)
	}
	command(t, shell, "grep -q ' "+mount+" ' /proc/self/mountinfo")
}

func dataOutlives(t *testing.T, p *pair) {
	if err := p.p.DeleteMachine(t.Context(), p.db.ID); err != nil {
		t.Fatal(err)
	}
	p.wantDisks(t, p.env, map[providers.DataRef]int64{p.pg(): pgSize, p.files(): filesSize})
}

// dbAgain is db-1 as another run would make it, with a data disk of this size.
func (p *pair) dbAgain(t *testing.T, size int64) providers.Spec {
	t.Helper()
	spec, _ := p.spec(t, p.env, "db-1")
	spec.Disk = p.dbSpec.Disk
	return withData(spec, "pg", size, pgMount)
}

func shrinkingDenied(t *testing.T, p *pair) {
	less := p.dbAgain(t, pgSize/2)
	problems, err := p.p.Check(t.Context(), less)
	if err != nil || !hasError(problems) {
		t.Errorf("Check gives %v, %v; want a problem", problems, err)
	}
	_, err = p.p.PutMachine(t.Context(), less, p.ref, nil)
	wantCode(t, err, providers.Denied)
	p.wantNoDB(t)
}

func foreignData(t *testing.T, p *pair) {
	foreign := p.dbAgain(t, pgSize)
	foreign.Labels[providers.LabelProject] = "decade"
	_, err := p.p.PutMachine(t.Context(), foreign, p.ref, nil)
	wantCode(t, err, providers.Conflict)
	p.wantNoDB(t)
}

func (p *pair) wantNoDB(t *testing.T) {
	t.Helper()
	if list := p.list(t, p.p, p.env); len(list) != 1 || list[0].ID != p.web.ID {
		t.Errorf("got %+v, want web-1 alone", list)
	}
	p.wantDisks(t, p.env, map[providers.DataRef]int64{p.pg(): pgSize, p.files(): filesSize})
}

// rebuiltByTwo makes db-1 again, by two clients at once and with a larger disk, and deletes it while it boots: what it does to its disk then, mounting
// and growing it, is cut off at some moment.
func rebuiltByTwo(t *testing.T, p *pair) {
	var made [2]providers.Machine
	specs := [2]providers.Spec{p.dbAgain(t, pgGrown), p.dbAgain(t, pgGrown)}
	var work sync.WaitGroup
	for i, client := range []providers.Provider{p.p, p.open(t)} {
		work.Go(func() {
			var err error
			if made[i], err = client.PutMachine(t.Context(), specs[i], p.ref, nil); err != nil {
				t.Errorf("PutMachine of client %d: %v", i, err)
			}
		})
	}
	work.Wait()
	if t.Failed() {
		return
	}
	if made[0].ID != made[1].ID || made[0].ID == p.db.ID {
		t.Errorf("two clients made %q and %q, want one new machine", made[0].ID, made[1].ID)
	}
	p.checkMachine(t, specs[0], made[0])
	if err := p.p.DeleteMachine(t.Context(), made[0].ID); err != nil {
		t.Fatal(err)
	}
}

func dataGrows(t *testing.T, p *pair) {
	p.wantDisks(t, p.env, map[providers.DataRef]int64{p.pg(): pgGrown, p.files(): filesSize})
	p.wantMounted(t, p.dbShell, pgMount, pgGrown)
}

// downKeepsData deletes the environment but its data.
func downKeepsData(t *testing.T, p *pair) {
	before := p.snapshots(t, p.p)
	for range 2 {
		if err := p.p.DeleteEnv(t.Context(), p.env, true); err != nil {
			t.Fatal(err)
		}
	}
	if left := p.list(t, p.p, p.env); len(left) > 0 {
		t.Errorf("got %+v, want no machine", left)
	}
	p.wantDisks(t, p.env, map[providers.DataRef]int64{p.pg(): pgGrown, p.files(): filesSize})
	info, _ := p.envInfo(t, p.env)
	if info.Machines != 0 || info.Partial || info.Project != p.webSpec.Labels[providers.LabelProject] {
		t.Errorf("got %+v, want data of the project and nothing half-made", info)
	}
	// Each disk has the expiry of the machine that it was made with, whatever was made after that.
	if want := p.expires(); !info.Expires.Equal(want) {
		t.Errorf("got expiry %v of data alone, want %v", info.Expires, want)
	}
	if got := p.snapshots(t, p.p); !slices.Equal(got, before) {
		t.Errorf("got snapshots %+v, want %+v", got, before)
	}
}

func checkData(t *testing.T, spec providers.Spec, m providers.Machine) {
	t.Helper()
	var want, got []string
	for _, d := range spec.Data {
		want = append(want, d.Name)
	}
	devices := map[string]bool{}
	for _, d := range m.Data {
		got = append(got, d.Name)
		if d.Device != "" && (!strings.HasPrefix(d.Device, "/dev/") || devices[d.Device]) {
			t.Errorf("data disk %s: got device %q, want one of its own below /dev, or none", d.Name, d.Device)
		}
		devices[d.Device] = true
	}
	if !slices.Equal(got, want) {
		t.Errorf("got data disks %v, want %v", got, want)
	}
}
