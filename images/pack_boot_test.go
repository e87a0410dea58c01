// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/images"
)

// TestPackedTreeBoots boots the root tree named by $EVENKEEL_TEST_BOOT (a tar, as Build makes it) in QEMU in every way a provider may,
// and logs in over a verified connection each time. It takes minutes where there is no KVM.
func TestPackedTreeBoots(t *testing.T) {
	tree := os.Getenv("EVENKEEL_TEST_BOOT")
	if tree == "" {
		t.Skip("EVENKEEL_TEST_BOOT is not set to a root tree's tar")
	}
	dir := t.TempDir()
	made := map[images.Format]string{}
	var size int64
	for _, f := range []images.Format{images.QCOW2, images.Kernel, images.Initrd} {
		start := time.Now()
		file, n, err := images.Pack(t.Context(), f, tree, dir, "test", time.Unix(1_700_000_000, 0), nil)
		if err != nil {
			t.Fatalf("cannot pack %s: %v", f, err)
		}
		t.Logf("%s: %.1f s", f, time.Since(start).Seconds())
		made[f], size = file, max(size, n)
	}
	keys := newBootKeys(t, dir)
	direct := []string{"-kernel", made[images.Kernel], "-initrd", made[images.Initrd], "-append", images.KernelArgs}
	uefi := "/usr/share/OVMF/OVMF_CODE.fd"
	seed := []string{"-drive", "if=none,id=seed,format=raw,readonly=on,file=" + keys.seed(t, dir), "-device", "virtio-blk-pci,drive=seed,serial=evenkeel-seed"}
	cloud := []string{"-drive", "if=none,id=cloud,format=raw,readonly=on,file=" + keys.cloudDisk(t, dir), "-device", "virtio-blk-pci,drive=cloud"}

	for _, c := range []struct {
		name      string
		firmware  string
		args      []string
		cloudInit bool
	}{
		{"kernel_and_seed", "", append(direct, seed...), false},
		{"bios_and_seed", "", seed, false},
		{"uefi_and_seed", uefi, seed, false},
		{"bios_and_cloud_init", "", cloud, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.firmware != "" {
				c.args = append(c.args, "-drive", "if=pflash,format=raw,readonly=on,file="+c.firmware)
			}
			m := startGuest(t, made[images.QCOW2], size+(2<<30), c.args)
			m.waitBanner(t)
			if got := m.ssh(t, keys, "hostname"); got != "boot-test" {
				t.Errorf("host name: got %q, want boot-test", got)
			}
			t.Logf("first SSH command after %.1f s", time.Since(m.started).Seconds())
			m.ssh(t, keys, "sudo -n systemctl start evenkeel-grow evenkeel-firstboot && sudo -n systemctl is-system-running --wait")
			if got := m.ssh(t, keys, "sudo -n nft list chain inet evenkeel input"); !strings.Contains(got, "policy drop") {
				t.Errorf("input chain: got\n%s\nwant policy drop", got)
			}
			if got := m.ssh(t, keys, `df --output=size -B1 / | tail -n 1 | awk -v min=`+fmt.Sprint(size+(1<<30))+` '{print ($1 > min) ? "grown" : $1}'`); got != "grown" {
				t.Errorf("root file system: got %s bytes, want it grown to the disk of %d", got, size+(2<<30))
			}
			ran := m.ssh(t, keys, "test -e /run/cloud-init && systemctl is-active cloud-init.target || :") == "active"
			if ran != c.cloudInit {
				t.Errorf("cloud-init: ran is %v, want %v", ran, c.cloudInit)
			}
			t.Logf("%s", m.ssh(t, keys, "systemd-analyze; systemd-analyze critical-chain ssh.service; systemd-analyze blame | head -n 25; cat /etc/resolv.conf; ip -br a; free -m"))
		})
	}
}

// bootKeys are a login key, and a host key with the CA that vouches for it.
type bootKeys struct{ login, host, cert, known string }

func newBootKeys(t *testing.T, dir string) bootKeys {
	t.Helper()
	k := bootKeys{login: filepath.Join(dir, "login"), host: filepath.Join(dir, "host"), known: filepath.Join(dir, "known_hosts")}
	ca := filepath.Join(dir, "ca")
	for _, name := range []string{k.login, k.host, ca} {
		command(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", name)
	}
	command(t, "ssh-keygen", "-q", "-s", ca, "-h", "-I", "test", "-n", "boot-test", k.host+".pub")
	k.cert = k.host + "-cert.pub"
	if err := os.WriteFile(k.known, []byte("@cert-authority boot-test "+read(t, ca+".pub")), 0o644); err != nil {
		t.Fatal(err)
	}
	return k
}

type bootFile struct {
	path, content string
	mode          int64
}

func (k bootKeys) files(t *testing.T) []bootFile {
	return []bootFile{
		{"/etc/hostname", "boot-test\n", 0o644},
		{"/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 boot-test\n", 0o644},
		{"/etc/ssh/ssh_host_ed25519_key", read(t, k.host), 0o600},
		{"/etc/ssh/ssh_host_ed25519_key-cert.pub", read(t, k.cert), 0o644},
		{"/etc/evenkeel/authorized_keys/evenkeel", read(t, k.login+".pub"), 0o644},
	}
}

// seed is a disk that holds the tar of the files.
func (k bootKeys) seed(t *testing.T, dir string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range k.files(t) {
		if err := w.WriteHeader(&tar.Header{Name: f.path[1:], Mode: f.mode, Size: int64(len(f.content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "seed.tar")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// cloudDisk is a NoCloud disk that comes to the same files.
func (k bootKeys) cloudDisk(t *testing.T, dir string) string {
	t.Helper()
	var files []map[string]string
	for _, f := range k.files(t) {
		files = append(files, map[string]string{"path": f.path, "permissions": fmt.Sprintf("%04o", f.mode), "content": f.content})
	}
	config, err := json.Marshal(map[string]any{"hostname": "boot-test", "users": []string{}, "write_files": files})
	if err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(dir, "cloud.img")
	command(t, "/usr/sbin/mkfs.vfat", "-n", "CIDATA", "-C", disk, "1024")
	for name, content := range map[string]string{"user-data": "#cloud-config\n" + string(config), "meta-data": "instance-id: boot-test\nlocal-hostname: boot-test\n"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		command(t, "mcopy", "-i", disk, file, "::/"+name)
	}
	return disk
}

type bootedGuest struct {
	started time.Time
	port    string
	console string
	ended   <-chan struct{}
}

// startGuest boots an overlay of disk; the guest ends with the test.
func startGuest(t *testing.T, disk string, size int64, args []string) bootedGuest {
	t.Helper()
	dir := t.TempDir()
	overlay := filepath.Join(dir, "disk.qcow2")
	command(t, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", disk, overlay, fmt.Sprint(size))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	console := filepath.Join(dir, "console")
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", append([]string{
		"-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024", "-nodefaults", "-display", "none",
		"-serial", "file:" + console,
		"-drive", "if=none,id=root,format=qcow2,file=" + overlay, "-device", "virtio-blk-pci,drive=root,bootindex=1",
		"-netdev", "user,id=net,hostfwd=tcp:127.0.0.1:" + port + "-:22", "-device", "virtio-net-pci,netdev=net,romfile=",
	}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	m := bootedGuest{started: time.Now(), port: port, console: console}
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	m.ended = ended
	go func() {
		defer close(ended)
		if err := cmd.Wait(); ctx.Err() == nil {
			fmt.Fprintf(&out, "ended by itself: %v", err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			text, _ := os.ReadFile(console)
			t.Logf("QEMU: %s\nconsole:\n%s", out.String(), text[max(0, len(text)-4000):])
		}
	})
	return m
}

func (m bootedGuest) waitBanner(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		select {
		case <-m.ended:
			t.Fatal("QEMU ended")
		default:
		}
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+m.port, time.Second)
		if err != nil {
			continue
		}
		buf := make([]byte, 8)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err = c.Read(buf)
		_ = c.Close()
		if err == nil && bytes.HasPrefix(buf, []byte("SSH-")) {
			t.Logf("SSH banner after %.1f s", time.Since(m.started).Seconds())
			return
		}
	}
	t.Fatal("no SSH banner in 10 minutes")
}

func (m bootedGuest) ssh(t *testing.T, k bootKeys, line string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ssh", "-F", "none", "-p", m.port, "-i", k.login, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile="+k.known, "-o", "HostKeyAlias=boot-test", "-o", "ConnectTimeout=60", "evenkeel@127.0.0.1", line)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("%s: %v\n%s%s", line, err, out, exit.Stderr)
	}
	return strings.TrimSpace(string(out))
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
