// SPDX-License-Identifier: Apache-2.0

package guest_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/images/guest"
	"github.com/evenkeel/evenkeel/test/conformance"
)

// guestMachine is a folder that plays a machine: a mount point with what the image has in it, and a disk.
type guestMachine struct {
	t                        *testing.T
	dir, image, device, list string
	mount                    string
	script                   string
}

// newGuestMachine has a disk of that size, blank. Disks and mounts are real, in a mount namespace of each boot's own.
func newGuestMachine(t *testing.T, size int64) *guestMachine {
	t.Helper()
	if os.Getuid() != 0 {
		conformance.Require(t, "disks", errors.New("only root mounts file systems"))
	}
	m := &guestMachine{t: t, dir: t.TempDir()}
	m.image, m.mount, m.list = m.dir+"/disk", m.dir+"/var/lib/pg", m.dir+"/data"
	for _, f := range guest.Files() {
		if f.Path == "/usr/lib/evenkeel/data" {
			m.script = m.write("script", string(f.Data))
		}
	}
	if err := os.MkdirAll(m.mount+"/main", 0o755); err != nil {
		t.Fatal(err)
	}
	m.write("var/lib/pg/main/conf", "from the image\n")
	if err := os.Chown(m.mount, 123, 124); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(m.mount, 0o710); err != nil {
		t.Fatal(err)
	}
	m.write("disk", "")
	m.grow(size)
	out, err := exec.Command("losetup", "-f", "--show", m.image).Output()
	conformance.Require(t, "disks", err)
	m.device = strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command("losetup", "-d", m.device).Run() })
	m.write("data", fmt.Sprintf("pg %s %s\n", m.device, m.mount))
	return m
}

func (m *guestMachine) write(name, text string) string {
	m.t.Helper()
	file := filepath.Join(m.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		m.t.Fatal(err)
	}
	return file
}

func (m *guestMachine) grow(size int64) {
	m.t.Helper()
	if err := os.Truncate(m.image, size); err != nil {
		m.t.Fatal(err)
	}
	if m.device != "" {
		m.run("losetup -c " + m.device)
	}
}

func (m *guestMachine) run(command string) string {
	m.t.Helper()
	out, err := exec.Command("sh", "-c", command).CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// boot runs the script as at a boot and then, with its exit status in $?, what is to be seen from it. front stands before the script's PATH.
func (m *guestMachine) boot(front, then string) string {
	m.t.Helper()
	script := m.script
	if front != "" {
		text, err := os.ReadFile(m.script)
		if err != nil {
			m.t.Fatal(err)
		}
		changed := bytes.Replace(text, []byte("\nPATH="), []byte("\nPATH="+front+":"), 1)
		if bytes.Equal(changed, text) {
			m.t.Fatal("the script sets no PATH")
		}
		script = m.write("script-with-"+filepath.Base(front), string(changed))
	}
	cmd := exec.Command("unshare", "-m", "sh", "-c", fmt.Sprintf("sh %s %s %s/run 3; %s", script, m.list, m.dir, then))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		m.t.Fatalf("boot: %v\n%s", err, out.String())
	}
	return out.String()
}

// label is of the file system on the disk, "" where none is.
func (m *guestMachine) label() string {
	out, _ := exec.Command("blkid", "-p", "-o", "value", "-s", "LABEL", m.device).Output()
	return strings.TrimSpace(string(out))
}

func (m *guestMachine) check(got string, want ...string) {
	m.t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			m.t.Errorf("got %q, want it to contain %q", got, w)
		}
	}
}

func TestABlankDataDiskIsFormattedFilledAndKept(t *testing.T) {
	m := newGuestMachine(t, 48<<20)
	m.check(m.boot("", "echo status $?; cat "+m.mount+"/main/conf; stat -c '%u:%g %a' "+m.mount+"; ls -A "+m.mount+"; echo rows >"+m.mount+"/main/rows"),
		"status 0", "from the image", "123:124 710", "main")
	if m.label() != "ek-pg" {
		t.Errorf("the label is %q", m.label())
	}
	if _, err := os.Stat(m.mount + "/main/rows"); err == nil {
		t.Error("what was written to the data disk lies on the machine's own")
	}
	uuid := m.run("blkid -p -o value -s UUID " + m.device)
	m.write("var/lib/pg/main/conf", "of a newer image\n")
	m.check(m.boot("", "echo status $?; cat "+m.mount+"/main/*"), "status 0", "from the image", "rows")
	if again := m.run("blkid -p -o value -s UUID " + m.device); again != uuid {
		t.Error("it was formatted twice")
	}
	if mark := m.run("grep -c 'evenkeel: this disk' " + m.device + " || :"); mark != "0\n" {
		t.Errorf("the mark of its formatting is still there: %s", mark)
	}
}

func TestADataDiskGrowsWithItsDevice(t *testing.T) {
	m := newGuestMachine(t, 32<<20)
	if !mayResize(t) {
		conformance.Require(t, "disks", errors.New("without CAP_SYS_RESOURCE no mounted file system grows"))
	}
	size := func(out string) int {
		n, err := strconv.Atoi(strings.TrimSpace(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]))
		if err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		return n
	}
	show := "df --output=size -k " + m.mount + " | tail -n 1"
	before := size(m.boot("", show))
	m.grow(128 << 20)
	if after := size(m.boot("", show)); after < 3*before {
		t.Errorf("it has %d KiB, it had %d", after, before)
	}
}

// mayResize: the kernel lets this process grow a mounted ext4 file system.
func mayResize(t *testing.T) bool {
	t.Helper()
	const resource = 24 // capability.h
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "CapEff:")
	caps, err := strconv.ParseUint(strings.Fields(rest)[0], 16, 64)
	return err == nil && caps&(1<<resource) != 0
}

func TestADiskThatIsNotOursIsLeftAsItIs(t *testing.T) {
	cases := map[string]struct{ make, says string }{
		"of another name":      {"mkfs.ext4 -q -L ek-other DEVICE", "ext4 labelled ek-other"},
		"another file system":  {"mkswap -L ek-pg DEVICE", "swap labelled ek-pg"},
		"a partition table":    {"printf ',,\\n' | sfdisk -q --no-reread DEVICE", "a partition table"},
		"bytes of no known":    {"printf secret | dd of=DEVICE bs=1 seek=70000 conv=notrunc status=none", "something unknown"},
		"ours, but damaged":    {"mkfs.ext4 -q -L ek-pg DEVICE; dd if=/dev/zero of=DEVICE bs=1024 seek=1 count=1 conv=notrunc status=none; printf x | dd of=DEVICE bs=1 seek=9000 conv=notrunc status=none", "something unknown"},
		"marked and then used": {"printf 'evenkeel: this disk is being formatted' | dd of=DEVICE bs=1 seek=33488896 conv=notrunc status=none; mkfs.ext4 -q -E nodiscard -L mine DEVICE 16m", "ext4 labelled mine"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			m := newGuestMachine(t, 32<<20)
			m.run(strings.ReplaceAll(test.make, "DEVICE", m.device))
			before := m.run("sha256sum <" + m.device)
			got := m.boot("", "echo status $?; touch "+m.mount+"/rows || echo refused; ls -A "+m.mount)
			m.check(got, "status 1", "it is left as it is", test.says, "refused")
			if strings.Contains(got, "main") {
				t.Error("the machine's own folder stands in the disk's place")
			}
			if after := m.run("sha256sum <" + m.device); after != before {
				t.Error("the disk was written to")
			}
		})
	}
}

func TestADiskThatDoesNotAppearOrCannotBeReadIsAFailure(t *testing.T) {
	m := newGuestMachine(t, 32<<20)
	m.write("data", "pg "+m.dir+"/nothing "+m.mount+"\n")
	m.check(m.boot("", "echo status $?; touch "+m.mount+"/rows || echo refused"), "status 1", "did not appear", "refused")

	m.write("data", fmt.Sprintf("pg %s %s\n", m.device, m.mount))
	front := m.shims(map[string]string{"blkid": "exit 2", "cmp": "echo 'Input/output error' >&2; exit 2"})
	m.check(m.boot(front, "echo status $?"), "status 1", "cannot be read")
	if m.label() != "" {
		t.Error("a disk that could not be read was formatted")
	}
	// Once it can be read, the unit's next start mounts it in the other's place.
	script := fmt.Sprintf("sh %s %s %s/run 3; echo second $?; cat %s/main/conf", m.script, m.list, m.dir, m.mount)
	m.check(m.boot(front, "echo first $?; "+script), "first 1", "second 0", "from the image")
}

// shims are programs that stand before the system's.
func (m *guestMachine) shims(programs map[string]string) string {
	m.t.Helper()
	dir := m.dir + "/front"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		m.t.Fatal(err)
	}
	for name, text := range programs {
		m.write("front/"+name, "#!/bin/sh\n"+text+"\n")
	}
	return dir
}

func TestAFormatThatWasKilledIsBegunAnew(t *testing.T) {
	// Each program of the work in turn kills the script, once before it has done its part and once after.
	for _, program := range []string{"dd", "mkfs.ext4", "mount", "rmdir", "cp", "umount", "e2label", "sync"} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, its part done: %t", program, after), func(t *testing.T) {
				m := newGuestMachine(t, 32<<20)
				kill := "kill -9 $PPID; exit 1"
				if after {
					kill = `PATH=/usr/sbin:/usr/bin:/sbin:/bin ` + program + ` "$@"; ` + kill
				}
				m.boot(m.shims(map[string]string{program: kill}), ":")
				got := m.boot("", "echo status $?; cat "+m.mount+"/main/conf; stat -c '%u:%g %a' "+m.mount)
				m.check(got, "status 0", "from the image", "123:124 710")
				if m.label() != "ek-pg" {
					t.Errorf("the label is %q", m.label())
				}
			})
		}
	}
}

func TestAKilledMkfsIsBegunAnew(t *testing.T) {
	for _, wait := range []time.Duration{0, time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond} {
		m := newGuestMachine(t, 64<<20)
		front := m.shims(map[string]string{"mkfs.ext4": fmt.Sprintf(`/usr/sbin/mkfs.ext4 "$@" & sleep %.3f; kill -9 $! $PPID`, wait.Seconds())})
		m.boot(front, ":")
		m.check(m.boot("", "echo status $?; cat "+m.mount+"/main/conf"), "status 0", "from the image")
	}
}

func TestAFilledDiskIsNeverFilledAgain(t *testing.T) {
	m := newGuestMachine(t, 32<<20)
	front := m.shims(map[string]string{"cp": "exit 1"})
	m.check(m.boot(front, "echo status $?"), "status 1", "cannot format")
	if m.label() == "ek-pg" {
		t.Error("a disk that was not filled counts as formatted")
	}
	m.boot("", "rm -r "+m.mount+"/main")
	m.check(m.boot("", "echo status $?; ls -A "+m.mount+"; echo end"), "status 0\nend")
}
