// SPDX-License-Identifier: Apache-2.0

package libvirt_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	lv "libvirt.org/go/libvirt"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/libvirt"
)

// mock is the provider over libvirt's own stand-in, and what a second client sees there.
type mock struct {
	*testing.T
	providers.Provider
	conn *lv.Connect
	pool *lv.StoragePool
}

func newMock(t *testing.T) *mock {
	t.Helper()
	p, conn, err := libvirt.OpenMock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	pool, err := conn.LookupStoragePoolByName("default-pool")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Free() })
	return &mock{t, p, conn, pool}
}

func (m *mock) volume(names ...string) {
	m.Helper()
	for _, n := range names {
		format := "raw"
		if strings.HasSuffix(n, ".qcow2") {
			format = "qcow2"
		}
		v, err := m.pool.StorageVolCreateXML(fmt.Sprintf(
			`<volume><name>%s</name><capacity>1048576</capacity><target><format type='%s'/></target></volume>`, n, format), 0)
		if err != nil {
			m.Fatal(err)
		}
		_ = v.Free()
	}
}

// disk makes a data disk of that many generations, all whole.
func (m *mock) disk(d providers.DataRef, generations int) {
	m.Helper()
	for g := range generations {
		m.volume(libvirt.DataVolume(d, g+1), libvirt.DataMark(d, g+1, "7f3a9c", time.Time{}))
	}
}

func (m *mock) wantVolumes(want ...string) {
	m.Helper()
	got, err := m.pool.ListStorageVolumes()
	if err != nil {
		m.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		m.Errorf("got volumes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// machine is a domain of ours; transient ones run without a definition.
func (m *mock) machine(spec providers.Spec, phase libvirt.Phase, transient bool) string {
	m.Helper()
	r := someRecord(spec)
	r.Phase = phase
	text, err := libvirt.Define(someUUID, spec, "ab12_cd34", r, "/default-pool", false, "n", "")
	if err != nil {
		m.Fatal(err)
	}
	text = strings.Replace(text, `<domain type="qemu"`, `<domain type="test"`, 1)
	make := m.conn.DomainDefineXML
	if transient {
		make = func(text string) (*lv.Domain, error) { return m.conn.DomainCreateXML(text, 0) }
	}
	d, err := make(text)
	if err != nil {
		m.Fatal(err)
	}
	_ = d.Free()
	return someUUID
}

func (m *mock) wantCode(err error, want providers.Code) {
	m.Helper()
	if got := providers.CodeOf(err); got != want {
		m.Errorf("got %v (code %q), want code %q", err, got, want)
	}
}

// TestMachineWithoutDefinitionGoes has a domain that was undefined while another call started it.
func TestMachineWithoutDefinitionGoes(t *testing.T) {
	m := newMock(t)
	id := m.machine(someSpec(), libvirt.Removing, true)
	if err := m.DeleteMachine(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if list, err := m.ListMachines(t.Context(), "shop.laptop"); err != nil || len(list) > 0 {
		t.Errorf("got %+v, %v, want nothing", list, err)
	}
}

// TestDeletingAMachineTakesItsOwnVolumesOnly does so twice: what a maker added after its domain was gone goes too.
func TestDeletingAMachineTakesItsOwnVolumesOnly(t *testing.T) {
	m := newMock(t)
	id := m.machine(someSpec(), libvirt.Made, false)
	own := libvirt.VolumeName("shop.laptop", "web-1", id, ".disk.qcow2")
	others := libvirt.VolumeName("shop.laptop", "web-1", "22222222-2222-4333-8444-000000000001", ".seed")
	disk := providers.DataRef{Env: "shop.laptop", Machine: "web-1", Name: "pg"}
	m.disk(disk, 1)
	m.volume(others)
	kept := []string{others, libvirt.DataVolume(disk, 1), libvirt.DataMark(disk, 1, "7f3a9c", time.Time{})}
	for range 2 {
		m.volume(own, libvirt.VolumeName("shop.laptop", "web-1", id, ".console.0"))
		if err := m.DeleteMachine(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		m.wantVolumes(kept...)
	}
}

func TestDownKeepsDataUnlessItIsNamed(t *testing.T) {
	m := newMock(t)
	other := providers.DataRef{Env: "shop.laptop2", Machine: "db-1", Name: "pg"}
	m.disk(someDisk, 1)
	m.disk(other, 1)
	snapshot := libvirt.SnapshotNames(someDisk, "a", 1)
	orphan := libvirt.VolumeName("shop.laptop", "db-1", someUUID, ".console")
	m.volume(append(snapshot, orphan)...)
	theirs := []string{libvirt.DataVolume(other, 1), libvirt.DataMark(other, 1, "7f3a9c", time.Time{})}
	data := append([]string{libvirt.DataVolume(someDisk, 1), libvirt.DataMark(someDisk, 1, "7f3a9c", time.Time{})}, snapshot...)

	if err := m.DeleteEnv(t.Context(), "shop.laptop", true); err != nil {
		t.Fatal(err)
	}
	m.wantVolumes(append(slices.Clone(theirs), data...)...)
	envs, err := m.ListEnvs(t.Context())
	if err != nil || len(envs) != 2 || envs[0].Env != "shop.laptop" || envs[0].Partial || envs[0].Project != "7f3a9c" || len(envs[0].Data) != 1 ||
		envs[0].Data[0] != (providers.DataDisk{DataRef: someDisk, Size: 1 << 20}) {
		t.Errorf("got %+v, %v, want shop.laptop with its disk, not half-made", envs, err)
	}
	if err := m.DeleteEnv(t.Context(), "shop.laptop", false); err != nil {
		t.Fatal(err)
	}
	m.wantVolumes(theirs...)
}

func TestEnvironmentOfLeftVolumesIsPartial(t *testing.T) {
	m := newMock(t)
	half := providers.DataRef{Env: "half.test", Machine: "db-1", Name: "pg"}
	m.volume(libvirt.VolumeName("orphan.test", "db-1", someUUID, ".disk.qcow2"), libvirt.DataVolume(half, 1))
	envs, err := m.ListEnvs(t.Context())
	if err != nil || len(envs) != 2 || !envs[0].Partial || !envs[1].Partial || len(envs[0].Data) > 0 {
		t.Errorf("got %+v, %v, want two half-made environments without a disk", envs, err)
	}
	if err := m.DeleteEnv(t.Context(), "half.test", false); err != nil {
		t.Fatal(err)
	}
}

func TestSnapshotIsSavedListedRestoredAndDeleted(t *testing.T) {
	m := newMock(t)
	s := m.Provider.(providers.Snapshotter)
	spec := dataSpec()
	spec.Data = spec.Data[:1]
	disk := providers.DataRef{Env: spec.Env, Machine: spec.Name, Name: "pg"}
	m.disk(disk, 1)
	m.machine(spec, libvirt.Made, false)

	saved, err := s.SaveSnapshot(t.Context(), disk, "a")
	if err != nil || saved.Disk != disk || saved.Name != "a" || time.Since(saved.Taken) > time.Minute {
		t.Fatalf("got %+v, %v", saved, err)
	}
	_, err = s.SaveSnapshot(t.Context(), disk, "a")
	m.wantCode(err, providers.Conflict)
	_, err = s.SaveSnapshot(t.Context(), disk, "A b")
	m.wantCode(err, providers.Invalid)
	_, err = s.SaveSnapshot(t.Context(), providers.DataRef{Env: spec.Env, Machine: spec.Name, Name: "no"}, "a")
	m.wantCode(err, providers.NotFound)
	m.wantCode(s.RestoreSnapshot(t.Context(), disk, "b"), providers.NotFound)

	m.volume(libvirt.DataVolume(disk, 2)) // of a restore that was killed
	if err := s.RestoreSnapshot(t.Context(), disk, "a"); err != nil {
		t.Fatal(err)
	}
	of := libvirt.SnapshotNames(disk, "a", saved.Taken.Unix())
	m.wantVolumes(append(of, libvirt.DataVolume(disk, 3), libvirt.DataMark(disk, 3, "7f3a9c", time.Time{}))...)
	d, err := m.conn.LookupDomainByUUIDString(someUUID)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Free() }()
	if text, err := d.GetXMLDesc(0); err != nil || !strings.Contains(text, libvirt.DataVolume(disk, 3)) {
		t.Errorf("the machine is not given the restored disk (%v):\n%s", err, text)
	}
	for range 2 {
		if err := s.DeleteSnapshot(t.Context(), disk, "a"); err != nil {
			t.Fatal(err)
		}
	}
	m.wantVolumes(libvirt.DataVolume(disk, 3), libvirt.DataMark(disk, 3, "7f3a9c", time.Time{}))
}

func TestRestoreNeedsTheMachineAtRest(t *testing.T) {
	m := newMock(t)
	s := m.Provider.(providers.Snapshotter)
	spec := dataSpec()
	spec.Data = spec.Data[:1]
	disk := providers.DataRef{Env: spec.Env, Machine: spec.Name, Name: "pg"}
	m.disk(disk, 1)
	of := libvirt.SnapshotNames(disk, "a", 1)
	m.volume(of...)
	m.machine(spec, libvirt.Made, true)
	err := s.RestoreSnapshot(t.Context(), disk, "a")
	m.wantCode(err, providers.Conflict)
	m.wantVolumes(append(of, libvirt.DataVolume(disk, 1), libvirt.DataMark(disk, 1, "7f3a9c", time.Time{}))...)
}

func TestAbandonedSnapshotsGoAndYoungOnesStay(t *testing.T) {
	m := newMock(t)
	s := m.Provider.(providers.Snapshotter)
	m.disk(someDisk, 1)
	old := libvirt.SnapshotNames(someDisk, "old", time.Now().Add(-2*time.Hour).Unix())[0]
	young := libvirt.SnapshotNames(someDisk, "young", time.Now().Add(-time.Minute).Unix())[0]
	m.volume(old, young)
	if list, err := s.ListSnapshots(t.Context(), someDisk.Env); err != nil || len(list) > 0 {
		t.Errorf("got %+v, %v, want none: they are half-made", list, err)
	}
	saved, err := s.SaveSnapshot(t.Context(), someDisk, "a")
	if err != nil {
		t.Fatal(err)
	}
	of := libvirt.SnapshotNames(someDisk, "a", saved.Taken.Unix())
	m.wantVolumes(append(of, young, libvirt.DataVolume(someDisk, 1), libvirt.DataMark(someDisk, 1, "7f3a9c", time.Time{}))...)
}

func TestCancelledSnapshotLeavesNothing(t *testing.T) {
	m := newMock(t)
	s := m.Provider.(providers.Snapshotter)
	m.disk(someDisk, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.SaveSnapshot(ctx, someDisk, "a")
	m.wantCode(err, providers.Unavailable)
	m.wantVolumes(libvirt.DataVolume(someDisk, 1), libvirt.DataMark(someDisk, 1, "7f3a9c", time.Time{}))
}

func TestSuspendingWhatIsStoppedIsRefused(t *testing.T) {
	m := newMock(t)
	s := m.Provider.(providers.Suspender)
	id := m.machine(someSpec(), libvirt.Made, false)
	m.wantCode(s.SuspendMachine(t.Context(), id), providers.Conflict)
	_, err := s.ResumeMachine(t.Context(), id)
	m.wantCode(err, providers.Conflict)
	m.wantCode(s.SuspendMachine(t.Context(), "22222222-2222-4333-8444-000000000001"), providers.NotFound)
}
