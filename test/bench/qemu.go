// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// rawQEMU is what one would type: an overlay over the same disk, the same kernel, seed, memory and processors, and no tool around it.
type rawQEMU struct {
	dir                  string
	disk, kernel, initrd string
	seed                 string
	hostCA               string
	identity             *ssh.Identity
}

const rawName = "one-1.bench.laptop"

func newRawQEMU(ctx context.Context, b *bench, project string) (*rawQEMU, error) {
	files, err := b.artefacts(ctx, project)
	if err != nil {
		return nil, fmt.Errorf("cannot see the image: %w", err)
	}
	q := &rawQEMU{dir: b.dir, disk: files["qcow2"].Path, kernel: files[kernelFormat()].Path, initrd: files["initrd"].Path, seed: filepath.Join(b.dir, "seed.tar")}
	if q.identity, err = ssh.LoadIdentity("", filepath.Join(b.dir, "identity")); err != nil {
		return nil, err
	}
	return q, q.writeSeed()
}

func (q *rawQEMU) writeSeed() error {
	ca, err := ssh.NewHostCA()
	if err != nil {
		return err
	}
	q.hostCA = ca.PublicKey()
	private, public, err := ssh.GenerateKey("bench")
	if err != nil {
		return err
	}
	cert, err := ca.Sign(public, []string{rawName}, 0)
	if err != nil {
		return err
	}
	seed := providers.Seed{Hostname: "one-1", HostKey: private, HostCertificate: cert, User: providers.LoginUser, AuthorizedKeys: q.identity.PublicKeys()}
	data, err := seed.Tar("0123456789abcdef0123456789abcdef", []providers.NIC{{MAC: "52:54:00:12:34:56", Address: "10.0.2.15/24", Gateway: "10.0.2.2", DNS: []string{"10.0.2.3"}}})
	if err != nil {
		return err
	}
	data = append(data, make([]byte, (512-len(data)%512)%512)...)
	return os.WriteFile(q.seed, data, 0o600)
}

// boot is the time from nothing to the answer of a command over SSH.
func (q *rawQEMU) boot(ctx context.Context) (time.Duration, error) {
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	overlay := filepath.Join(q.dir, "raw.qcow2")
	defer os.Remove(overlay)
	began := time.Now()
	if out, err := exec.CommandContext(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", q.disk, overlay, "4G").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("qemu-img: %w: %s", err, out)
	}
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-machine", "q35,accel="+accelerator(), "-cpu", cpuModel(),
		"-m", strconv.Itoa(benchMemory), "-smp", strconv.Itoa(benchCPUs), "-display", "none", "-no-user-config", "-nodefaults",
		"-kernel", q.kernel, "-initrd", q.initrd, "-append", images.KernelArgs,
		"-drive", "if=none,id=d0,format=qcow2,file="+overlay, "-device", "virtio-blk-pci,drive=d0",
		"-drive", "if=none,id=d1,format=raw,readonly=on,file="+q.seed, "-device", "virtio-blk-pci,drive=d1,serial=evenkeel-seed",
		"-netdev", fmt.Sprintf("user,id=n0,ipv6=off,hostfwd=tcp:127.0.0.1:%d-:22", port), "-device", "virtio-net-pci,netdev=n0,romfile=",
		"-object", "rng-random,id=r0,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=r0",
		"-serial", "file:"+filepath.Join(q.dir, "raw.console"))
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		client, err := ssh.Dial(ctx, ssh.Target{Address: fmt.Sprintf("127.0.0.1:%d", port), User: providers.LoginUser, HostCA: q.hostCA, Principal: rawName, Identity: q.identity, Awaited: true})
		if err == nil {
			err = client.Run(ctx, ssh.Command{Line: "true"})
			_ = client.Close()
			return time.Since(began), err
		}
		if !errors.Is(err, ssh.ErrUnreachable) {
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func accelerator() string {
	if machineHasKVM() {
		return "kvm"
	}
	return "tcg"
}

// cpuModel is what the libvirt provider chooses, so that both sides run the same instructions.
func cpuModel() string {
	if machineHasKVM() {
		return "host"
	}
	return "qemu64"
}

// kernelFormat is the kernel that the libvirt provider boots.
func kernelFormat() string {
	if machineHasKVM() {
		return string(images.Kernel)
	}
	return string(images.VMLinux)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
