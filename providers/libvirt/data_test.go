// SPDX-License-Identifier: Apache-2.0

package libvirt_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/libvirt"
)

var someDisk = providers.DataRef{Env: "shop.laptop", Machine: "db-1", Name: "pg"}

func TestDataDiskIsFoundByItsName(t *testing.T) {
	volume := libvirt.DataVolume(someDisk, 3)
	mark := libvirt.DataMark(someDisk, 3, "7f3a9c", time.Time{})
	if volume != "evenkeel-data_shop.laptop_db-1_pg.3.qcow2" {
		t.Errorf("got volume %s", volume)
	}
	ends := time.Date(2026, 11, 29, 6, 30, 0, 0, time.UTC)
	ending := libvirt.DataMark(someDisk, 3, "7f3a9c", ends)
	for name, isMark := range map[string]bool{volume: false, mark: true, ending: true} {
		disk, number, project, expires, m, ok := libvirt.ParseGeneration(name)
		if !ok || disk != someDisk || number != 3 || m != isMark || isMark && project != "7f3a9c" || expires.Equal(ends) != (name == ending) || expires.IsZero() == (name == ending) {
			t.Errorf("%s: got %+v %d %q %v %v %v", name, disk, number, project, expires, m, ok)
		}
		if owner := libvirt.VolumeOwner(name); owner != "" {
			t.Errorf("%s: is taken for a machine's own volume, of %q", name, owner)
		}
		if _, _, ours := libvirt.ParseName(name); ours {
			t.Errorf("%s: is taken for a machine's own volume", name)
		}
	}
	for _, name := range []string{
		"", "evenkeel-data_", "evenkeel-data_a.b_c_d", "evenkeel-data_a.b_c_d.0.qcow2", "evenkeel-data_a.b_c_d.01.qcow2", "evenkeel-data_a.b_c_d.1.raw",
		"evenkeel-data_a.b__d.1.qcow2", "evenkeel-data_a.b_c_.1.qcow2", "evenkeel-data_a.b_c_d.1.of.x", "evenkeel-data_a.b_c_d.1.of.70.", "evenkeel-data_a.b_c_d.1.of.70.0x1", "evenkeel-data_a.b_c_d.1.of.70.1.2", "evenkeel_a.b_c_d.1.qcow2", "evenkeel-data_a.b_c_d_e.1.qcow2",
	} {
		if _, _, _, _, _, ok := libvirt.ParseGeneration(name); ok {
			t.Errorf("%q is taken for a data disk", name)
		}
	}
}

// TestRestoreKilledAnywhereLeavesOneDisk goes through what the pool holds after each step of a restore from generation 1 to 2.
func TestRestoreKilledAnywhereLeavesOneDisk(t *testing.T) {
	v1, m1 := libvirt.DataVolume(someDisk, 1), libvirt.DataMark(someDisk, 1, "p", time.Time{})
	v2, m2 := libvirt.DataVolume(someDisk, 2), libvirt.DataMark(someDisk, 2, "p", time.Time{})
	for _, c := range []struct {
		what          string
		names         []string
		current, top  int
		older, broken []string
	}{
		{"before", []string{v1, m1}, 1, 1, nil, nil},
		{"the copy is being made", []string{v1, m1, v2}, 1, 2, nil, []string{v2}},
		{"the copy is marked", []string{v1, m1, v2, m2}, 2, 2, []string{v1, m1}, nil},
		{"the old mark is gone", []string{v1, v2, m2}, 2, 2, []string{v1}, nil},
		{"after", []string{v2, m2}, 2, 2, nil, nil},
		{"a blank disk without its mark", []string{v1}, 0, 1, nil, []string{v1}},
		{"a mark without its disk", []string{m1}, 0, 1, nil, []string{m1}},
	} {
		slices.Reverse(c.names)
		current, top, older, broken := libvirt.DataState(c.names, someDisk)
		slices.Sort(older)
		slices.Sort(c.older)
		if current != c.current || top != c.top || !slices.Equal(older, c.older) || !slices.Equal(broken, c.broken) {
			t.Errorf("%s: got current %d, top %d, older %v, broken %v; want %d, %d, %v, %v", c.what, current, top, older, broken, c.current, c.top, c.older, c.broken)
		}
	}
}

func TestSnapshotsAreListedByDiskOldestFirst(t *testing.T) {
	other := providers.DataRef{Env: "shop.laptop", Machine: "db-1", Name: "wal"}
	elsewhere := providers.DataRef{Env: "shop.team", Machine: "db-1", Name: "pg"}
	var names []string
	for _, s := range []struct {
		disk  providers.DataRef
		name  string
		taken int64
	}{{other, "a", 5}, {someDisk, "late", 1000}, {someDisk, "early", 999}, {elsewhere, "x", 1}} {
		names = append(names, libvirt.SnapshotNames(s.disk, s.name, s.taken)...)
	}
	names = append(names, libvirt.SnapshotNames(someDisk, "half", 7)[0], "evenkeel-snapshot_x", "evenkeel-snapshot_a.b_c_d_e.x.qcow2")
	got := libvirt.Snapshots(names, "shop.laptop")
	want := []providers.Snapshot{
		{Disk: someDisk, Name: "early", Taken: time.Unix(999, 0).UTC()},
		{Disk: someDisk, Name: "late", Taken: time.Unix(1000, 0).UTC()},
		{Disk: other, Name: "a", Taken: time.Unix(5, 0).UTC()},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func dataSpec() providers.Spec {
	spec := someSpec()
	spec.Data = []providers.Data{{Name: "pg", Size: 64 << 20, Mount: "/srv/pg"}, {Name: "wal", Size: 32 << 20, Mount: "/srv/wal"}}
	return spec
}

func TestBackupIsOfOneDiskOnly(t *testing.T) {
	spec := dataSpec()
	text, err := libvirt.Define(someUUID, spec, "ab12_cd34", someRecord(spec), "/pool", false, "n", "")
	if err != nil {
		t.Fatal(err)
	}
	order, err := libvirt.BackupXML(text, "ek-wal", "/pool/to.qcow2")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(order, `backup="no"`) != 3 || strings.Count(order, `backup="yes"`) != 1 || !strings.Contains(order, `name="vdd"`) || !strings.Contains(order, `file="/pool/to.qcow2"`) {
		t.Errorf("got\n%s\nwant vdd copied to /pool/to.qcow2 and the three others left out", order)
	}
	if _, err := libvirt.BackupXML(text, "ek-no", "/pool/to.qcow2"); err == nil {
		t.Error("a disk the machine does not have is no error")
	}
}

func TestStartFollowsARestore(t *testing.T) {
	spec := dataSpec()
	text, err := libvirt.Define(someUUID, spec, "ab12_cd34", someRecord(spec), "/pool", false, "n", "")
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{"ek-pg": "/pool/" + libvirt.DataVolume(providers.DataRef{Env: spec.Env, Machine: spec.Name, Name: "pg"}, 1)}
	if _, changed, err := libvirt.AimDisks(text, paths); err != nil || changed {
		t.Errorf("got changed %v, %v for the disk it has", changed, err)
	}
	paths["ek-pg"] = "/pool/next.qcow2"
	aimed, changed, err := libvirt.AimDisks(text, paths)
	if err != nil || !changed {
		t.Fatalf("got changed %v, %v for another disk", changed, err)
	}
	if strings.Count(aimed, `file="/pool/next.qcow2"`) != 1 || strings.Contains(aimed, "_pg.1.qcow2") || !strings.Contains(aimed, "_wal.1.qcow2") {
		t.Errorf("got\n%s\nwant disk ek-pg, and no other, at /pool/next.qcow2", aimed)
	}
}

func TestDiskOfAnotherProjectOrLargerIsRefused(t *testing.T) {
	spec := dataSpec()
	for _, c := range []struct {
		project string
		have    int64
		want    providers.Code
		says    string
	}{
		{"7f3a9c", 64 << 20, "", ""},
		{"7f3a9c", 32 << 20, "", ""},
		{"7f3a9c", 64<<20 + 1024, providers.Denied, "never shrinks"},
		{"decade", 64 << 20, providers.Conflict, `belongs to project "decade"`},
	} {
		err := libvirt.Takeable(spec, c.have, c.project)
		if providers.CodeOf(err) != c.want || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%d bytes of %s: got %v (%s), want %s", c.have, c.project, err, providers.CodeOf(err), c.want)
		}
	}
}

// TestOddSizeIsNotTakenForShrinking has a size that libvirt rounds up.
func TestOddSizeIsNotTakenForShrinking(t *testing.T) {
	spec := dataSpec()
	spec.Data[0].Size = 64<<20 + 1
	if err := libvirt.Takeable(spec, 64<<20+1024, "7f3a9c"); err != nil {
		t.Error(err)
	}
}

func TestNamesOfVolumesFitAFileSystem(t *testing.T) {
	long := providers.DataRef{Env: strings.Repeat("e", providers.MaxEnv), Machine: strings.Repeat("m", 63), Name: strings.Repeat("d", 12)}
	for _, name := range append(libvirt.SnapshotNames(long, strings.Repeat("s", 32), 1<<40), libvirt.DataMark(long, 1<<30, strings.Repeat("p", 48), time.Unix(1<<32-1, 0))) {
		if len(name) > 255 {
			t.Errorf("%s has %d bytes, a file's name has 255", name, len(name))
		}
	}
}

func FuzzVolumeNamesNeverPanic(f *testing.F) {
	f.Add(libvirt.DataVolume(someDisk, 1))
	f.Add(libvirt.DataMark(someDisk, 2, "7f3a9c", time.Unix(1<<31, 0)))
	f.Add(libvirt.SnapshotNames(someDisk, "a", 1)[1])
	f.Fuzz(func(t *testing.T, name string) {
		if disk, number, project, expires, mark, ok := libvirt.ParseGeneration(name); ok {
			again := libvirt.DataVolume(disk, number)
			if mark {
				again = libvirt.DataMark(disk, number, project, expires)
			}
			if again != name {
				t.Errorf("%q is read as %q", name, again)
			}
		}
		libvirt.Snapshots([]string{name, name}, "shop.laptop")
	})
}
