// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

const (
	openPort   = 8080 // let in by the rules the suite lays
	closedPort = 8081 // not let in at first
)

// pair is two machines of one environment that run and answer.
type pair struct {
	*suite
	whole    *testing.T // of all the cases
	env      string
	webSpec  providers.Spec
	dbSpec   providers.Spec
	web, db  providers.Machine
	webShell *ssh.Client
	dbShell  *ssh.Client
	user     user     // whose definition the core laid on db-1
	saved    [2]int64 // what web-1 had written before and after its snapshot was saved
}

// twoMachines boots two machines once, for every case that needs one that answers. The cases run in this order, each on what the last left.
func twoMachines(t *testing.T, s *suite) {
	p := &pair{suite: s, whole: t, env: s.env(t, "pair")}
	p.webSpec, _ = s.spec(t, p.env, "web-1")
	p.webSpec.CPUs = 2
	p.webSpec.Systemd = "200" // every kernel suits it
	p.webSpec = withData(p.webSpec, "files", filesSize, filesMount)
	p.webSpec.Publish = []providers.Port{{Port: openPort, Proto: "tcp"}}
	p.webSpec.Labels[providers.LabelExpires] = p.webSpec.Labels.Time(providers.LabelExpires).Add(time.Hour).Format(time.RFC3339)
	p.dbSpec, _ = s.spec(t, p.env, "db-1")
	p.dbSpec.Disk += 1 << 30
	p.dbSpec = withData(p.dbSpec, "pg", pgSize, pgMount)
	var work sync.WaitGroup
	for m, spec := range map[*providers.Machine]providers.Spec{&p.web: p.webSpec, &p.db: p.dbSpec} {
		work.Go(func() {
			var err error
			if *m, err = s.p.PutMachine(t.Context(), spec, s.ref, nil); err != nil {
				t.Errorf("PutMachine: %v", err)
			}
		})
	}
	work.Wait()
	if t.Failed() {
		return
	}
	p.checkMachine(t, p.webSpec, p.web)
	p.checkMachine(t, p.dbSpec, p.db)
	p.webShell, p.dbShell = s.dial(t, p.web), s.dial(t, p.db)
	for _, c := range []struct {
		name string
		run  func(*testing.T, *pair)
	}{
		{"put_machine_twice_is_one_machine", putTwice},
		{"other_spec_is_a_conflict", otherSpec},
		{"machine_of_another_project_is_a_conflict", otherProject},
		{"labels_come_back_word_for_word", labelsComeBack},
		{"list_finds_machines_of_another_process", listElsewhere},
		{"environments_tell_what_they_hold", envsTell},
		{"first_contact_is_verified", firstContact},
		{"spec_is_honoured", specHonoured},
		{"data_disks_are_mounted_and_blank", dataMounted},
		{"what_is_not_allowed_is_refused", defaultDeny},
		{"machines_of_one_env_reach_each_other", reachEachOther},
		{"published_ports_are_reachable", publishedReachable},
		{"put_machine_brings_publish_up_to_date", publishUpToDate},
		{"taken_port_is_refused_and_changes_nothing", takenPort},
		{"console_shows_the_boot", consoleShows},
		{"image_in_use_is_kept", imageInUse},
		{"stop_and_start_keep_the_machine", stopStart},
		{"snapshot_keeps_what_was_at_one_moment", snapshotKeeps},
		{"killed_save_leaves_no_snapshot_and_a_machine_that_goes_on", killedSave},
		{"suspend_and_resume_keep_memory", suspendResume},
		{"snapshot_restores_what_was", snapshotRestores},
		{"data_outlives_its_machine_and_is_found_by_another_client", dataOutlives},
		{"shrinking_data_is_denied", shrinkingDenied},
		{"data_of_another_project_is_a_conflict", foreignData},
		{"two_clients_at_once_rebuild_one_machine", rebuiltByTwo},
		{"data_survives_rebuild_and_settings_secrets_access_tls_external_code_are_laid", laid},
		{"data_disk_grows", dataGrows},
		{"what_is_laid_survives_stop_and_start", laidStays},
		{"what_is_no_longer_wanted_is_taken_away", laidGoes},
		{"suspended_machine_can_be_deleted", suspendedDeleted},
		{"down_keeps_data", downKeepsData},
		{"other_envs_are_untouched", othersUntouched},
		{"errors_keep_their_code", errorsKeepTheirCode},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, p) })
	}
}

// shell is a connection for the cases that follow, too.
func (p *pair) shell(t *testing.T, m providers.Machine) *ssh.Client {
	t.Helper()
	client := p.connect(t, m)
	p.whole.Cleanup(func() { _ = client.Close() })
	return client
}

func putTwice(t *testing.T, p *pair) {
	again, _ := p.spec(t, p.env, "web-1") // another run's: other keys, other times
	again.CPUs, again.Publish = p.webSpec.CPUs, p.webSpec.Publish
	again = withData(again, "files", filesSize, filesMount)
	m := p.put(t, again)
	if m.ID != p.web.ID || m.SSH != p.web.SSH || m.Address != p.web.Address || !m.Created.Equal(p.web.Created) || !slices.Equal(m.Ports, p.web.Ports) {
		t.Errorf("got %+v, want %+v as it was", m, p.web)
	}
	wantLabels(t, m.Labels, p.webSpec.Labels)
	if n := len(p.list(t, p.p, p.env)); n != 2 {
		t.Errorf("got %d machines, want 2", n)
	}
}

func otherSpec(t *testing.T, p *pair) {
	for what, change := range map[string]func(*providers.Spec){
		"memory":    func(s *providers.Spec) { s.Memory *= 2 },
		"CPUs":      func(s *providers.Spec) { s.CPUs++ },
		"disk":      func(s *providers.Spec) { s.Disk += 1 << 30 },
		"data":      func(s *providers.Spec) { s.Data = nil },
		"image key": func(s *providers.Spec) { s.ImageKey = strings.Repeat("0", 64) },
	} {
		other := p.dbSpec
		change(&other)
		other.Labels = maps.Clone(p.dbSpec.Labels)
		other.Labels[providers.LabelSpec] = other.Digest()
		_, err := p.p.PutMachine(t.Context(), other, p.ref, nil)
		if err == nil {
			t.Errorf("%s: PutMachine accepts another specification", what)
			continue
		}
		wantCode(t, err, providers.Conflict)
	}
	p.wantUntouched(t, p.db)
}

func otherProject(t *testing.T, p *pair) {
	foreign := p.dbSpec
	foreign.Labels = maps.Clone(p.dbSpec.Labels)
	foreign.Labels[providers.LabelProject] = "decade"
	_, err := p.p.PutMachine(t.Context(), foreign, p.ref, nil)
	wantCode(t, err, providers.Conflict)
	p.wantUntouched(t, p.db)
}

// wantUntouched wants m in the list as it was.
func (p *pair) wantUntouched(t *testing.T, m providers.Machine) {
	t.Helper()
	for _, got := range p.list(t, p.p, p.env) {
		if got.Name == m.Name && got.ID == m.ID && got.State == m.State && maps.Equal(got.Labels, m.Labels) {
			return
		}
	}
	t.Errorf("machine %s is not as it was", m.Name)
}

func labelsComeBack(t *testing.T, p *pair) {
	wantLabels(t, p.web.Labels, p.webSpec.Labels)
	wantLabels(t, p.db.Labels, p.dbSpec.Labels)
	for _, m := range p.list(t, p.p, p.env) {
		want := p.webSpec.Labels
		if m.Name == "db-1" {
			want = p.dbSpec.Labels
		}
		wantLabels(t, m.Labels, want)
	}
}

func listElsewhere(t *testing.T, p *pair) {
	got := p.list(t, p.open(t), p.env)
	if len(got) != 2 || got[0].Name != "db-1" || got[1].Name != "web-1" {
		t.Fatalf("got %+v, want db-1 and web-1, in this order", got)
	}
	for i, want := range []providers.Machine{p.db, p.web} {
		g := got[i]
		if g.ID != want.ID || !slices.Equal(g.Data, want.Data) || g.State != providers.Running || g.SSH != want.SSH || g.Address != want.Address || !slices.Equal(g.Ports, want.Ports) || !g.Created.Equal(want.Created) {
			t.Errorf("got %+v, want %+v", g, want)
		}
	}
}

func envsTell(t *testing.T, p *pair) {
	got, ok := p.envInfo(t, p.env)
	if !ok {
		t.Fatal("the environment is not listed")
	}
	l := p.web.Labels
	if got.Project != l[providers.LabelProject] || got.Owner != l[providers.LabelOwner] || got.Machines != 2 || got.Partial || got.Created.IsZero() {
		t.Errorf("got %+v, want project, owner and two whole machines", got)
	}
	if want := p.expires(); !got.Expires.Equal(want) {
		t.Errorf("got expiry %v, want that of the last to expire, %v", got.Expires, want)
	}
}

// expires is the later of the two machines' expiries.
func (p *pair) expires() time.Time {
	return providers.Expiry([]time.Time{p.webSpec.Labels.Time(providers.LabelExpires), p.dbSpec.Labels.Time(providers.LabelExpires)})
}

func firstContact(t *testing.T, p *pair) {
	if p.webShell.Finished() {
		t.Error("the bootstrap certificate is taken for the final one")
	}
	other, err := ssh.NewHostCA()
	if err != nil {
		t.Fatal(err)
	}
	nobody, err := ssh.LoadIdentity("", filepath.Join(t.TempDir(), "stranger"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what   string
		change func(*ssh.Target)
		want   error
	}{
		{"another authority", func(t *ssh.Target) { t.HostCA = other.PublicKey() }, ssh.ErrUntrusted},
		{"another machine's authority", func(t *ssh.Target) { t.HostCA = p.db.Labels[providers.LabelHostCA] }, ssh.ErrUntrusted},
		{"another machine's name", func(t *ssh.Target) { t.Principal = p.db.HostName() }, ssh.ErrUntrusted},
		{"a final certificate wanted", func(t *ssh.Target) { t.Bootstrap = false }, ssh.ErrUnfinished},
		{"a key that is not authorized", func(t *ssh.Target) { t.Identity = nobody }, ssh.ErrAuth},
	} {
		target := p.target(p.web)
		c.change(&target)
		client, err := ssh.Dial(t.Context(), target)
		if err == nil {
			_ = client.Close()
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
	}
}

func specHonoured(t *testing.T, p *pair) {
	for _, m := range []struct {
		spec  providers.Spec
		shell *ssh.Client
	}{{p.webSpec, p.webShell}, {p.dbSpec, p.dbShell}} {
		if got := command(t, m.shell, "uname -n"); got != m.spec.Name {
			t.Errorf("got host name %q, want %q", got, m.spec.Name)
		}
		if got, want := command(t, m.shell, "nproc"), strconv.Itoa(m.spec.CPUs); got != want {
			t.Errorf("%s: got %s CPUs, want %s", m.spec.Name, got, want)
		}
		if got := number(t, m.shell, memoryLine); !within(got, m.spec.Memory, 15) {
			t.Errorf("%s: got %d bytes of memory, want %d within 15 %%", m.spec.Name, got, m.spec.Memory)
		}
		var size int64
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) { // the file system may still grow
			if size = number(t, m.shell, "df -Pk / | awk 'NR == 2 {print $2}'") * 1024; p.sized(size, m.spec.Disk, 10) {
				break
			}
		}
		if !p.sized(size, m.spec.Disk, 10) {
			t.Errorf("%s: got a root file system of %d bytes, want %d within 10 %%", m.spec.Name, size, m.spec.Disk)
		}
		if got := command(t, m.shell, "sudo -n id -u"); got != "0" {
			t.Errorf("%s: sudo gives user %q, want 0", m.spec.Name, got)
		}
	}
	web, db := command(t, p.webShell, "cat /etc/machine-id"), command(t, p.dbShell, "cat /etc/machine-id")
	if len(web) != 32 || web == db {
		t.Errorf("got machine IDs %q and %q, want two different ones of 32 digits", web, db)
	}
}

// memoryLine prints the bytes of memory a machine has: the least of what its kernel and its control group say, as programs find out that ask for it.
const memoryLine = `for f in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
	[ ! -r $f ] || read -r limit <$f
done
awk -v limit="${limit:-max}" '$1 == "MemTotal:" {printf "%.0f", (limit + 0 > 0 && limit / 1024 < $2) ? limit : $2 * 1024}' /proc/meminfo`

// sized reports whether a file system has the size that was asked for. Machines that run their host's kernel have a part of its file system, which
// has no size of its own: there it is a least size.
func (s *suite) sized(got, want, percent int64) bool {
	return within(got, want, percent) || s.h.Plugin.Traits.HostKernel && got > want
}

func number(t *testing.T, shell *ssh.Client, line string) int64 {
	t.Helper()
	text := command(t, shell, line)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: got %q, want a number", line, text)
	}
	return n
}

func within(got, want, percent int64) bool {
	return got >= want-want*percent/100 && got <= want+want*percent/100
}

func consoleShows(t *testing.T, p *pair) {
	c, ok := providers.As[providers.Consoler](p.p)
	if !ok {
		return
	}
	all, err := c.Console(t.Context(), p.web.ID, 1<<20)
	if err != nil || len(all) == 0 {
		t.Fatalf("got %d bytes, %v, want what the machine printed", len(all), err)
	}
	last, err := c.Console(t.Context(), p.web.ID, 5)
	if err != nil || len(last) != 5 {
		t.Errorf("got %q, %v, want the last 5 bytes", last, err)
	}
}

func imageInUse(t *testing.T, p *pair) {
	pruner, ok := providers.As[providers.ImagePruner](p.p)
	if !ok {
		return
	}
	wantCode(t, pruner.DeleteImage(t.Context(), p.ref), providers.Conflict)
	stored, err := pruner.ListImages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(stored, func(i providers.StoredImage) bool { return i.Ref == p.ref && i.InUse }) {
		t.Errorf("got %+v, want %q in use", stored, p.ref)
	}
	if err := pruner.DeleteImage(t.Context(), "no-such-image"); err != nil {
		t.Errorf("removing an absent image: %v, want success", err)
	}
}

func othersUntouched(t *testing.T, p *pair) {
	env := p.suite.env(t, "other")
	spec, _ := p.spec(t, env, "web-1")
	delete(spec.Labels, providers.LabelExpires)
	p.put(t, spec)
	if info, ok := p.envInfo(t, env); !ok || !info.Expires.IsZero() {
		t.Errorf("got %+v, want an environment that never expires", info)
	}
	if err := p.p.DeleteEnv(t.Context(), p.env, false); err != nil {
		t.Fatal(err)
	}
	p.wantGone(t, p.env)
	if left := p.snapshots(t, p.p); len(left) > 0 {
		t.Errorf("got snapshots %+v, want them gone with their disks", left)
	}
	if got := p.only(t, p.p, env); got.State != providers.Running {
		t.Errorf("deleting one environment changed another: %+v", got)
	}
}

// errorsKeepTheirCode asks for machines that the last case deleted.
func errorsKeepTheirCode(t *testing.T, p *pair) {
	if err := p.p.DeleteMachine(t.Context(), p.web.ID); err != nil {
		t.Errorf("deleting an absent machine: %v, want success", err)
	}
	if starter, ok := providers.As[providers.Starter](p.p); ok {
		_, err := starter.StartMachine(t.Context(), p.web.ID)
		wantCode(t, err, providers.NotFound)
		wantCode(t, starter.StopMachine(t.Context(), p.web.ID), providers.NotFound)
	}
	if consoler, ok := providers.As[providers.Consoler](p.p); ok {
		_, err := consoler.Console(t.Context(), p.web.ID, 100)
		wantCode(t, err, providers.NotFound)
	}
	if suspender, ok := providers.As[providers.Suspender](p.p); ok {
		wantCode(t, suspender.SuspendMachine(t.Context(), p.web.ID), providers.NotFound)
		_, err := suspender.ResumeMachine(t.Context(), p.web.ID)
		wantCode(t, err, providers.NotFound)
	}
	if snapshotter, ok := providers.As[providers.Snapshotter](p.p); ok {
		_, err := snapshotter.SaveSnapshot(t.Context(), p.files(), "one")
		wantCode(t, err, providers.NotFound)
		wantCode(t, snapshotter.RestoreSnapshot(t.Context(), p.files(), "one"), providers.NotFound)
	}
	env := p.suite.env(t, "codes")
	spec, _ := p.spec(t, env, "web-1")
	_, err := p.p.PutMachine(t.Context(), spec, "no-such-image", nil)
	wantCode(t, err, providers.NotFound, providers.Invalid)
	p.wantGone(t, env)
}
